"""All that is known before a project is written: source, target, columns with their roles, baseline, decisions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components import later_rows, splitting
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.newdata import baseline, columns, splits
from pipelines.base.newdata.baseline import Baseline
from pipelines.base.newdata.columns import Column, Role
from pipelines.base.newdata.reading import Source
from pipelines.base.newdata.target import Target, texts
from pipelines.base.tabular.features import xf

if TYPE_CHECKING:
    import pyarrow as pa

BUCKETS = {"train": 4, "eval": 1}
LEAK = 0.995  # of `baseline.telling`
MOST_SLICES, SLICE_VALUES = 3, 12
# Fewer rows, or fewer of them to judge by, tell too little for any of it.
FEWEST_ROWS, FEWEST_JUDGES = 100, 20


@dataclasses.dataclass(frozen=True)
class Findings:
    """`columns` in the table's order, the label's too; `slices` are names of categories, the most telling first."""

    name: str
    source: Source
    target: Target
    columns: tuple[Column, ...]
    slices: tuple[str, ...]
    baseline: Baseline
    train_rows: int
    eval_rows: int
    split_time: str = ""

    def of(self, *roles: Role) -> list[Column]:
        return [column for column in self.columns if column.role in roles]

    @property
    def features(self) -> list[Column]:
        return features_of(self.columns)

    @property
    def key(self) -> str | None:
        keys = [] if self.split_time else self.of(Role.KEY)
        return keys[0].name if keys else None

    @property
    def default(self) -> str:
        """The variant to take: `linear` unless another was better by half a standard error, which of a large table a
        network is trusted to be where trees are not."""
        gains = {"boosted": self._gain(self.baseline.boosted)}
        if self.baseline.network is not None:
            gains["dense"] = self._gain(self.baseline.network)
        best = max(gains, key=lambda name: gains[name])
        if gains[best] > self.baseline.noise / 2:
            return best
        return "linear" if "dense" in gains else "dense"

    def _gain(self, value: float) -> float:
        """How much better than the linear model's a figure is."""
        gain = value - self.baseline.linear
        return -gain if self.baseline.smaller_is_better else gain

    @property
    def linear_gain(self) -> float:
        """How much better than the naive answer the linear model was; negative where it was worse."""
        return -self._gain(self.baseline.naive)

    @property
    def bar(self) -> float:
        """Clearly better than the naive answer: what the linear model reaches, less a tenth of the way back or two
        standard errors, but never less than half of the way. Where it was no better, a standard error past naive."""
        towards = -1.0 if self.baseline.smaller_is_better else 1.0
        if self.linear_gain <= 0:
            return self.baseline.naive + towards * self.baseline.noise
        allowed = min(max(self.linear_gain / 10, 2 * self.baseline.noise), self.linear_gain / 2)
        return self.baseline.linear - towards * allowed


def features_of(found: Sequence[Column]) -> list[Column]:
    return [column for column in found if column.role not in (Role.OUT, Role.KEY, Role.LABEL)]


def find(name: str, source: Source, chosen: Target, keep: Sequence[str] = (), split_by: str = "") -> Findings:
    """Judges everything. Whatever looks at the label looks at rows of the training split alone.

    `keep` are columns that stay although they give the label away. `split_by` is `time:COLUMN` (later rows judge),
    `key:COLUMN` (rows of one value stay together) or empty. Raises ProjectError for data that nothing can be learned
    from.
    """
    how, by = splits.asked(split_by, source.table.column_names, chosen.name)
    for column in keep:
        if column not in source.table.column_names:
            raise ProjectError("--keep: " + close_match("Column", column, source.table.column_names))
    judged = [
        dataclasses.replace(column, role=Role.LABEL, about=f"what is predicted ({chosen.why})")
        if column.name == chosen.name
        else column
        for column in columns.judge(source.table)
    ]
    judged = splits.one_key(judged, how, by)
    time = by if how == splits.TIME else ""
    train, _ = split(source, judged, time)
    told = {column.name: baseline.telling(train, column, chosen) for column in features_of(judged)}
    judged = [
        dataclasses.replace(column, role=Role.OUT, about=_leaks(column, told[column.name], chosen))
        if told.get(column.name, 0.0) > LEAK and column.name not in keep
        else column
        for column in judged
    ]
    _check(source, judged)
    # Without the columns that are left out the rows are split anew.
    train, evaluation = split(source, judged, time)
    if train.num_rows < FEWEST_ROWS - FEWEST_JUDGES or evaluation.num_rows < FEWEST_JUDGES:
        raise ProjectError(
            f"{source.path} has {source.table.num_rows:,} rows, {evaluation.num_rows:,} of them to judge by; expected "
            f"about {FEWEST_ROWS} and {FEWEST_JUDGES} at least. (Equal rows are never split.)"
        )
    _check_classes(source, train, chosen)
    measured = baseline.measure(train, features_of(judged), chosen, evaluation.num_rows, by_time=bool(time))
    slices = sorted(
        (c for c in judged if c.role is Role.CATEGORY and c.distinct <= SLICE_VALUES),
        key=lambda column: -told[column.name],
    )
    names = tuple(column.name for column in slices[:MOST_SLICES])
    counts = train.num_rows, evaluation.num_rows
    return Findings(name, source, chosen, tuple(judged), names, measured, *counts, time)


def split(source: Source, judged: Sequence[Column], time: str = "") -> tuple[pa.Table, pa.Table]:
    """(training rows, evaluation rows) as the project's ExampleGen will split them; by `time` both in its order."""
    import numpy as np
    import pyarrow as pa

    buckets = list(BUCKETS.values())
    if time:
        where = str(source.path)
        moments = later_rows.moments(source.table.column(time), time, where)
        place = later_rows.split_numbers(moments, later_rows.bounds(moments, buckets, time, where))
        order = np.argsort(moments, kind="stable")
        train, evaluation = (
            source.table.take(pa.array(order[place[order] == n])) for n in range(len(buckets))
        )
        return train, evaluation

    names = [column.name for column in judged if column.role not in (Role.OUT,)]
    keys = [column.name for column in judged if column.role is Role.KEY]
    batch = source.table.select(names).combine_chunks().to_batches()
    hashes = np.concatenate([splitting.row_hashes(part, keys or None) for part in batch])
    place = splitting.split_numbers(hashes, buckets)
    train, evaluation = (source.table.filter(pa.array(place == number)) for number in range(len(BUCKETS)))
    return train, evaluation


def _leaks(column: Column, told: float, chosen: Target) -> str:
    measure = f"AUC {told:.3f}" if chosen.classes else f"{told:.1%} of the variance"
    return f"gives the label away ({measure} alone); --keep {column.name} takes it nevertheless"


def _check_classes(source: Source, train: pa.Table, chosen: Target) -> None:
    """Two classes at least must be frequent enough to be measured."""
    if not chosen.classes:
        return
    counts = Counter(texts(train.column(chosen.name)))
    rare = [name for name in chosen.classes if counts[name] < baseline.LEAST_OF_CLASS]
    if len(chosen.classes) - len(rare) < 2:
        raise ProjectError(
            f"{source.path}: {chosen.name!r} is {rare[0]!r} in {counts[rare[0]]} of {train.num_rows:,} training rows; "
            f"expected {baseline.LEAST_OF_CLASS} at least of two values. Take more rows, or another --label."
        )


def _check(source: Source, judged: Sequence[Column]) -> None:
    features = features_of(judged)
    if not features:
        raise ProjectError(
            f"{source.path}: no column is left to learn from: "
            + "; ".join(f"{c.name}: {c.about}" for c in judged if c.role is Role.OUT)
            + ". Take other data, or --keep a column."
        )
    named: dict[str, str] = {}
    for column in features:
        other = named.setdefault(xf(column.name), column.name)
        if other != column.name:
            raise ProjectError(
                f"{source.path}: the columns {other!r} and {column.name!r} would both be {xf(column.name)!r}. "
                "Rename one."
            )
