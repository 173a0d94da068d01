"""The parts of a card that say how a blessed model comes to its traffic, and how it is looked after then.

Release (the server's plan), Rehearsal (before the push) and Watch (the closed loop). Frozen dataclasses that check
themselves; standard library only.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.base.errors import ProjectError


def require(condition: bool, owner: str, field_name: str, got: object, expected: str) -> None:
    """Raises ProjectError naming the field of a card unless `condition`."""
    if not condition:
        raise ProjectError(f"{owner}: {field_name} is {got!r}; expected {expected}.")


@dataclass(frozen=True)
class Release:
    """How the server gives a pushed version its traffic, instead of all at once; serving/README.md says how it judges.

    `steps` are "shadow" and percentages of the requests, the last one 100. A step lasts `step_minutes` unless more is
    shown sooner; before all traffic it has to be refuted that the version is `margin` times as bad as the one before.
    What `limit_minutes` do not show is held or rolled back (`on_timeout`). A rate of errors below `tolerable` is no
    matter; of the shadowed answers at most `max_changed` may have another label (None: any number). With `approve` a
    person is asked before the last step.
    """

    steps: str = "shadow,1,5,25,50,100"
    margin: float = 1.5
    on_timeout: Literal["hold", "rollback"] = "hold"
    step_minutes: float = 12.0
    limit_minutes: float = 60.0
    tolerable: float = 0.001
    max_changed: float | None = None
    approve: bool = False

    def __post_init__(self) -> None:
        shares = self.shares()
        growing = all(a < b for a, b in itertools.pairwise(shares))
        require(
            len(shares) > 1 and growing and shares[0] >= 0 and shares[-1] == 1,
            "Release", "steps", self.steps, "'shadow' and growing percentages, the last one 100",
        )  # fmt: skip
        require(1 < self.margin <= 32, "Release", "margin", self.margin, "a ratio above 1, at most 32")
        require(
            self.on_timeout in ("hold", "rollback"),
            "Release",
            "on_timeout",
            self.on_timeout,
            "'hold' or 'rollback'",
        )
        require(
            0 < self.step_minutes <= self.limit_minutes, "Release", "step_minutes, limit_minutes",
            (self.step_minutes, self.limit_minutes), "minutes, the first not above the second",
        )  # fmt: skip
        require(0 < self.tolerable < 1, "Release", "tolerable", self.tolerable, "a rate between 0 and 1")
        require(
            self.max_changed is None or 0 < self.max_changed < 1,
            "Release", "max_changed", self.max_changed, "None or a share between 0 and 1",
        )  # fmt: skip

    def shares(self) -> tuple[float, ...]:
        """The steps as shares of the requests; the shadow is 0."""
        try:
            words = [word.strip() for word in self.steps.split(",")]
            return tuple(0.0 if word == "shadow" else float(word) / 100 for word in words)
        except ValueError:
            raise ProjectError(
                f"Release: steps is {self.steps!r}; expected words like 'shadow,1,5,25,50,100'."
            ) from None

    def plan(self) -> dict[str, object]:
        """The plan as the server reads it (`.release/plan.json` in the served folder)."""
        return {
            "shares": list(self.shares()), "margin": self.margin, "on_timeout": self.on_timeout,
            "step_s": self.step_minutes * 60, "limit_s": self.limit_minutes * 60, "tolerable": self.tolerable,
            "max_changed": self.max_changed, "approve": self.approve,
        }  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """What a blessed model has to show on a server of its own before it is pushed; serving/README.md says how.

    Requests last `seconds` (`quick_seconds` in the quick profile), at half, once and twice the observed rate, or `rate`
    a second where none was observed. Bars beside "no error" and "all finite": the p99 at most `latency_ratio` times
    the served version's (median of pairs), the server's memory at most `memory_ratio` times its and `memory_mb`
    (None: any), answers at most `parity` from the export's own (None: not asked, for models that draw at random).
    """

    seconds: float = 30.0
    quick_seconds: float = 3.0
    rate: float = 100.0
    latency_ratio: float = 1.5
    memory_ratio: float = 1.5
    memory_mb: float | None = None
    parity: float | None = 1e-5
    load_minutes: float = 2.0

    def __post_init__(self) -> None:
        for name in ("seconds", "quick_seconds", "rate", "load_minutes"):
            got = getattr(self, name)
            require(got > 0, "Rehearsal", name, got, "a positive number")
        for name in ("latency_ratio", "memory_ratio"):
            got = getattr(self, name)
            require(got >= 1, "Rehearsal", name, got, "a ratio of at least 1")
        for name in ("memory_mb", "parity"):
            got = getattr(self, name)
            require(got is None or got > 0, "Rehearsal", name, got, "None or a positive number")

    def terms(self, *, quick: bool) -> dict[str, Any]:
        """The bars as the rehearsal reads them (serving.rehearsal.terms)."""
        return {
            "seconds": self.quick_seconds if quick else self.seconds, "rate": self.rate,
            "latency_ratio": self.latency_ratio, "memory_ratio": self.memory_ratio, "memory_mb": self.memory_mb,
            "parity": self.parity, "load_s": self.load_minutes * 60,
        }  # fmt: skip


@dataclass(frozen=True)
class Watch:
    """How the served model is looked after (`viaduct watch P`): what counts as drift, and when a new one is trained.

    A window is `rows` logged rows that one version answered; a feature that is beyond its bound in `windows` windows in
    a row is an alarm. So is a metric of the card's bars that outcomes show to be worse than in the evaluation: they are
    called `outcome` (the label's name in the raw data unless given), and an answer waits for its own, and counts, for
    `outcome_days`. A new model is trained `on_drift`, `on_quality`, after `new_rows` rows in new spans, or
    `every_hours` (None: never for that reason); never within `cooldown_hours` of the last start or while a release is
    in flight. Columns that move by themselves, as a clock or a counter, are left out by name (`without`).
    """

    rows: int = 1000
    windows: int = 3
    on_drift: bool = True
    new_rows: int | None = None
    every_hours: float | None = None
    cooldown_hours: float = 24.0
    without: tuple[str, ...] = ()
    outcome: str = ""
    outcome_days: float = 30.0
    on_quality: bool = True

    def __post_init__(self) -> None:
        require(self.outcome_days > 0, "Watch", "outcome_days", self.outcome_days, "a positive number")
        require(self.rows >= 20, "Watch", "rows", self.rows, "20 or more")
        require(self.windows >= 1, "Watch", "windows", self.windows, "1 or more")
        require(self.cooldown_hours >= 0, "Watch", "cooldown_hours", self.cooldown_hours, "0 or more")
        for name in ("new_rows", "every_hours"):
            got = getattr(self, name)
            require(got is None or got > 0, "Watch", name, got, "None or a positive number")
