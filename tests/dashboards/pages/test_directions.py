"""Better, worse and worst on the pages: as the card and the metrics' classes declare them, within intervals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.synthetic import evaluations
from tests.dashboards.tags import words


def _evaluation_of(home: Path, project: str, number: int) -> Path:
    return home / "pipelines" / project / "Evaluator" / "modelevaluation" / str(number)


@pytest.fixture
def runs(make_client: Any, synthetic: Any, tmp_path: Path) -> Any:
    """`runs(project, {slice: {metric: value}}, ...)`: a client and the ids of runs with those metrics."""

    def made(project: str, *measured: dict[str, dict[str, float]], **more: Any) -> tuple[Any, list[str]]:
        builder, ids = synthetic.Builder(tmp_path), []
        for number, slices in enumerate(measured, 1):
            ids.append(builder.run(project, number, **more).run_id)
            evaluations.write_metrics(_evaluation_of(tmp_path, project, number), slices)
        return make_client(tmp_path), ids

    return made


def _changes(client: Any, a: str, b: str) -> dict[str, str]:
    """What the compare page says of each metric, in words."""
    page = client.get(f"/compare?a={a}&b={b}").text
    table = page[page.index('<table id="metrics"') :].partition("</table>")[0]
    rows = re.findall(r'<tr><td class="strong">([\w, ]+)(.*?)</tr>', table, re.S)
    return {
        name.strip(): words(row.rpartition('data-label="b − a"')[2].partition(">")[2]) for name, row in rows
    }


def _shown(page: str) -> list[str]:
    table = page[page.index('<table id="slices"') :].partition("</table>")[0]
    return re.findall(r'<tr><td class="strong">kind = (\w+)', table)


def test_in_a_band_the_worst_slice_is_the_one_furthest_outside(runs: Any) -> None:
    # rbf_white at full: coverage of 0.88 to 0.99. "low" is 0.08 outside, the others lie inside.
    slices = {"": 0.93, "high": 0.976, "middle": 0.93, "low": 0.8}
    client, (run,) = runs(
        "stock_prices", {k: {"coverage": v} for k, v in slices.items()}, variant="rbf_white", profile="full"
    )
    page = client.get(f"/evaluation?run={run}&metric=coverage").text
    assert _shown(page) == ["low", "high", "middle"]
    assert "worst coverage first" in words(page) and "≥ 0.88 and ≤ 0.99" in page


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(0.885, 0.864, "-0.021 worse"), (0.80, 0.90, "+0.1 better"), (0.9, 0.97, "+0.07 inside the band"),
     (0.97, 0.999, "+0.029 worse"), (0.9, 0.9, "0")],
)  # fmt: skip
def test_a_change_in_a_band_is_judged_by_the_band(runs: Any, before: float, after: float, said: str) -> None:
    client, (a, b) = runs(
        "stock_prices",
        {"": {"coverage": before}},
        {"": {"coverage": after}},
        variant="rbf_white",
        profile="full",
    )
    assert _changes(client, a, b)["coverage"] == said


def test_a_metric_of_which_nothing_is_declared_gets_no_verdict(runs: Any) -> None:
    client, (a, b) = runs(
        "stock_prices",
        {"": {"nll_gain_on_last_value": 0.039, "nll_gain_on_rbf_white": 0.1, "example_count": 100.0}},
        {"": {"nll_gain_on_last_value": -0.597, "nll_gain_on_rbf_white": 0.06, "example_count": 90.0}},
    )
    said = _changes(client, a, b)
    assert said["nll_gain_on_last_value"] == "-0.636 no direction known"
    assert said["nll_gain_on_rbf_white"] == "-0.04 worse", "a bar declares that more is better"
    assert said["example_count"] == "-10"


def test_metrics_of_tfma_and_keras_are_known_without_a_bar(runs: Any) -> None:
    client, (a, b) = runs(
        "of_elsewhere",
        {"": {"mean_squared_error": 2.0, "auc": 0.8}},
        {"": {"mean_squared_error": 1.0, "auc": 0.7}},
    )
    assert _changes(client, a, b) == {"mean_squared_error": "-1 better", "auc": "-0.1 worse"}


def test_the_bars_of_the_evaluation_decide_where_no_card_does(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    """The builder's evaluation asks for at least 0.8 of a metric whose name says the contrary."""
    builder = synthetic.Builder(tmp_path)
    a, b = (
        builder.run("of_elsewhere", n, metric="loss_ratio", value=v).run_id for n, v in ((1, 0.6), (2, 0.9))
    )
    assert _changes(make_client(tmp_path), a, b)["loss_ratio"] == "+0.3 better"


def test_the_largest_number_as_a_bound_is_none_and_an_infinite_value_meets_no_bar(
    synthetic: Any, tmp_path: Path
) -> None:
    """Evaluators set it so that infinity lies outside; without a bar on the other side there is no band."""
    from dashboards.readers.evaluation import read_evaluation

    builder = synthetic.Builder(tmp_path)
    builder.run("of_elsewhere", 1, metric="odds", value=0.9)
    folder = _evaluation_of(tmp_path, "of_elsewhere", 1)
    config = (folder / "eval_config.json").read_text(encoding="utf-8")
    bar = f'"lowerBound": {evaluations.BAR}'
    assert bar in config
    bounded = config.replace(bar, f'{bar}, "upperBound": 1.7976931348623157e+308')
    (folder / "eval_config.json").write_text(bounded, encoding="utf-8")
    found = read_evaluation(folder)
    assert found.declared["odds"].kind == "up"
    assert [(g.bound, g.passed) for g in found.gates if not g.slice and g.kind == "value"] == [
        ("≥ 0.8", True)
    ]
    judged = (folder / "validations.tfrecord").read_bytes()
    evaluations.write_metrics(folder, {"": {"odds": float("inf")}})
    # Which takes away what the metrics were judged by.
    (folder / "eval_config.json").write_text(bounded, encoding="utf-8")
    (folder / "validations.tfrecord").write_bytes(judged)
    assert [g.passed for g in read_evaluation(folder).gates if not g.slice] == [False]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.72, "no difference shown"), (0.76, "no difference shown"), (0.78, "better"), (0.6, "worse")],
)
def test_a_change_within_its_interval_is_no_difference(
    make_client: Any, synthetic: Any, tmp_path: Path, value: float, said: str
) -> None:
    """Each value has +-0.05, the change from 0.7 therefore +-0.0707."""
    builder = synthetic.Builder(tmp_path)
    a, b = (builder.run("card_fraud", n, value=v).run_id for n, v in ((1, 0.7), (2, value)))
    assert _changes(make_client(tmp_path), a, b)["recall"].endswith(said)
