"""The gate's three verdicts, what blesses a model and what does not, and the words people read."""

from __future__ import annotations

import numpy as np
import pytest

from components.confidence import gate
from components.confidence.gate import Judged, Verdict
from components.confidence.intervals import BOOTSTRAP, Interval
from pipelines.base.project import Bar


def between(low: float, high: float) -> Interval:
    """An interval around the middle, with samples spread so that 2.5 % lie beyond each end."""
    middle, reach = (low + high) / 2, (high - low) / 2
    return Interval(
        middle, low, high, BOOTSTRAP, np.linspace(middle - reach / 0.95, middle + reach / 0.95, 401), 500
    )


def rows(
    values: dict[str, Interval],
    changes: dict[str, Interval] | None = None,
    name: str = "",
    count: float = 1000,
) -> Judged:
    changes = changes or {}
    return Judged(
        name,
        count,
        {metric: one.value for metric, one in values.items()},
        values,
        {metric: one.value for metric, one in changes.items()},
        changes,
    )


def one(bar: Bar, judged: Judged) -> Verdict:
    (verdict,) = gate.judge([bar], [judged])
    return verdict


def test_a_bar_is_better_worse_or_not_told_apart() -> None:
    bar = Bar("recall", at_least=0.8)
    assert one(bar, rows({"recall": between(0.81, 0.89)})).verdict == "better"
    assert one(bar, rows({"recall": between(0.61, 0.79)})).verdict == "worse"
    assert one(bar, rows({"recall": between(0.75, 0.87)})).verdict == "not enough data"
    down = Bar("loss", at_most=0.8)
    assert one(down, rows({"loss": between(0.81, 0.89)})).verdict == "worse"
    assert one(down, rows({"loss": between(0.61, 0.79)})).verdict == "better"


def test_a_bar_that_the_interval_straddles_is_decided_by_the_measured_value_and_said_to_be() -> None:
    bar = Bar("recall", at_least=0.816)
    met = one(bar, rows({"recall": between(0.78, 0.86)}))
    assert met.passed and met.verdict == "not enough data"
    assert met.text == (
        "recall 0.8200 (bar recall >= 0.816): met by 0.0040, interval 0.78 to 0.86: not enough rows to be sure"
    )
    missed = one(Bar("recall", at_least=0.83), rows({"recall": between(0.78, 0.86)}))
    assert not missed.passed and "missed by 0.0100" in missed.text


def test_a_sure_bar_is_asked_of_the_intervals_worse_end() -> None:
    judged = rows({"recall": between(0.78, 0.86), "loss": between(0.1, 0.3)})
    assert not one(Bar("recall", at_least=0.8, sure=True), judged).passed
    assert "asks for its lower end" in one(Bar("recall", at_least=0.8, sure=True), judged).text
    assert one(Bar("recall", at_least=0.78, sure=True), judged).passed
    assert not one(Bar("loss", at_most=0.25, sure=True), judged).passed
    assert one(Bar("loss", at_most=0.3, sure=True), judged).passed
    assert not one(Bar("recall", at_least=0.5, sure=True), Judged("", 10, {"recall": 0.9})).passed


def test_a_comparison_counts_against_a_model_only_when_the_loss_is_shown_to_be_too_large() -> None:
    bar = Bar("recall", at_least=0.5, max_loss=0.02)

    def change(low: float, high: float) -> Verdict:
        return gate.judge([bar], [rows({"recall": between(0.7, 0.9)}, {"recall": between(low, high)})])[1]

    assert (change(-0.05, 0.03).verdict, change(-0.05, 0.03).passed) == ("not enough data", True)
    assert (change(-0.08, -0.03).verdict, change(-0.08, -0.03).passed) == ("worse", False)
    assert (change(-0.03, -0.01).verdict, change(-0.03, -0.01).passed) == ("worse", True)
    assert (change(0.01, 0.05).verdict, change(0.01, 0.05).passed) == ("better", True)
    assert "more than the allowed loss of 0.02" in change(-0.08, -0.03).text
    assert (
        "-0.01 against the last blessed model, interval -0.05 to 0.03: not enough data"
        in change(-0.05, 0.03).text
    )


def test_less_is_better_where_the_bar_says_at_most() -> None:
    bar = Bar("loss", at_most=2.0, max_loss=0.1)
    for low, high, verdict, passed in ((0.2, 0.4, "worse", False), (-0.4, -0.2, "better", True)):
        found = gate.judge([bar], [rows({"loss": between(1, 1.2)}, {"loss": between(low, high)})])[1]
        assert (found.verdict, found.passed) == (verdict, passed)


def test_several_comparisons_are_corrected_for_their_number() -> None:
    # Alone 3 % would show it; as the best of three it takes less than 5 / 3 %.
    names = ["a", "b", "c"]
    bars = [Bar(name, at_least=0.1, max_loss=0.5) for name in names]
    values = {name: between(0.4, 0.6) for name in names}
    barely, nothing = between(0.0004, 0.04), between(-0.1, 0.1)
    alone = gate.judge(bars[:1], [rows(values, {"a": barely})])
    assert [v.verdict for v in alone if v.kind == "comparison"] == ["better"]
    together = gate.judge(bars, [rows(values, {"a": barely, "b": nothing, "c": nothing})])
    assert [v.verdict for v in together if v.kind == "comparison"] == ["not enough data"] * 3
    assert "one of 3 comparisons" in together[-1].text


def test_slices_with_too_few_rows_are_reported_and_not_judged() -> None:
    bar = Bar("recall", at_least=0.8, max_loss=0.01)
    everyone = rows({"recall": between(0.85, 0.95)}, {"recall": between(-0.01, 0.01)})
    bad = {"values": {"recall": between(0.5, 0.6)}, "changes": {"recall": between(-0.5, -0.4)}}
    small, large = rows(**bad, name="place = a", count=99), rows(**bad, name="place = b", count=100)
    found = gate.judge([bar], [everyone, small, large], slice_rows=100)
    assert {(v.slice, v.kind): (v.judged, v.passed) for v in found} == {
        ("", "bar"): (True, True), ("", "comparison"): (True, True),
        ("place = a", "bar"): (False, True), ("place = a", "comparison"): (False, True),
        ("place = b", "bar"): (True, False), ("place = b", "comparison"): (True, False),
    }  # fmt: skip
    assert not gate.blessed(found)
    assert gate.blessed(gate.judge([bar], [everyone, small, large]))


def test_a_slice_that_is_not_shown_to_miss_a_bar_passes_it() -> None:
    everyone = rows({"recall": between(0.85, 0.95)})
    unsure = rows({"recall": between(0.6, 0.9)}, name="place = a")
    found = gate.judge([Bar("recall", at_least=0.8)], [everyone, unsure], slice_rows=10)
    assert [(v.verdict, v.passed) for v in found] == [("better", True), ("not enough data", True)]


def test_without_intervals_plain_numbers_decide_and_no_verdict_is_given() -> None:
    bar = Bar("loss", at_most=0.5, max_loss=0.1)
    found = gate.judge([bar], [Judged("", 0, {"loss": 0.4}, {}, {"loss": 0.2}, {})])
    assert [(v.verdict, v.passed) for v in found] == [("", True), ("", False)]
    assert not gate.judge([bar], [Judged("", 0, {}, {})])[0].passed
    assert not gate.judge([bar], [Judged("", 0, {"loss": float("nan")}, {})])[0].passed


@pytest.mark.parametrize("slice_", ["", "contract = monthly"])
def test_an_undefined_change_is_no_loss_and_said_to_be_not_compared(slice_: str) -> None:
    nan = float("nan")
    whole = Judged("", 600, {"auc": 0.9}, {}, {"auc": nan if not slice_ else 0.0}, {})
    part = Judged("contract = monthly", 600, {"auc": nan}, {}, {"auc": nan}, {})
    verdicts = gate.judge([Bar("auc", at_least=0.7, max_loss=0.1)], [whole, part], slice_rows=100)
    (told,) = [v for v in verdicts if v.kind == gate.COMPARISON and v.slice == slice_]
    assert told.passed and told.verdict == gate.UNTOLD and "not compared" in told.text
    assert "undefined" in next(v.text for v in verdicts if v.kind == gate.BAR and v.slice)


def test_a_model_that_was_judged_on_a_handful_of_rows_is_not_blessed_whatever_it_scored() -> None:
    bar = Bar("auc", at_least=0.7)
    few, enough = (one(bar, Judged("", rows, {"auc": 1.0}, {})) for rows in (8, gate.FEWEST_ROWS))
    assert not few.passed and few.verdict == gate.UNTOLD and "on 8 rows: not enough data" in few.text
    assert enough.passed
