"""Steers the releases of a server's models: counts what happened, decides, writes, and takes what people ask for.

One of these runs in every server (with `--workers`, in the supervisor). All report what they count; the one that
holds a model's lease steers it, and where it ends, the split stays as it is until another takes the lease. Time is
this process's own: a clock that jumps changes nothing. How decisions are made is `serving.release.decide`'s.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from serving.core.servable import ServableState, State
from serving.core.source import Monitored, fingerprint
from serving.release import decide, folder, record, tally
from serving.release.commands import obey
from serving.release.decide import Health
from serving.release.folder import Folder, LeaseLost
from serving.release.record import Release
from serving.release.steering import Steering
from serving.release.tally import Tally

logger = logging.getLogger(__name__)

TICK_S = 0.5
# How far a controller's record of time may be behind: its files are written this often where nothing happens.
SAVE_S = 5.0
# The longest pause between two looks that counts as watched time.
LONGEST_S = 5.0
# How long the files of a pushed version have to be the same before its release begins.
QUIET_S = 1.0


class Known(Protocol):
    """What is asked about versions: of a manager, or of workers together."""

    def states(self, name: str) -> Mapping[int, ServableState]: ...

    def broken(self, name: str) -> set[int]: ...


class Watched(Protocol):
    """What is asked about models: of the source."""

    def models(self) -> list[Monitored]: ...

    def kick(self) -> None: ...


class Controller:
    """`start` and `stop`; `tick` is one look at all models, for whoever drives it. Not to be shared by threads.

    counted(model, release number): what this server has counted
    """

    def __init__(
        self,
        steering: Steering,
        source: Watched,
        known: Known,
        counted: Callable[[str, int], Tally],
    ) -> None:
        self._steering = steering
        self._models = source.models
        self._known = known
        self._counted = counted
        self._kick = source.kick
        self._looked: dict[str, float] = {}
        self._saved: dict[str, float] = {}
        # Seconds of the step that releases are in: by model, with the length of its journal.
        self._watched: dict[str, tuple[int, int, float]] = {}
        # Of workers of this server, by model: ends while the candidate was loading, and all.
        self._worker_ends: dict[tuple[str, int], list[int]] = {}
        self._in_flight: dict[str, Release] = {}
        self._complained: dict[str, str] = {}
        # Of versions that wait for a release: their files, and since when these have been the same.
        self._arriving: dict[tuple[Path, int], tuple[object, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="release-controller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Says in each report that this server ended in order, and gives the leases back."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        for model in self._models():
            place = self._steering.folder(model.base_path)
            release = self._in_flight.get(model.name)
            if release is not None:
                self._guarded(
                    model.name, functools.partial(self._report, model.name, place, release, ended=True)
                )
            place.give_back()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self.tick()

    def tick(self) -> None:
        for model in self._models():
            place = self._steering.folder(model.base_path)
            if place.exists:
                self._guarded(model.name, functools.partial(self._look, model.name, place))

    def _guarded(self, name: str, call: Callable[[], None]) -> None:
        """Release machinery that fails is told once, and fails nothing else."""
        try:
            call()
            self._complained.pop(name, None)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            if self._complained.get(name) != told:
                logger.exception("The release of %s cannot be followed", name)
            self._complained[name] = told

    def worker_ended(self) -> None:
        """A worker of this server has ended without having been asked to."""
        for name, release in list(self._in_flight.items()):
            state = self._known.states(name).get(release.candidate)
            ends = self._worker_ends.setdefault((name, release.number), [0, 0])
            ends[0] += state is None or state.state is not State.AVAILABLE
            ends[1] += 1

    # One model.

    def _look(self, name: str, place: Folder) -> None:
        now = time.monotonic()
        passed = min(LONGEST_S, now - self._looked.get(name, now))
        self._looked[name] = now
        release = place.newest()
        if self._takes(name, place):
            try:
                release = self._steer(name, place, release, passed)
            except LeaseLost as lost:
                logger.warning("%s; this server's controller steps back", lost)
                place.give_back()
                release = place.newest()
        if release is None or not release.in_flight:
            self._in_flight.pop(name, None)
            return
        self._in_flight[name] = release
        try:
            self._report(name, place, release)
        finally:
            if self._steering.admit(name, release.number):
                self._kick()

    def _takes(self, name: str, place: Folder) -> bool:
        try:
            return place.take()
        except OSError as error:
            if name not in self._complained:
                logger.warning("This server cannot steer the releases of %s: %s", name, error)
                self._complained[name] = str(error)
            return False

    def _steer(self, name: str, place: Folder, release: Release | None, passed: float) -> Release | None:
        before = release
        for ask in place.asks():
            release = obey(place, ask, release)
        if release is None or not release.in_flight:
            release = self._begin(place, release)
        elif release is before:
            reports = place.reports(release.number)
            counted = tally.added(
                [tally.from_json(r.get("cells")) for s, r in reports.items() if s != folder.this_server()]
                + [self._counted(name, release.number)]
            )
            elapsed = self._elapsed(name, release) + passed
            release = dataclasses.replace(release, elapsed=elapsed)
            self._watched[name] = (release.number, len(release.journal), elapsed)
            move, judgement = decide.decide(release, counted, self._health(name, place, release, reports))
            release = dataclasses.replace(release, judgement=judgement)
            if move is not None:
                release = release.moved(move.state, move.why, step=move.step)
        return self._save(name, place, before, release)

    def _elapsed(self, name: str, release: Release) -> float:
        """Seconds of this step, those since the record was last written included."""
        number, lines, seconds = self._watched.get(name, (0, 0, 0.0))
        same = (number, lines) == (release.number, len(release.journal))
        return max(seconds, release.elapsed) if same else release.elapsed

    def _save(
        self, name: str, place: Folder, before: Release | None, after: Release | None
    ) -> Release | None:
        if after is None:
            return None
        now = time.monotonic()
        news = before is None or before.number != after.number or before.journal != after.journal
        if (
            not news
            and (not after.in_flight or now < self._saved.get(name, 0.0) + SAVE_S)
            and place.whole(after)
        ):
            return after
        after = dataclasses.replace(after, fence=place.fence)
        place.save(after)
        self._saved[name] = now
        if news:
            line = after.journal[-1]
            logger.info(
                "Release %d of %s: version %d is %s at %g: %s",
                after.number, name, after.candidate, after.state, after.share, line["why"],
            )  # fmt: skip
            self._kick()
        return after

    def _begin(self, place: Folder, ended: Release | None) -> Release | None:
        """The next release, where a standing plan makes one of a version that was pushed."""
        standing = place.standing()
        versions = place.versions()
        if standing is None or not versions:
            return ended
        stable = ended.winner if ended is not None else standing.stable
        if stable is None:
            place.lay_down(standing.plan, versions[0])
            stable = versions[0]
        numbers = place.numbers()
        waiting = [v for v in versions if v > max([stable, *(candidate for _, candidate in numbers)])]
        if not waiting:
            return ended
        if not self._arrived(place, waiting[-1]):
            return ended
        number = numbers[-1][0] + 1 if numbers else 1
        place.forget_reports(number)
        return record.begun(number, stable, waiting[-1], standing.plan, record.CONTROLLER, "it was pushed")

    def _arrived(self, place: Folder, version: int) -> bool:
        """Whether the files of a version have been the same for a while: not everybody pushes by renaming."""
        now, seen = time.monotonic(), fingerprint(str(place.base / str(version)))
        known, since = self._arriving.get((place.base, version), (None, now))
        self._arriving = {(place.base, version): (seen, since if seen == known else now)}
        return seen == known and now - since >= QUIET_S

    # What is known.

    def _state(self, name: str, version: int) -> str:
        state = self._known.states(name).get(version)
        if state is None:
            return ""
        if state.state is State.AVAILABLE:
            return "AVAILABLE"
        if version in self._known.broken(name):
            return f"broken: {state.error[1] if state.error else 'it failed'}"
        return "LOADING"

    def _health(self, name: str, place: Folder, release: Release, reports: Mapping[str, Any]) -> Health:
        here = place.versions()
        dead = [r for s, r in reports.items() if not r.get("ended") and not folder.lives(s)]
        loading, ends = self._worker_ends.get((name, release.number), [0, 0])
        elsewhere = [str(r.get("candidate")) for s, r in reports.items() if folder.lives(s)]
        states = [self._state(name, release.candidate), *elsewhere]
        return Health(
            candidate=next((state for state in states if state.startswith("broken")), states[0]),
            baseline=self._state(name, release.baseline),
            candidate_there=release.candidate in here,
            baseline_there=release.baseline in here,
            ends_loading=loading + sum(r.get("candidate") != "AVAILABLE" for r in dead),
            ends=ends + len(dead),
        )

    def _report(self, name: str, place: Folder, release: Release, *, ended: bool = False) -> None:
        cells = self._counted(name, release.number)
        place.report(
            {
                "release": release.number,
                "cells": tally.to_json(cells),
                "candidate": self._state(name, release.candidate),
                "ended": ended,
            }
        )
