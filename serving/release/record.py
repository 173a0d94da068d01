"""A release as it is kept: what goes where, how far it has come, and a journal of every step with its reason.

Pure values and their JSON; `serving.release.folder` reads and writes the files. A record is sealed, so that one that
was torn or edited by hand is not believed. Standard library only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from serving.release import plan as plans
from serving.release.plan import Plan
from serving.release.split import Split

IN_FLIGHT = ("shadow", "canary", "held")
STATES = (*IN_FLIGHT, "promoted", "rolled_back")
CONTROLLER = "controller"


class RecordError(ValueError):
    """A text that is no record, or not the one that was written."""


@dataclass(frozen=True)
class Release:
    """One candidate's way. `step` is the place in the plan's shares, `elapsed` the seconds that controllers have
    watched it there; `fence` the number of the controller that wrote it. `judgement` is the last one, for people."""

    number: int
    baseline: int
    candidate: int
    plan: Plan = field(default_factory=Plan)
    state: str = "shadow"
    step: int = 0
    elapsed: float = 0.0
    fence: int = 0
    approved: bool = False
    judgement: dict[str, Any] = field(default_factory=dict)
    journal: tuple[dict[str, Any], ...] = ()

    @property
    def in_flight(self) -> bool:
        return self.state in IN_FLIGHT

    @property
    def share(self) -> float:
        return self.plan.shares[self.step] if self.in_flight else float(self.state == "promoted")

    @property
    def winner(self) -> int:
        """The version that requests without a version are answered by, when the release has ended."""
        return self.candidate if self.state == "promoted" else self.baseline

    @property
    def loser(self) -> int:
        return self.baseline if self.state == "promoted" else self.candidate

    def split(self) -> Split | None:
        """None when the release has ended."""
        if not self.in_flight:
            return None
        shadow = self.plan.shadow_rate if self.share == 0 else 0.0
        return Split(
            self.number, self.baseline, self.candidate, self.share, salt(self.number, self.candidate), shadow,
            self.plan.patience_s, self.plan.test is not None,
        )  # fmt: skip

    def moved(self, state: str, why: str, *, step: int | None = None, who: str = CONTROLLER) -> Release:
        """The record after a step, with its line in the journal."""
        step = self.step if step is None else step
        after = dataclasses.replace(self, state=state, step=step, elapsed=0.0)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "state": state,
            "share": after.share, "who": who, "why": why, "judgement": self.judgement,
        }  # fmt: skip
        return dataclasses.replace(after, journal=(*self.journal, line))


def salt(number: int, candidate: int) -> str:
    """Of a release: another one sends other keys first."""
    return f"{number}:{candidate}:"


def begun(number: int, baseline: int, candidate: int, plan: Plan, who: str, why: str) -> Release:
    """A new release at the first step of its plan."""
    fresh = Release(number, baseline, candidate, plan)
    return fresh.moved("shadow" if plan.shares[0] == 0 else "canary", why, step=0, who=who)


def _seal(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def to_text(release: Release) -> str:
    body = {
        **{f.name: getattr(release, f.name) for f in dataclasses.fields(release)},
        "plan": release.plan.as_json(), "journal": list(release.journal),
    }  # fmt: skip
    body = json.loads(json.dumps(body))
    return json.dumps({**body, "seal": _seal(body)}, indent=1) + "\n"


def from_text(text: str | bytes) -> Release:
    """Raises RecordError."""
    try:
        body = json.loads(text)
        seal = body.pop("seal", None)
        if seal != _seal(body):
            raise RecordError("it is not as it was written: its seal does not fit")
        body["plan"] = plans.from_json(body["plan"])
        body["journal"] = tuple(body["journal"])
        release = Release(**body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise error if isinstance(error, RecordError) else RecordError(f"it is no record ({error})") from None
    if release.state not in STATES or not 0 <= release.step < len(release.plan.shares):
        raise RecordError(f"its state {release.state!r} at step {release.step} cannot be")
    return release
