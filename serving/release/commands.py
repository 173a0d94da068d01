"""What people may ask of a release, and what becomes of it. Whoever holds the lease obeys; files only, no clock."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from serving.release import folder as folders
from serving.release import plan as plans
from serving.release import record
from serving.release.folder import Folder
from serving.release.plan import PlanError
from serving.release.record import Release

ON_RELEASE = ("approve", "hold", "rollback", "promote")
WHATS = ("begin", "stand", *ON_RELEASE)


def obey(place: Folder, ask: Path, release: Release | None) -> Release | None:
    """Does what was asked and answers; the release as it is now. The caller saves it.

    A controller may have ended between the two: what stands in the journal is answered, and not done again.
    """
    what = folders.read(ask)
    if release is not None and any(line.get("ask") == ask.stem for line in release.journal):
        place.answer(ask, f"it is done: {release.journal[-1]['state']}", done=True)
        return release
    try:
        after, text = _done(place, what, release)
    except (PlanError, ValueError, TypeError, KeyError) as error:
        place.answer(ask, str(error) or type(error).__name__, done=False)
        return release
    if after is not None and after is not release:
        journal = (*after.journal[:-1], {**after.journal[-1], "ask": ask.stem})
        after = dataclasses.replace(after, fence=place.fence, journal=journal)
        place.save(after)
    place.answer(ask, text, done=True)
    return after


def _done(place: Folder, ask: dict[str, Any], release: Release | None) -> tuple[Release | None, str]:
    what, who = ask.get("what"), str(ask.get("who", ""))
    why = str(ask.get("why") or "asked for")
    if what == "begin":
        return _begun(place, ask, release, who, why)
    if what == "stand":
        plan = None if ask.get("plan") is None else plans.from_json(ask["plan"])
        place.lay_down(plan, live(place, release))
        return (
            release,
            "versions that are pushed wait for a release" if plan else "pushed versions take over at once",
        )
    if what not in ON_RELEASE:
        raise PlanError(f"Command is {what!r}; expected one of {', '.join(WHATS)}.")
    if release is not None and release.state == "promoted" and what == "rollback":
        if release.baseline not in place.versions():
            raise PlanError(f"Version {release.baseline} is not there any more; expected it in {place.base}.")
        text = f"version {release.baseline} is given all traffic back"
        return release.moved("rolled_back", why, who=who), text
    if release is None or not release.in_flight:
        ended = f"; the last one ended: {release.state}" if release is not None else ""
        raise PlanError(f"There is no release to {what}{ended}.")
    return _moved(release, str(what), who, why)


def _moved(release: Release, what: str, who: str, why: str) -> tuple[Release, str]:
    version, step = release.candidate, release.step
    if what == "rollback":
        return release.moved("rolled_back", why, who=who), f"version {version} is rolled back"
    if what == "promote":
        last = len(release.plan.shares) - 1
        return release.moved("promoted", why, step=last, who=who), f"version {version} is promoted"
    if what == "hold":
        return release.moved("held", why, who=who), f"version {version} is held at {release.plan.name(step)}"
    approved = dataclasses.replace(release, approved=True)
    state = "shadow" if release.share == 0 else "canary"
    return approved.moved(state, why, who=who), f"version {version} goes on from {release.plan.name(step)}"


def _begun(
    place: Folder, ask: dict[str, Any], release: Release | None, who: str, why: str
) -> tuple[Release, str]:
    if release is not None and release.in_flight:
        raise PlanError(
            f"Version {release.candidate} is being released ({release.state}); end that first (--rollback, --promote)."
        )
    versions, to = place.versions(), int(ask["to"])
    if to not in versions:
        raise PlanError(
            f"Version is {to!r}; expected one of {', '.join(map(str, versions)) or 'none'} in {place.base}."
        )
    baseline = live(place, release)
    if baseline == to and release is None:
        baseline = max((v for v in versions if v < to), default=None)
    if baseline is None or baseline == to:
        raise PlanError(
            f"Version {to} has no other to be compared with in {place.base}: it is the one that is served."
        )
    numbers = place.numbers()
    number = numbers[-1][0] + 1 if numbers else 1
    after = record.begun(number, baseline, to, plans.from_json(ask.get("plan") or {}), who, why)
    return after, f"version {to} is released beside version {baseline}"


def live(place: Folder, release: Release | None) -> int | None:
    """The version that requests without a version are answered by now, as far as the files tell."""
    standing, versions = place.standing(), place.versions()
    if release is not None:
        stable = release.baseline if release.in_flight else release.winner
        newer = [v for v in versions if v > max(release.candidate, release.winner)]
        return newer[-1] if newer and standing is None and not release.in_flight else stable
    if standing is not None and standing.stable is not None:
        return standing.stable
    return versions[-1] if versions else None
