"""Why a model was refused and why a run failed: metric, slice, value and bar; the cause, first and whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards.pages.reasons import said
from dashboards.readers.evaluation import Gate
from pipelines.base.run_record import NodeRecord
from tests.dashboards.tags import words

CAUSE = "InputError: day.csv: column 'Time' is missing. Expected Time, V1 to V28, Amount, Class. " + "x" * 300
ERROR = f"card_fraud: CsvExampleGen failed: RuntimeError: {'the pipeline ended ' * 20}; caused by {CAUSE}"


def test_a_refusal_names_each_gate_with_slice_value_and_bar(client: Any) -> None:
    """The builder's first run has a recall of 0.7, in one slice 0.5."""
    page = words(client.get("/run?id=card_fraud-20260101-000001-abcd").text)
    assert (
        "Refused: recall is 0.7, needs ≥ 0.8; recall is 0.7 for country = de, needs ≥ 0.8; recall is 0.5 for"
        in page
    )


def test_home_gives_the_same_reason(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    synthetic.Builder(tmp_path).run("card_fraud", 1, value=0.7999, blessed=False)
    home = words(make_client(tmp_path).get("/").text)
    assert "Refused: recall is 0.7999, needs ≥ 0.8; recall is 0.7999 for country = de, needs ≥ 0.8" in home


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        (Gate("recall", "", "value", "≥ 0.8", 0.089, False, (0.8,)), "recall is 0.089, needs ≥ 0.8"),
        (Gate("accuracy", "label = 3", "value", "≥ 0.985", 0.98497, False, (0.985,)),
         "accuracy is 0.98497 for label = 3, needs ≥ 0.985"),
        (Gate("recall", "", "change", "change ≥ -0.1", -0.12, False),
         "recall changed by -0.12 against the last blessed model, needs change ≥ -0.1"),
        (Gate("coverage", "", "value", "≥ 0.88", None, False), "coverage was not measured, needs ≥ 0.88"),
    ],
)  # fmt: skip
def test_a_gate_in_words(gate: Gate, text: str) -> None:
    assert said(gate) == text


@pytest.mark.parametrize(
    "page", ["/", "/project?name=card_fraud", "/run?id={run}", "/log?run={run}&node=CsvExampleGen"]
)
def test_the_cause_of_a_failure_is_whole_and_comes_first(
    make_client: Any, synthetic: Any, tmp_path: Path, page: str
) -> None:
    builder = synthetic.Builder(tmp_path)
    record = builder.run("card_fraud", 1, state="failed")
    record.nodes["CsvExampleGen"] = NodeRecord("failed", error=ERROR)
    record.blessed, record.metrics = None, {}
    builder.write(record)
    said_first = make_client(tmp_path).get(page.format(run=record.run_id)).text.partition('class="reason')[2]
    text = words(said_first.partition(">")[2])
    assert text.startswith(CAUSE.replace("'", "&#39;")), text[:200]


def test_without_an_evaluation_the_bars_give_the_reason(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    import shutil

    record = synthetic.Builder(tmp_path).run("card_fraud", 1, value=0.7, blessed=False)
    shutil.rmtree(tmp_path / "pipelines" / "card_fraud" / "Evaluator")
    page = words(make_client(tmp_path).get(f"/run?id={record.run_id}").text)
    assert "Refused: recall is 0.7, needs ≥ 0.8." in page
