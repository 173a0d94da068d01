"""What an A/B test asks: which number of a user, over how long, and how sure one wants to be.

It stands in the plan of the release that divides the requests (`Plan.test`), so that one sealed record says who gets
which version and what that is for. Checks itself. Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.release.plan import Plan, PlanError

SHARE, MEAN = "share", "mean"
HIGHER, LOWER = "higher", "lower"
# A test is ended by people, by the guards of its release, or by its sample ratio; not by time.
YEARS_S = 10 * 365 * 86400.0


@dataclass(frozen=True)
class Trial:
    """metric: the name of an outcome
    kind: "share" of the users with an outcome of 1, or the "mean" over users of the sum of their outcomes
    better: whether "higher" or "lower" is better
    window_s: how long after a user's first request an outcome counts; a user is counted when that is over
    alpha: how often the interval may miss the truth, at whichever looks, 0 < alpha < 0.5
    effect: of a mean, the difference that is looked for; None: a tenth of its standard deviation
    """

    metric: str
    kind: str = SHARE
    better: str = HIGHER
    window_s: float = 86400.0
    alpha: float = 0.05
    effect: float | None = None

    def __post_init__(self) -> None:
        _require(isinstance(self.metric, str) and bool(self.metric), "metric", self.metric, "a name")
        _require(self.kind in (SHARE, MEAN), "kind", self.kind, "'share' or 'mean'")
        _require(self.better in (HIGHER, LOWER), "better", self.better, "'higher' or 'lower'")
        _require(0 <= self.window_s < math.inf, "window", self.window_s, "seconds, 0 or more")
        _require(0 < self.alpha < 0.5, "alpha", self.alpha, "a number between 0 and 0.5")
        _require(self.effect is None or 0 < self.effect < math.inf, "effect", self.effect, "a number above 0")

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _require(condition: bool, field: str, got: object, expected: str) -> None:
    if not condition:
        raise PlanError(f"A/B test: {field} is {got!r}; expected {expected}.")


def of_plan(plan: Plan) -> Trial | None:
    """The test that a release is for; None for a release that is none. Raises PlanError."""
    return None if plan.test is None else from_json(plan.test)


def from_json(value: Mapping[str, Any]) -> Trial:
    """Raises PlanError for anything that is no test."""
    unknown = sorted(set(value) - {field.name for field in dataclasses.fields(Trial)})
    if unknown:
        raise PlanError(f"A/B test: field {unknown[0]!r} does not exist.")
    try:
        return Trial(**value)
    except TypeError as error:
        raise PlanError(f"A/B test: {dict(value)!r} is no test ({error}).") from None


def plan(trial: Trial, share: float) -> Plan:
    """The plan of a release that is a test: one share for as long as it lasts, guarded as every release is."""
    if not 0 < share < 1:
        raise PlanError(f"A/B test: share is {share!r}; expected a number between 0 and 1.")
    return Plan(shares=(share, 1.0), limit_s=YEARS_S, approve=True, test=trial.as_json())
