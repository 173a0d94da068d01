"""A release's plan: the shares that a candidate goes through, and what has to be shown on the way.

Checks itself on construction; reads the command line's words and JSON. Standard library only.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHADOW = "shadow"
TIMEOUTS = ("hold", "rollback")


class PlanError(ValueError):
    """A plan, or a command on a release, that cannot be."""


@dataclass(frozen=True)
class Plan:
    """shares: of the traffic, growing, the last one 1; 0 is the shadow and may stand first.
    margin: the last step before 1 ends when "at least `margin` times as bad as the baseline" is refuted
    step_s, limit_s: seconds that a step takes at least, unless more is shown sooner, and at most
    on_timeout: what a step that shows too little within `limit_s` becomes
    tolerable: a rate of events below which no ratio is asked
    shadow_rate: share of the requests that are repeated in the shadow
    max_changed: share of the shadowed answers that may have another label than the live one's; None: any
    approve: whether a person is asked before the last step
    patience_s: how long the candidate may take over one answer
    test: what an A/B test asks for which this split stands (`serving.ab.trial` reads it); None: it is a release
    """

    shares: tuple[float, ...] = (0.0, 0.01, 0.05, 0.25, 0.5, 1.0)
    margin: float = 1.5
    on_timeout: str = "hold"
    step_s: float = 720.0
    limit_s: float = 3600.0
    tolerable: float = 0.001
    shadow_rate: float = 0.1
    max_changed: float | None = None
    approve: bool = False
    patience_s: float = 10.0
    test: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        shares = self.shares
        growing = all(a < b for a, b in itertools.pairwise(shares))
        _require(
            len(shares) > 1 and growing and shares[0] >= 0 and shares[-1] == 1,
            "shares", shares, "two or more growing shares of 0 to 1, the last one 1",
        )  # fmt: skip
        _require(1 < self.margin <= 32, "margin", self.margin, "a ratio above 1, at most 32")
        _require(self.on_timeout in TIMEOUTS, "on_timeout", self.on_timeout, "'hold' or 'rollback'")
        _require(0 < self.step_s <= self.limit_s < math.inf, "step_s, limit_s", (self.step_s, self.limit_s),
                 "seconds, the first not above the second")  # fmt: skip
        _require(0 < self.tolerable < 1, "tolerable", self.tolerable, "a rate between 0 and 1")
        _require(0 < self.shadow_rate <= 1, "shadow_rate", self.shadow_rate, "a share above 0, at most 1")
        _require(
            self.max_changed is None or 0 < self.max_changed < 1,
            "max_changed", self.max_changed, "None or a share between 0 and 1",
        )  # fmt: skip
        _require(self.patience_s > 0, "patience_s", self.patience_s, "a positive number of seconds")
        _require(self.test is None or isinstance(self.test, dict), "test", self.test, "None or an object")

    def name(self, step: int) -> str:
        """What people call a step: "shadow", "5 %"."""
        return SHADOW if self.shares[step] == 0 else f"{100 * self.shares[step]:g} %"

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "shares": list(self.shares)}


def _require(condition: bool, field: str, got: object, expected: str) -> None:
    if not condition:
        raise PlanError(f"Plan: {field} is {got!r}; expected {expected}.")


def shares(text: str) -> tuple[float, ...]:
    """The shares that "shadow,1,5,25,50,100" means: words and percentages. Raises PlanError."""
    found = []
    for word in (part.strip() for part in text.split(",")):
        try:
            found.append(0.0 if word == SHADOW else float(word.removesuffix("%")) / 100)
        except ValueError:
            raise PlanError(f"Plan: step is {word!r}; expected 'shadow' or a percentage.") from None
    return tuple(found)


def from_json(value: Mapping[str, Any]) -> Plan:
    """Raises PlanError for anything that is no plan."""
    known = {field.name for field in dataclasses.fields(Plan)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise PlanError(f"Plan: field {unknown[0]!r} does not exist; known: {', '.join(sorted(known))}.")
    try:
        return Plan(**{**value, "shares": tuple(float(s) for s in value.get("shares", Plan.shares))})
    except TypeError as error:
        raise PlanError(f"Plan: {dict(value)!r} is no plan ({error}).") from None
