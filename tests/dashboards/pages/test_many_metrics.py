"""Evaluation and comparison of runs with many metrics of any name, and the threshold that pages begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.synthetic.evaluations import write_metrics

RUN = "card_fraud-20260101-000003-abcd"


@pytest.fixture
def two_of_many(make_client: Any, synthetic: Any, tmp_path: Path) -> tuple[Any, list[str]]:
    """A client and two runs with 40 metrics, of which slices have 30 and not the first ones."""
    builder, runs = synthetic.Builder(tmp_path), []
    for number in (1, 2):
        runs.append(builder.run("of_elsewhere", number).run_id)
        values = {f"m{i:02d}": i / 100 for i in range(38)} | {
            "nll": number / 1.0,
            "entropy_ratio_x": 1.0 + number,
        }
        values["mutual_information"] = 0.1 * number
        of_slices = {name: value for name, value in values.items() if name > "m07"}
        folder = tmp_path / "pipelines" / "of_elsewhere" / "Evaluator" / "modelevaluation" / str(number)
        write_metrics(folder, {"": values, "a": of_slices, "b": of_slices})
    return make_client(tmp_path), runs


def test_many_metrics_are_folded_away_and_slices_show_what_they_have(
    two_of_many: tuple[Any, list[str]],
) -> None:
    client, runs = two_of_many
    page = client.get(f"/evaluation?run={runs[0]}").text
    figures, slices = (
        page[page.index("Metrics over all rows") : page.index("<h2>Slices")],
        page[page.index("<h2>Slices") :],
    )
    shown, folded = figures.split("<details>")
    assert shown.count("<dt>") == 12 and "29 more metrics" in folded
    head = slices[slices.index("<thead>") : slices.index("</thead>")]
    assert head.count('class="num"') == 12 and "m08" in head and "m07" not in head
    chosen = client.get(f"/evaluation?run={runs[0]}&metric=m30").text
    assert (
        "m30" in chosen[chosen.index('id="slices"') : chosen.index("</thead>", chosen.index('id="slices"'))]
    )
    assert "lowest m30 first" in chosen


def test_better_or_worse_is_not_read_out_of_a_name(two_of_many: tuple[Any, list[str]]) -> None:
    client, (a, b) = two_of_many
    page = client.get(f"/compare?a={a}&b={b}").text
    cells = {
        name: page[page.index(f'<td class="strong">{name}') :].split("</tr>")[0]
        for name in ("nll", "mutual_information")
    }
    for name, difference in (("nll", "+1"), ("mutual_information", "+0.1")):
        assert f"{difference}<" in cells[name] and "no direction known" in cells[name]


def test_the_matrix_is_the_one_of_the_metrics_until_another_threshold_is_asked_for(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    assert "Confusion matrix at threshold 0.5<" in page
    (link,) = re.findall(r'largest at <a href="([^"]+)"', page)
    assert "Confusion matrix at threshold 0.5<" not in client.get(link.replace("&amp;", "&")).text
