"""An A/B test as it stands: the two versions' numbers, the difference with its interval at each look, the ratio of the
users, and what follows from that. Computed from files alone, so that everybody who looks sees the same.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from serving.ab import means, proportions, ratio, trial
from serving.ab.proportions import Floats, Looks
from serving.ab.trial import HIGHER, MEAN, Trial
from serving.ab.units import Feedback, Settled
from serving.release.record import Release

# Looks are at so many users and whenever their number has grown by this factor: chosen before anything is known.
FIRST_LOOK, GROWTH = 20, 1.05
# Of a test that ended long ago.
GONE = "no user of it is kept; its journal says how it stood when it ended"


@dataclass(frozen=True)
class Arm:
    """users: so many came; settled: of those, the ones who are counted; value: their share or mean (None: nobody)."""

    version: int
    users: int
    settled: int
    value: float | None


@dataclass(frozen=True)
class Result:
    """`looks`: (time, users counted, difference, low, high), oldest first; without an end where nothing is known.
    `p_ratio`: of the ratio of the users being the one asked for. `counts`: of outcomes, by what became of them."""

    trial: Trial
    share: float
    a: Arm
    b: Arm
    difference: float | None
    low: float | None
    high: float | None
    e_value: float
    p_ratio: float
    decision: str
    began: float
    looks: tuple[tuple[float, int, float | None, float | None, float | None], ...]
    counts: dict[str, int]

    @property
    def ratio_holds(self) -> bool:
        return self.p_ratio >= ratio.STOPS

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def moments(users: int) -> list[int]:
    """How many users each look has seen; the last one has seen all."""
    found, at = [], FIRST_LOOK
    while at < users:
        found.append(at)
        at = max(at + 1, math.ceil(at * GROWTH))
    return [*found, users] if users else []


def began(release: Release) -> float:
    """When a release began, seconds since 1970."""
    return datetime.fromisoformat(release.journal[0]["time"]).timestamp() if release.journal else 0.0


def share(release: Release) -> float:
    """Of the keys that B answers while the test runs."""
    return release.plan.shares[0]


def of(release: Release, feedback: Feedback, now: float) -> Result | None:
    """The test that a release is for; None where it is for none. `feedback` has been read. Raises PlanError."""
    asked = trial.of_plan(release.plan)
    if asked is None:
        return None
    joined = feedback.joined(release.number, asked, now)
    settled, p = joined.settled, share(release)
    at = np.array(moments(len(settled.at)), int) - 1
    looks, values, difference = _judged(asked, settled, at, p)
    arms = tuple(
        Arm(
            version,
            int(np.count_nonzero(joined.first[:, 1] == is_b)),
            int(np.count_nonzero(settled.is_b == is_b)),
            _finite(values[is_b]),
        )
        for version, is_b in ((release.baseline, 0), (release.candidate, 1))
    )
    low, high = (_finite(side[-1]) if len(at) else None for side in (looks.low, looks.high))
    p_ratio = sample_ratio(joined.first[:, 1], p)
    known = release.in_flight or len(joined.first) > 0
    return Result(
        asked, p, arms[0], arms[1], _finite(difference[-1]) if len(at) else None, low, high,
        float(np.exp(min(looks.log_e[-1], 700.0))) if len(at) else 1.0, p_ratio,
        _decision(asked, arms[1], low, high, p_ratio) if known else GONE, began(release),
        tuple(
            (float(settled.at[i]), int(i) + 1, _finite(d), _finite(lower), _finite(upper))
            for i, d, lower, upper in zip(at, difference, looks.low, looks.high, strict=True)
        ),
        {word: number for word, number in joined.counts.items() if number or word == "counted"},
    )  # fmt: skip


def sample_ratio(is_b: Floats, p: float) -> float:
    """The p-value of the users' ratio, over all users in the order in which they came."""
    at = np.array(moments(len(is_b)), int) - 1
    users_b = np.cumsum(is_b)[at]
    return ratio.p_value(at + 1 - users_b, users_b, p)


def _judged(
    asked: Trial, settled: Settled, at: np.ndarray[Any, Any], p: float
) -> tuple[Looks, tuple[float, float], Floats]:
    """The looks, either arm's value, and the difference at each look."""
    b, y = settled.is_b, settled.value
    sums = [np.cumsum(column)[at] for column in (1 - b, (1 - b) * y, (1 - b) * y * y, b, b * y, b * y * y)]
    n_a, k_a, _, n_b, k_b, _ = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        value_a, value_b = k_a / n_a, k_b / n_b
    if not len(at):
        nothing = np.zeros(0)
        return Looks(nothing, nothing, nothing), (math.nan, math.nan), nothing
    if asked.kind == MEAN:
        looks = means.intervals(np.stack(sums, axis=1), asked.alpha, asked.effect)
    else:
        looks = proportions.intervals(np.stack([n_a, k_a, n_b, k_b], axis=1), p, asked.alpha)
    return looks, (float(value_a[-1]), float(value_b[-1])), value_b - value_a


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _decision(asked: Trial, b: Arm, low: float | None, high: float | None, p_ratio: float) -> str:
    if p_ratio < ratio.STOPS:
        return "no answer: the users are not split as asked, so that somebody is not counted"
    above, below = low is not None and low > 0, high is not None and high < 0
    if above or below:
        return f"version {b.version} is {'better' if above == (asked.better == HIGHER) else 'worse'}"
    return "no difference is shown yet"
