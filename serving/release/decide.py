"""What becomes of a release, from what is known of it now: pure functions, no clock, no files.

A step ends when the judge has refuted that the candidate is `margin` times as bad, or when its time is over and
nothing speaks against the candidate; the last one, before all traffic, only in the first way. Whatever speaks against
it rolls it back. A step that shows too little until its limit is held or rolled back, as the plan says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from serving.release import judge, tally
from serving.release.plan import Plan
from serving.release.record import Release
from serving.release.tally import CANDIDATE, Tally

ROLL_BACK_AT, PROMOTE_AT = 0.01, 0.05
# Requests that a step has to bring to the candidate before time alone ends it.
FEW = 50
# Servers that may end without notice during a release before it is the candidate's fault; one may be a person's.
ENDS_LOADING, ENDS = 2, 3


@dataclass(frozen=True)
class Health:
    """What is known beside the counts. candidate, baseline: "AVAILABLE", "LOADING", "" (unknown), or "broken: why".
    `ends_loading` servers ended without notice while they loaded the candidate, `ends` altogether."""

    candidate: str = "AVAILABLE"
    baseline: str = "AVAILABLE"
    candidate_there: bool = True
    baseline_there: bool = True
    ends_loading: int = 0
    ends: int = 0


class Move(NamedTuple):
    """`step`: the place in the plan's shares."""

    state: str
    step: int
    why: str


class Verdict(NamedTuple):
    """A guard's e-values, as logarithms, and what they come from."""

    worse: float
    fine: float
    rare: float
    events: float
    asked: float
    baseline_events: float
    baseline_asked: float

    @property
    def passes(self) -> bool:
        return max(self.fine, self.rare) >= math.log(1 / PROMOTE_AT)


def verdicts(plan: Plan, counted: Tally) -> dict[str, Verdict]:
    """By guard, over the whole release."""
    found = {}
    for guard in tally.GUARDS:
        counts = tally.counts(counted, guard)
        events, asked = sum(c.candidate for c in counts), sum(c.candidate_asked for c in counts)
        found[guard] = Verdict(
            judge.log_worse(counts),
            judge.log_fine(counts, plan.margin),
            judge.log_rare(events, asked, plan.tolerable),
            events,
            asked,
            sum(c.baseline for c in counts),
            sum(c.baseline_asked for c in counts),
        )
    return found


def against(plan: Plan, found: dict[str, Verdict], counted: Tally) -> str | None:
    """Why the candidate is to be rolled back; None where nothing that was counted says so."""
    if tally.of(counted, "five_alone"):
        return "five answers in a row failed that the baseline then gave"
    guards = len(found) + (plan.max_changed is not None)
    bound = math.log(guards / ROLL_BACK_AT)
    for guard, v in found.items():
        if v.worse >= bound:
            return (
                f"{guard}: {v.events:g} of {v.asked:g} requests, the baseline {v.baseline_events:g} of "
                f"{v.baseline_asked:g}; e-value {math.exp(min(v.worse, 700)):.3g} of {guards / ROLL_BACK_AT:g}"
            )
    if plan.max_changed is not None:
        changed, compared = tally.of(counted, "changed"), tally.of(counted, "compared")
        said = judge.log_common(changed, compared, plan.max_changed)
        if said >= bound:
            return f"{changed:g} of {compared:g} shadowed answers have another label than the live ones"
    return None


def told(found: dict[str, Verdict], counted: Tally) -> dict[str, Any]:
    """The judgement as a record keeps it."""
    whole = {
        guard: {
            "candidate": [v.events, v.asked], "baseline": [v.baseline_events, v.baseline_asked],
            "e_worse": _value(v.worse), "e_fine": _value(max(v.fine, v.rare)), "passes": v.passes,
        }
        for guard, v in found.items()
    }  # fmt: skip
    shadow = {
        what: tally.of(counted, what)
        for what in ("compared", "changed", "shape", "dropped", *(f"apart_{e}" for e in APART))
        if tally.of(counted, what)
    }
    return {**whole, **({"shadow": shadow} if shadow else {})}


# Largest relative difference between a shadowed answer and the live one, by the power of ten it stays below.
APART = ("1e-6", "1e-3", "1e-1", "more")


def _value(log: float) -> float:
    return float(f"{math.exp(min(log, 700)):.4g}")


def at_once(release: Release, health: Health) -> Move | None:
    """What no counting has to wait for."""
    why = ""
    if not health.candidate_there:
        why = f"the folder of version {release.candidate} is gone"
    elif health.candidate.startswith("broken"):
        why = f"version {release.candidate} does not load: {health.candidate.partition(': ')[2]}"
    elif health.ends_loading >= ENDS_LOADING:
        why = f"{health.ends_loading} servers ended while they loaded version {release.candidate}"
    elif health.ends >= ENDS:
        why = f"{health.ends} servers ended without notice while the release ran"
    if why:
        return Move("rolled_back", release.step, why)
    if health.baseline.startswith("broken") and health.candidate == "AVAILABLE":
        why = health.baseline.partition(": ")[2]
        return Move("promoted", release.step, f"version {release.baseline} does not load any more: {why}")
    return None


def decide(release: Release, counted: Tally, health: Health) -> tuple[Move | None, dict[str, Any]]:
    """The next move of a release in flight, if one is due, and the judgement that it comes from."""
    plan = release.plan
    found = verdicts(plan, counted)
    judgement = told(found, counted)
    move = at_once(release, health)
    if move is None:
        why = against(plan, found, counted)
        move = Move("rolled_back", release.step, why) if why else None
    if move is None and release.state != "held":
        move = _onwards(release, found, counted, health)
    return move, judgement


def _onwards(release: Release, found: dict[str, Verdict], counted: Tally, health: Health) -> Move | None:
    plan, step = release.plan, release.step
    last = step == len(plan.shares) - 2
    shown = all(verdict.passes for verdict in found.values()) and release.share > 0
    seen = tally.of(counted, "asked", CANDIDATE, share=tally.share_name(release.share))
    over = release.elapsed >= plan.step_s and seen >= FEW
    if last and shown and plan.approve and not release.approved:
        return None  # a person is waited for, without a limit
    if shown or (over and not last):
        if last:
            return Move(
                "promoted", step + 1, f"not {plan.margin:g} times as bad as version {release.baseline}"
            )
        why = (
            f"not {plan.margin:g} times as bad as version {release.baseline}"
            if shown
            else f"{seen:g} requests in {release.elapsed:.0f} s and nothing against it"
        )
        return Move("canary", step + 1, why)
    if release.elapsed < plan.limit_s:
        return None
    why = f"not enough data: {seen:g} requests in {release.elapsed:.0f} s at {plan.name(step)}"
    if health.candidate != "AVAILABLE":
        why = f"version {release.candidate} was not available within {release.elapsed:.0f} s"
        return Move("rolled_back", step, why)
    return Move("held" if plan.on_timeout == "hold" else "rolled_back", step, why)
