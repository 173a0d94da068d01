"""Which version to load or unload next, and which versions of a folder are wanted: pure functions.

`availability_preserving` never unloads the last working version before its successor is ready (two versions
may be in memory for a while); `resource_preserving` unloads first (a model may be away for a while).
`select_versions` applies a model's version policy to the versions found. No threads, no files, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from serving.core.servable import Harness, Phase

Action = tuple[Literal["load", "unload"], Harness]
TransitionPolicy = Callable[[Sequence[Harness]], Action | None]


def _lowest(versions: Iterable[Harness]) -> Harness | None:
    return min(versions, key=lambda h: h.id.version, default=None)


def _highest(versions: Iterable[Harness]) -> Harness | None:
    return max(versions, key=lambda h: h.id.version, default=None)


def availability_preserving(versions: Sequence[Harness]) -> Action | None:
    """The next step for one model, or None. Requests always find a version while a working one exists."""
    wanted = [h for h in versions if h.aspired]
    # A version that comes from another folder now keeps its old copy until the new one is ready.
    coming = {h.id.version for h in wanted if h.phase in (Phase.NEW, Phase.LOADING)}
    ready_unwanted = [
        h for h in versions if not h.aspired and h.phase is Phase.READY and h.id.version not in coming
    ]
    wanted_ready = any(h.phase is Phase.READY for h in wanted)
    if not wanted or wanted_ready or len(ready_unwanted) > 1:
        lowest = _lowest(ready_unwanted)
        if lowest is not None:
            return "unload", lowest
    newest = _highest(h for h in wanted if h.phase is Phase.NEW)
    return None if newest is None else ("load", newest)


def resource_preserving(versions: Sequence[Harness]) -> Action | None:
    """The next step for one model, or None. Never holds more versions in memory than are wanted."""
    unwanted = [h for h in versions if not h.aspired]
    lowest = _lowest(h for h in unwanted if h.phase is Phase.READY)
    if lowest is not None:
        return "unload", lowest
    if any(h.phase in (Phase.LOADING, Phase.UNLOADING) for h in unwanted):
        return None
    newest = _highest(h for h in versions if h.aspired and h.phase is Phase.NEW)
    return None if newest is None else ("load", newest)


@dataclass(frozen=True)
class VersionPolicy:
    """latest `count` (the default: 1), or all, or the `specific` numbers."""

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    specific: frozenset[int] = field(default_factory=frozenset)


def select_versions(
    policy: VersionPolicy, versions: Collection[int], broken: Collection[int] = ()
) -> frozenset[int]:
    """The wanted ones among `versions`.

    `broken` versions stay wanted (they may be repaired), but under "latest" each one also makes the next
    older version wanted, so that a push that cannot load never leaves a restarted server without a model.
    """
    if policy.kind == "all":
        return frozenset(versions)
    if policy.kind == "specific":
        return frozenset(versions) & policy.specific
    chosen: set[int] = set()
    working = 0
    for version in sorted(versions, reverse=True):
        if working >= policy.count:
            break
        chosen.add(version)
        working += version not in broken
    return frozenset(chosen)
