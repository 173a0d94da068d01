"""The elements, charts and words of a page, for tests that ask what it holds."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.labels: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags


def charts(page: str) -> dict[str, Any]:
    """What plotly is given, by the charts' captions."""
    found = re.findall(
        r'<figcaption>([^<]*)</figcaption>\s*<div[^>]*></div>\s*<script type="application/json">(.*?)</script>',
        page,
        re.S,
    )
    return {caption: json.loads(spec) for caption, spec in found}


def words(page: str) -> str:
    """The text of HTML, as one line."""
    return " ".join(re.sub("<[^>]+>", " ", page).split())
