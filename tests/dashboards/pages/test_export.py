"""A run as one file: whole, and asking for nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.tags import tags

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_an_export_holds_the_whole_run_and_asks_for_nothing(client: Any) -> None:
    answer = client.get(f"/export?run={RUN}")
    assert answer.headers["content-disposition"].startswith("attachment")
    text = answer.text
    for wanted in (
        "Gates",
        "Statistics",
        "Hyper-parameters",
        "ExampleValidator",
        "used for",
        "picture one.png",
    ):
        assert wanted in text
    links = [
        a.get(key) for tag, a in tags(text.split("<script>")[0]) for key in ("href", "src") if a.get(key)
    ]
    assert links and all(link.startswith(("#", "data:")) for link in links if link)


def test_the_export_command_writes_the_newest_run_of_a_project(home: Path, tmp_path: Path) -> None:
    from dashboards.pages import export
    from pipelines.base.errors import ProjectError

    target = tmp_path / "run.html"
    assert export.main([DIGITS, "-o", str(target), "--home", str(home)]) == 0
    assert DIGITS in target.read_text(encoding="utf-8") and list(tmp_path.iterdir()) == [target]
    with pytest.raises(ProjectError, match="does not exist"):
        export.main(["digist", "-o", str(target), "--home", str(home)])


def test_an_export_is_small_names_no_foreign_host_and_keeps_the_switches_of_distributions(
    client: Any,
) -> None:
    text = client.get(f"/export?run={RUN}").text
    assert len(text) < 2_000_000 and "window.Plotly" in text and 'id="plotly-packed"' in text
    assert not re.findall(r"https?://(?!www\.w3\.org/)[\w.-]+\.\w+", text)
    row = text[text.index(">V10<") :].partition("</tr>")[0]
    drawn = re.findall(r'<div class="drawn ([\w-]+)">(.*?)</svg>', row, re.S)
    assert [kind for kind, _ in drawn] == ["linear-even", "linear-quantiles", "log-even", "log-quantiles"]
    assert len({picture for _, picture in drawn}) == 4
    for value in ("linear", "log", "even", "quantiles"):
        assert f'id="drawn-{value}"' in text
