"""From lines `label<TAB>text` to rows, their splits, and what the evaluation slices by.

Most sentences of the real file occur several times, as people repeat each other. Lines that are equal but for case,
spaces and punctuation are one text, and a text is drawn into a split as a whole: what is judged was never trained on.
Each row says how many lines its text has, so that the fit can give every text the weight of one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.errors import ProjectError
from pipelines.sentiment.features import COPIES_KEY, LABEL_KEY, TEXT_KEY

SPLITS = ("train", "tune", "eval")
# Of ten texts seven are trained on, one chooses penalty, epoch and scale, two are judged.
TRAIN, TUNE = 7, 1


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, {"text", "label", "copies", "length"}) of every line."""
    rows = [row for file in files for row in read_lines(file)]
    copies = Counter(plain(text) for _, text in rows)
    for label, text in rows:
        known_as = plain(text)
        yield (
            split_of(known_as),
            {
                TEXT_KEY: text,
                LABEL_KEY: label,
                COPIES_KEY: copies[known_as],
                "length": length_of(known_as),
            },
        )


def read_lines(file: Path) -> list[tuple[int, str]]:
    """(label, text) of every line; raises ProjectError with the line's number for another layout."""
    labelled = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        if label not in ("0", "1") or not tab:
            raise ProjectError(f"{file}, line {number} is {line[:60]!r}; expected 0 or 1, a tab, a sentence.")
        labelled.append((int(label), text))
    return labelled


def plain(text: str) -> str:
    """What makes two lines the same text: letters and digits in lower case, one space between words."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def length_of(text: str) -> str:
    """The slice of a plain text, by its words."""
    words = len(text.split())
    return "1 to 5 words" if words <= 5 else "6 to 12 words" if words <= 12 else "13 words or more"


def split_of(text: str) -> str:
    """The split of a plain text, by its digest: the same whatever else is in the file."""
    bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 10
    return "train" if bucket < TRAIN else "tune" if bucket < TRAIN + TUNE else "eval"
