"""Which versions a server keeps and which of them answers, where a model has releases: what the source asks for.

Without a `.release` folder nothing changes: the version policy decides. With one, the version that won stays although
a newer one was pushed, until a release of that has begun. The candidate is loaded only when the baseline serves, and
not before this server has written down that it begins to: what a candidate ends leaves a trace.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from serving.core.policy import VersionPolicy, select_versions
from serving.core.servable import ServableState, State
from serving.core.source import Monitored
from serving.release.folder import Folder, Standing
from serving.release.record import Release
from serving.release.split import Split

logger = logging.getLogger(__name__)


class Direction(NamedTuple):
    """wanted: the versions to keep; live: the one for requests that name none (None: the newest); split: how such
    requests are divided meanwhile."""

    wanted: frozenset[int]
    live: int | None = None
    split: Split | None = None


def direct(
    policy: VersionPolicy,
    versions: Collection[int],
    broken: Collection[int],
    standing: Standing | None,
    release: Release | None,
) -> Direction:
    """What a model's release files mean for the versions that are there. Pure."""
    usual = select_versions(policy, versions, broken)
    if release is not None and release.in_flight:
        # The baseline's folder may be gone: it goes on from memory.
        pair = {release.baseline} | ({release.candidate} & set(versions))
        return Direction(_kept(policy, usual) | pair, release.baseline, release.split())
    if release is not None:
        stable, judged = release.winner, max(release.candidate, release.winner)
        allowed = {v for v in versions if v != release.loser and v <= judged}
        newer = {v for v in versions if v > judged}
    elif standing is not None:
        stable = standing.stable if standing.stable is not None else min(versions, default=0)
        allowed = {v for v in versions if v <= stable}
        newer = set(versions) - allowed
    else:
        return Direction(usual)
    if standing is None and newer:
        return Direction(_kept(policy, usual) | select_versions(policy, allowed | newer, broken))
    if stable in versions:
        allowed = {v for v in allowed if v <= stable}
        return Direction(_kept(policy, usual) | select_versions(VersionPolicy(), allowed, broken), stable)
    # What won is gone, so the newest of the others but the one that lost; that one only where it is all there is.
    left = allowed or set(versions)
    return Direction(
        _kept(policy, usual) | select_versions(VersionPolicy(), left, broken), max(left, default=None)
    )


def _kept(policy: VersionPolicy, usual: frozenset[int]) -> frozenset[int]:
    """Versions that are kept whatever is released: those of a policy that names them."""
    return frozenset() if policy.kind == "latest" else usual


class Steering:
    """Stands between the source and the release files. Thread-safe.

    on_direction(model, live, split): told before the source wants anything that follows from it
    states(model): of its versions
    """

    def __init__(
        self,
        on_direction: Callable[[str, int | None, Split | None], None],
        states: Callable[[str], Mapping[int, ServableState]],
    ) -> None:
        self._on_direction = on_direction
        self._states = states
        self._told: dict[str, tuple[int | None, Split | None]] = {}
        self._admitted: dict[str, int] = {}
        self._folders: dict[str, Folder] = {}
        self._lock = threading.Lock()

    def folder(self, base_path: str) -> Folder:
        with self._lock:
            return self._folders.setdefault(base_path, Folder(base_path))

    def admit(self, name: str, number: int) -> bool:
        """Lets the candidate of a release be loaded here; whether that is new."""
        fresh = self._admitted.get(name) != number
        self._admitted[name] = number
        return fresh

    def choose(self, model: Monitored, versions: Collection[int], broken: Collection[int]) -> frozenset[int]:
        """The wanted ones among `versions`."""
        folder = self.folder(model.base_path)
        if not folder.exists:
            self._tell(model.name, None, None)
            return select_versions(model.policy, versions, broken)
        release = folder.newest()
        made = direct(model.policy, versions, broken, folder.standing(), release)
        self._tell(model.name, made.live, made.split)
        if made.split is None or release is None:
            return made.wanted
        first = self._serves(model.name, release.baseline) or release.baseline in broken
        gone = release.baseline not in versions and not first
        if (first or gone) and self._admitted.get(model.name) == release.number:
            return made.wanted - ({release.baseline} if gone else set())
        return made.wanted - {release.candidate}

    def _serves(self, name: str, version: int) -> bool:
        state = self._states(name).get(version)
        return state is not None and state.state is State.AVAILABLE

    def _tell(self, name: str, live: int | None, split: Split | None) -> None:
        if self._told.get(name, (None, None)) != (live, split):
            self._told[name] = (live, split)
            logger.info(
                "Requests to %s without a version: %s, %s", name, live or "the newest", split or "no release"
            )
            self._on_direction(name, live, split)
