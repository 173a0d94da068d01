"""Whether a label is one that can be learnt: there in every row, of the expected kind, more than one class.

Asked of statistics before anything is trained. Which rows are wrong is known to the ExampleGen alone, which names them
where it can; what every ExampleGen's data has in common is checked here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from components.shards import did_you_mean

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import statistics_pb2

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Label:
    """What a card says of its label. `direct`: predictions are compared with the column, and nothing made of it."""

    key: str
    task: str
    classes: tuple[str, ...] = ()
    direct: bool = True

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Label:
        told = json.loads(text)
        return cls(**{**told, "classes": tuple(told["classes"])})


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A label in one split."""

    rows: int
    missing: int
    nan: int
    low: float | None  # of numbers
    high: float | None
    values: tuple[tuple[str, int], ...]  # of texts, the most frequent first
    distinct: int


def trouble(label: Label, splits: Mapping[str, statistics_pb2.DatasetFeatureStatistics]) -> str:
    """In words what is wrong with the label in the statistics of the splits; '' if nothing is."""
    seen = {name: _seen(split, label.key) for name, split in splits.items() if split.num_examples}
    there = {name: one for name, one in seen.items() if one is not None}
    if not there:
        if not label.direct or not seen:
            return ""
        names = sorted({_name(feature) for split in splits.values() for feature in split.features})
        return f"the label {label.key!r} is no column of the data.{did_you_mean(label.key, names)}"
    rows = sum(int(split.num_examples) for split in splits.values())
    return (
        _gaps(label, splits, there, rows)
        or _kind(label, list(there.values()))
        or _classes(label, there, rows)
    )


def _gaps(
    label: Label,
    splits: Mapping[str, statistics_pb2.DatasetFeatureStatistics],
    seen: Mapping[str, _Seen],
    rows: int,
) -> str:
    counts = {
        name: seen[name].missing + seen[name].nan if name in seen else int(split.num_examples)
        for name, split in splits.items()
    }
    gone = sum(counts.values())
    if not gone:
        return ""
    where = ", ".join(f"{count:,} in {name}" for name, count in counts.items() if count)
    return (
        f"the label {label.key!r} has no value in {gone:,} of {rows:,} rows ({where}). Drop these rows, or fill in the "
        "label"
    )


def _kind(label: Label, seen: Sequence[_Seen]) -> str:
    values = _together(seen)
    if not values:
        return _range(label, seen)
    shown = ", ".join(f"{value!r} in {count:,} rows" for value, count in values[:_SHOWN])
    if len(values) > _SHOWN:
        shown += f" and {len(values) - _SHOWN} others"
    if label.direct or label.task == "regression":
        expected = {"binary": "0 or 1", "multiclass": "0, 1, 2 and on"}.get(label.task, "a number")
        return (
            f"the label {label.key!r} is text ({shown}); {expected} is expected in a {label.task} task. Write it so "
            "in the data, or let features.py make numbers of it under another name that the card's label_key says "
            "(`viaduct new NAME --data FILE` makes a project that does)"
        )
    unknown = [(value, count) for value, count in values if value not in label.classes]
    if label.classes and unknown and len(unknown) < len(values):
        value, count = unknown[0]
        return (
            f"the label {label.key!r} is {value!r} in {count:,} rows, which is no class of the card: "
            f"{', '.join(label.classes)}. Mend the data, or add the class"
        )
    return ""


def _range(label: Label, seen: Sequence[_Seen]) -> str:
    """Numbers that are no classes."""
    low = min((one.low for one in seen if one.low is not None), default=0.0)
    high = max((one.high for one in seen if one.high is not None), default=0.0)
    most = {"binary": 1, "multiclass": len(label.classes) - 1 if label.classes else None}.get(label.task)
    if not label.direct or label.task not in ("binary", "multiclass"):
        return ""
    if low >= 0 and (most is None or high <= most):
        return ""
    expected = f"0 to {most}" if most is not None else "0 and on"
    return (
        f"the label {label.key!r} holds numbers from {low:g} to {high:g}; {expected} is expected in a {label.task} "
        "task. Write it so in the data, or let features.py make such numbers of it"
    )


def _classes(label: Label, seen: Mapping[str, _Seen], rows: int) -> str:
    """One class only, in all rows or in those that are learnt from."""
    every = list(seen.values())
    for where, some, count in (
        ("", every, rows),
        (" of split train", [one for name, one in seen.items() if name == "train"], 0),
    ):
        values = _together(some)
        lows, highs = {one.low for one in some}, {one.high for one in some}
        one_text = len(values) == 1 and all(one.distinct <= 1 for one in some)
        if some and (one_text or (not values and len(lows | highs) == 1)):
            value = repr(values[0][0]) if values else f"{next(iter(lows)):g}"
            what = "value" if label.task == "regression" else "class"
            total = count or sum(one.rows for one in some)
            return (
                f"the label {label.key!r} has one {what} ({value}) in {total:,} rows{where}: there is nothing to "
                "learn, and no area under a curve. Bring rows of the others"
            )
    return ""


def _together(seen: Sequence[_Seen]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for one in seen:
        for value, count in one.values:
            counts[value] = counts.get(value, 0) + count
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _name(feature: statistics_pb2.FeatureNameStatistics) -> str:
    return ".".join(feature.path.step) or str(feature.name)


def _seen(split: statistics_pb2.DatasetFeatureStatistics, key: str) -> _Seen | None:
    for feature in split.features:
        if _name(feature) != key:
            continue
        if feature.WhichOneof("stats") == "num_stats":
            numbers = feature.num_stats
            common, nan = numbers.common_stats, max((h.num_nan for h in numbers.histograms), default=0)
            some = common.num_non_missing > 0
            low, high = (numbers.min, numbers.max) if some else (None, None)
            return _Seen(int(split.num_examples), int(common.num_missing), int(nan), low, high, (), 0)
        common = feature.string_stats.common_stats
        values = tuple((b.label, int(b.sample_count)) for b in feature.string_stats.rank_histogram.buckets)
        unique = int(feature.string_stats.unique)
        return _Seen(int(split.num_examples), int(common.num_missing), 0, None, None, values, unique)
    return None
