"""The gate's verdicts: each bar and each comparison with the last blessed model is better, worse or not told apart.

A bar is met by the measured value, as people read it; `sure=True` asks it of the interval's worse end. A comparison is
of paired differences on the same rows, its several tests corrected (Holm 1979): what counts against a model is that it
is shown to lose more than the card allows. Slices with the card's least number of rows are judged by what is shown
alone; smaller ones are reported. It reads no files and knows no metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from components.confidence.intervals import LEVEL, Interval, chance, holm
from pipelines.base.project import Bar

Word = Literal["better", "worse", "not enough data", ""]
WORSE: Word = "worse"
UNTOLD: Word = "not enough data"
# On fewer rows than these no bar is met: one row more or less would move any figure by five points.
FEWEST_ROWS = 20
BAR, COMPARISON = "bar", "comparison"
# A bar is met by its own value, whatever its last digit was rounded to; as TFMA's thresholds have it.
SLACK = 1e-9


@dataclass(frozen=True)
class Judged:
    """One slice: `name` is '' for all rows. Values, differences to the last blessed model, intervals, by metric."""

    name: str
    rows: float
    values: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    differences: Mapping[str, float] = field(default_factory=dict)
    difference_intervals: Mapping[str, Interval] = field(default_factory=dict)


@dataclass
class Verdict:
    """`kind` is 'bar' or 'comparison'; `value` the metric, or its change; `verdict` '' where there is no interval.

    `bound` is the bar's, or the loss that is allowed. `passed` is what the blessing counts; a slice that is not
    `judged` passes. `text` says it to people.
    """

    kind: str
    metric: str
    slice: str
    bound: float
    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    verdict: Word = ""
    passed: bool = True
    judged: bool = True
    text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: numbers that are none are None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }


@dataclass(frozen=True)
class _Test:
    verdict: Verdict
    bar: Bar
    interval: Interval | None
    rows: float = 0.0


def judge(bars: Iterable[Bar], slices: Sequence[Judged], slice_rows: int = 0) -> list[Verdict]:
    """All verdicts, those of all rows (the first of `slices`) first. With `slice_rows` 0 no slice is judged."""
    bars = list(bars)
    values, changes = [], []
    for place, one in enumerate(slices):
        judged = place == 0 or 0 < slice_rows <= one.rows
        for bar in bars:
            if place == 0 or bar.metric in one.values:
                values.append(_bar(bar, one, judged, overall=place == 0))
            if bar.max_loss is not None and bar.metric in one.differences:
                changes.append(_change(bar, one, judged))
    _judge_slices([test for test in values if test.verdict.slice and test.verdict.judged])
    _judge_changes(changes)
    several = sum(test.verdict.judged for test in changes)
    for test in values:
        test.verdict.text = _bar_text(test)
    for test in changes:
        test.verdict.text = _change_text(test, several)
    verdicts = [test.verdict for test in (*values, *changes)]
    return sorted(verdicts, key=lambda v: bool(v.slice))


def blessed(verdicts: Iterable[Verdict]) -> bool:
    """Whether nothing stands against the model."""
    return all(verdict.passed for verdict in verdicts)


def _bar(bar: Bar, one: Judged, judged: bool, overall: bool) -> _Test:
    value, interval = one.values.get(bar.metric), one.intervals.get(bar.metric)
    verdict = Verdict(BAR, bar.metric, one.name, bar.bound, value, judged=judged)
    if interval is not None:
        verdict.low, verdict.high, verdict.method = interval.low, interval.high, interval.method
        low_in, high_in = _meets(bar, interval.low), _meets(bar, interval.high)
        verdict.verdict = "better" if low_in and high_in else UNTOLD if low_in or high_in else "worse"
    if overall:
        verdict.passed = value is not None and _meets(bar, value) and not _too_few(one.rows)
        if _too_few(one.rows):
            verdict.verdict = UNTOLD
        if bar.sure:
            worse_end = (
                None if interval is None else interval.low if bar.at_least is not None else interval.high
            )
            verdict.passed = verdict.passed and worse_end is not None and _meets(bar, worse_end)
    return _Test(verdict, bar, interval, one.rows)


def _too_few(rows: float) -> bool:
    """0 rows are a number that nobody gave."""
    return 0 < rows < FEWEST_ROWS


def _meets(bar: Bar, value: float) -> bool:
    slack = SLACK * max(1.0, abs(bar.bound))
    return bar.met_by(value) or (math.isfinite(value) and abs(value - bar.bound) <= slack)


def _change(bar: Bar, one: Judged, judged: bool) -> _Test:
    change, interval = one.differences[bar.metric], one.difference_intervals.get(bar.metric)
    assert bar.max_loss is not None
    verdict = Verdict(COMPARISON, bar.metric, one.name, bar.max_loss, change, judged=judged)
    if math.isnan(change):
        # Undefined on one side, as an area under a curve of rows of one class: neither a loss nor a gain.
        verdict.verdict = UNTOLD
        return _Test(verdict, bar, None)
    if interval is not None:
        verdict.low, verdict.high, verdict.method = interval.low, interval.high, interval.method
        verdict.verdict = UNTOLD
    return _Test(verdict, bar, interval)


def _loss(test: _Test) -> float:
    """How much worse the metric became; negative is a gain."""
    assert test.verdict.value is not None
    return -test.verdict.value if test.bar.at_least is not None else test.verdict.value


def _judge_slices(tests: Sequence[_Test]) -> None:
    """A slice fails a bar when it is shown to, its many tests corrected."""
    shown = [t for t in tests if t.interval is not None and t.verdict.verdict == WORSE]
    known = [t for t in tests if t.interval is not None]
    corrected = dict(
        zip(map(id, known), holm([chance(t.interval, t.bar.bound) for t in known if t.interval]), strict=True)
    )
    for test in shown:
        if corrected[id(test)] < 1 - LEVEL:
            test.verdict.passed = False
        else:
            test.verdict.verdict = UNTOLD


def _judge_changes(tests: Sequence[_Test]) -> None:
    """Better or worse by what is shown against no change; failed by what is shown against the loss that is allowed."""
    judged = [t for t in tests if t.verdict.judged and t.interval is not None]
    alone = [t for t in tests if not t.verdict.judged and t.interval is not None]
    against_none = holm([chance(t.interval, 0.0) for t in judged if t.interval])
    against_allowed = holm([chance(t.interval, _allowed(t)) for t in judged if t.interval])
    for test, none, allowed in zip(judged, against_none, against_allowed, strict=True):
        if none < 1 - LEVEL:
            test.verdict.verdict = "worse" if _loss(test) > 0 else "better"
        beyond = _loss(test) > test.verdict.bound + SLACK * max(1.0, abs(test.bar.bound))
        if beyond and allowed < 1 - LEVEL:
            test.verdict.passed, test.verdict.verdict = False, "worse"
    for test in alone:
        if test.interval is not None and chance(test.interval, 0.0) < 1 - LEVEL:
            test.verdict.verdict = "worse" if _loss(test) > 0 else "better"
    for test in tests:
        if test.verdict.judged and test.interval is None and not math.isnan(_loss(test)):
            # Nothing is known of its spread: the plain difference decides, as TFMA has it.
            loss = _loss(test)
            allowed = test.verdict.bound + SLACK * max(1.0, abs(test.bar.bound))
            test.verdict.passed = math.isfinite(loss) and loss <= allowed


def _allowed(test: _Test) -> float:
    """The change at which the allowed loss is used up."""
    return -test.verdict.bound if test.bar.at_least is not None else test.verdict.bound


def _where(verdict: Verdict) -> str:
    return f" of {verdict.slice}" if verdict.slice else ""


def _interval_text(verdict: Verdict) -> str:
    if verdict.low is None or verdict.high is None:
        return ""
    return f", interval {verdict.low:.4g} to {verdict.high:.4g}"


def _bar_text(test: _Test) -> str:
    verdict, bar = test.verdict, test.bar
    if verdict.value is None or math.isnan(verdict.value):
        return f"{bar}{_where(verdict)}: {'not measured' if verdict.value is None else 'undefined'}"
    if _too_few(test.rows) and not verdict.slice:
        return (
            f"{bar.metric} {verdict.value:.4f} (bar {bar}) on {test.rows:g} rows: not enough data, {FEWEST_ROWS} rows "
            "at least are judged"
        )
    met = _meets(bar, verdict.value)
    gap = abs(verdict.value - bar.bound)
    text = (
        f"{bar.metric}{_where(verdict)} {verdict.value:.4f} (bar {bar}): {'met' if met else 'missed'} by {gap:.4f}"
        f"{_interval_text(verdict)}"
    )
    if verdict.verdict == UNTOLD:
        text += ": not enough rows to be sure"
    if bar.sure and not verdict.slice and not verdict.passed:
        text += (
            ", and the bar asks for an interval"
            if verdict.low is None
            else f", and the bar asks for its {'lower' if bar.at_least is not None else 'upper'} end"
        )
    return text


def _change_text(test: _Test, several: int) -> str:
    verdict = test.verdict
    assert verdict.value is not None
    if math.isnan(verdict.value):
        return f"{verdict.metric}{_where(verdict)} is undefined for one of the two models: not compared"
    text = f"{verdict.metric}{_where(verdict)} changed by {verdict.value:+.4g} against the last blessed model"
    text += _interval_text(verdict)
    if not verdict.verdict:
        return f"{text} (allowed loss {verdict.bound:g})"
    text += f": {verdict.verdict}"
    if verdict.verdict == WORSE:
        text += f", {'within the' if verdict.passed else 'more than the'} allowed loss of {verdict.bound:g}"
    if several > 1 and verdict.judged:
        text += f" (one of {several} comparisons)"
    return text
