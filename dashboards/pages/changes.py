"""What a data page compares: a split against the others and the span before, feature by feature, and what changed.

Computed for all features at once, so that sorting and the list of changes look at all of them and not at the page
that is shown. Writes no HTML.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from dashboards.drawing.words import percent, short
from dashboards.readers import chance
from dashboards.readers.distances import Distance, distances
from dashboards.readers.feature_stats import FeatureStats
from dashboards.readers.shared_bins import are_few_integers, largest_shift, shared, value_shares

# What the list shows; the table sorts all of them.
LISTED = 20
# A distance that is listed even where chance or coarse bins explain it; the numbers then say so.
LARGE = 0.1
DIGITS = re.compile(r"([0-9]+)")
Features = Mapping[str, FeatureStats]


@dataclass(frozen=True)
class Row:
    """A feature of the chosen split, and how far it is from each other one."""

    name: str
    stats: FeatureStats
    distances: dict[str, Distance | None]

    @property
    def furthest(self) -> float:
        return max((d.value for d in self.distances.values() if d), default=0.0)


@dataclass(frozen=True)
class Unmeasured:
    """A row before its distances are known; its statistics are read when they are asked for."""

    name: str
    features: Features
    distances: ClassVar[Mapping[str, Distance | None]] = {}
    furthest: ClassVar[float] = 0.0

    @property
    def stats(self) -> FeatureStats:
        return self.features[self.name]


@dataclass(frozen=True)
class Change:
    """A feature that differs by more than chance makes it, or by a large distance.

    `size`, from 0 to 1, orders them: the distance, or the difference of missing or NaN shares where that is larger.
    One side is None where the feature is not there. A large distance that chance and coarse bins explain is no
    change, but TFDV would report it: it is `explained`, and comes last.
    """

    name: str
    against: str
    size: float
    distance: Distance | None
    now: FeatureStats | None
    other: FeatureStats | None
    explained: bool = False


@dataclass(frozen=True)
class Comparison:
    """All features by name, and what changed, worst first."""

    rows: tuple[Row, ...]
    changes: tuple[Change, ...]


def compared(chosen: Features, against: Mapping[str, Features]) -> Comparison:
    """`chosen` against each of `against`. V2 comes before V10."""
    features = {name: chosen[name] for name in _ordered(chosen)}
    measured = {
        name: distances([(stats, theirs.get(feature)) for feature, stats in features.items()])
        for name, theirs in against.items()
    }
    rows = tuple(
        Row(feature, stats, {name: values[at] for name, values in measured.items()})
        for at, (feature, stats) in enumerate(features.items())
    )
    changes = [
        change
        for row in rows
        for name, theirs in against.items()
        if (change := _change(row, name, theirs.get(row.name)))
    ]
    changes += [
        Change(feature, name, 1.0, None, None, stats)
        for name, theirs in against.items()
        for feature in theirs
        if feature not in features
        for stats in [theirs[feature]]
    ]
    return Comparison(rows, tuple(sorted(changes, key=lambda change: (change.explained, -change.size))))


def unmeasured(chosen: Features) -> tuple[Unmeasured, ...]:
    """The rows of `compared` without what takes its time."""
    return tuple(Unmeasured(name, chosen) for name in _ordered(chosen))


def _ordered(features: Features) -> list[str]:
    return sorted(features, key=_natural)


def _change(row: Row, against: str, other: FeatureStats | None) -> Change | None:
    now, distance = row.stats, row.distances[against]
    if other is None:
        return Change(row.name, against, 1.0, None, now, None)
    sizes = [distance.value] if distance and chance.changed(distance, now, other) else []
    for mine, theirs in ((now.missing, other.missing), (_nan(now), _nan(other))):
        if now.rows and other.rows and chance.shares_differ(mine, theirs, 1 / now.rows + 1 / other.rows):
            sizes.append(abs(mine - theirs))
    if now.type != other.type:
        sizes.append(1.0)
    if sizes:
        return Change(row.name, against, max(sizes), distance, now, other)
    if distance and distance.value > LARGE:
        return Change(row.name, against, distance.value, distance, now, other, explained=True)
    return None


def _nan(feature: FeatureStats) -> float:
    return feature.nan / feature.present if feature.present else 0.0


def in_numbers(change: Change, name: Callable[[str, str], str] = lambda column, value: value) -> list[str]:
    """What changed, from what it is compared with to what it is now; `name` calls the values of a column."""
    now, other = change.now, change.other
    if now is None or other is None:
        return [f"only in {change.against}" if now is None else f"not in {change.against}"]
    texts = [f"type {other.type} → {now.type}"] if now.type != other.type else []
    for what, a, b in (("missing", other.missing, now.missing), ("NaN", _nan(other), _nan(now))):
        if percent(a) != percent(b):
            texts.append(f"{what} {percent(a)} → {percent(b)}")
    if now.categorical and other.categorical and change.distance:
        values = dict.fromkeys([*chance.surprises(now, other)[:3], change.distance.at])
        shares = value_shares(other), value_shares(now)
        texts += [_of_value(value, *shares, name(change.name, value)) for value in values]
    elif now.numeric and other.numeric:
        texts += _of_numbers(now, other, functools.partial(name, change.name))
    if change.explained:
        texts.append("no more than chance and far values explain, which widen TFDV's bins")
    return texts


def _of_value(value: str, other: Mapping[str, float], now: Mapping[str, float], called: str) -> str:
    return f"share of {called[:60]}: {percent(other.get(value, 0.0))} → {percent(now.get(value, 0.0))}"


def _of_numbers(now: FeatureStats, other: FeatureStats, name: Callable[[str], str]) -> list[str]:
    """Whole numbers by the share that differs most, others by what has moved visibly beside their deviation."""
    bins = shared({"now": now, "other": other}) if are_few_integers((now, other)) else None
    if bins:
        was, is_now = (dict(zip(bins.names, bins.shares[side], strict=True)) for side in ("other", "now"))
        # The largest of equals: of zeros and ones it is the ones that are counted.
        value = max(bins.names, key=lambda k: (round(abs(was[k] - is_now[k]), 9), int(k)))
        return [_of_value(value, was, is_now, name(value))]
    visible = 0.02 * max(other.deviation or 0.0, now.deviation or 0.0)
    texts = [
        f"{what} {short(old)} → {short(new)}"
        for what, old, new in (
            ("mean", other.mean, now.mean),
            ("deviation", other.deviation, now.deviation),
            ("least", other.minimum, now.minimum),
            ("median", other.median, now.median),
            ("most", other.maximum, now.maximum),
        )
        if old is not None and new is not None and abs(new - old) > visible
    ]
    shift = largest_shift(now, other)
    return [*texts, f"up to {percent(round(shift, 3))} of rows moved"] if shift >= 0.001 else texts


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(part), "") if DIGITS.fullmatch(part) else (0, 0, part.lower())
        for part in DIGITS.split(name)
        if part
    ]
