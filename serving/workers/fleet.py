"""The versions of all workers as one: which are wanted, which all of them have, what a caller is told.

Stands where a single process has its manager (`serving.core.manager`), and is asked the same questions. Every worker
loads what is wanted and keeps it from requests; when all have it, all are told to serve it, and when all do, it is
AVAILABLE. So whichever worker a caller meets, a version that was announced is there. Knows no processes and no
sockets: a `Seat` is a worker as seen from here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.core.manager import ENDED_STATES_KEPT
from serving.core.servable import Handle, ServableId, ServableState, State
from serving.workers import agreement
from serving.workers.agreement import Key, Report


@dataclass(eq=False)
class Seat:
    """One worker. `send` reaches it. `counts`: nothing is announced that it does not have, which begins when it is
    told to open its ports; the first ones count from the start."""

    number: int
    send: Callable[..., None]
    counts: bool
    told_to_open: bool = False
    opened: bool = False
    reports: dict[tuple[str, int], Report] = field(default_factory=dict)
    loaded: set[Key] = field(default_factory=set)
    told_to_serve: set[Key] = field(default_factory=set)

    def note(self, name: str, version: int, report: Report) -> None:
        self.reports[name, version] = report
        if report.state is State.END:
            ended = sorted(id for id, r in self.reports.items() if id[0] == name and r.state is State.END)
            for id in ended[:-ENDED_STATES_KEPT]:
                del self.reports[id]
        if report.state in (State.START, State.LOADING, State.UNLOADING, State.END):
            for keys in (self.loaded, self.told_to_serve):
                keys -= {key for key in keys if key[:2] == (name, version)}


class Fleet:
    """Thread-safe. `changed` is set whenever a caller may be told something new."""

    def __init__(self, *, open_early: bool = False) -> None:
        self.changed = threading.Event()
        self._open_early = open_early
        self._lock = threading.Condition(threading.RLock())
        self._seats: list[Seat] = []
        self._wanted: dict[str, dict[int, str]] = {}
        self._serving: set[Key] = set()
        self._states: dict[str, dict[int, ServableState]] = {}
        self._config: bytes | None = None
        self._directions: dict[str, tuple[int | None, Any]] = {}
        self._opened_once = False

    # What the supervisor says.

    def join(self, seat: Seat) -> None:
        """A worker has started: it is told what is wanted."""
        with self._lock:
            self._seats.append(seat)
            for name, direction in self._directions.items():
                seat.send("direct", name, *direction)
            for name, versions in self._wanted.items():
                seat.send("aspire", name, versions)
            if self._config is not None:
                seat.send("config", self._config)
            self._consider()

    def leave(self, seat: Seat) -> None:
        """A worker has ended; nobody waits for it any more."""
        with self._lock:
            if seat in self._seats:
                self._seats.remove(seat)
            self._consider()

    def report(self, seat: Seat, name: str, version: int, report: Report) -> None:
        with self._lock:
            seat.note(name, version, report)
            self._consider()

    def loaded(self, seat: Seat, key: Key) -> None:
        """A worker has a version and keeps it from requests."""
        with self._lock:
            seat.loaded.add(key)
            self._consider()

    def opened(self, seat: Seat) -> None:
        with self._lock:
            seat.opened = True
            self._opened_once = True
            self.changed.set()

    def configure(self, config: bytes) -> None:
        """Tells everyone the configuration (names, labels, logs); what to load is `aspire`'s."""
        with self._lock:
            self._config = config
            self.broadcast("config", config)
            self._consider()

    def direct(self, name: str, live: int | None, split: Any) -> None:
        """Tells everyone which version answers requests that name none, and how a release divides them."""
        with self._lock:
            self._directions[name] = (live, split)
            self.broadcast("direct", name, live, split)

    def broadcast(self, *message: Any) -> None:
        with self._lock:
            for seat in self._seats:
                seat.send(*message)

    def seats(self) -> list[Seat]:
        with self._lock:
            return list(self._seats)

    def snapshot(self) -> dict[str, dict[int, ServableState]]:
        with self._lock:
            return {name: dict(states) for name, states in self._states.items()}

    # What models ask of a manager.

    def aspire(self, name: str, versions: Mapping[int, str]) -> None:
        with self._lock:
            before = self._wanted.get(name)
            # Said again where something has failed: its files may have changed.
            if before == versions and not self.broken(name):
                return
            self._wanted[name] = dict(versions)
            if not versions:
                del self._wanted[name]
            self._serving = {k for k in self._serving if self._wanted.get(k[0], {}).get(k[1]) == k[2]}
            self.broadcast("aspire", name, dict(versions))
            self._consider()

    def prefer(self, name: str, version: int | None) -> None:
        raise NotImplementedError("workers are told by `direct`")

    def acquire(self, name: str, version: int | None = None) -> Handle:
        raise NotImplementedError("requests are the workers' business")

    def on_its_way(self, name: str, version: int | None = None) -> bool:
        raise NotImplementedError("requests are the workers' business")

    def states(self, name: str) -> dict[int, ServableState]:
        with self._lock:
            return dict(sorted(self._states.get(name, {}).items(), reverse=True))

    def broken(self, name: str) -> set[int]:
        with self._lock:
            return {v for s in self._voters() for (n, v), r in s.reports.items() if n == name and r.error}

    def available(self, name: str) -> bool:
        with self._lock:
            return any(s.state is State.AVAILABLE for s in self._states.get(name, {}).values())

    def settled(self, name: str) -> bool:
        with self._lock:
            states = self._states.get(name, {})
            found = [states.get(version) for version in self._wanted.get(name, {})]
            return all(s is not None and (s.state is State.AVAILABLE or s.error is not None) for s in found)

    def wait_until_settled(self, names: Iterable[str], timeout_s: float | None = None) -> bool:
        names = list(names)
        with self._lock:
            return self._lock.wait_for(lambda: all(self.settled(n) for n in names), timeout_s)

    def stop(self, drain_s: float) -> None:
        """Workers stop by themselves when they are told to."""

    # Decisions, always under the lock.

    def _voters(self) -> list[Seat]:
        return [seat for seat in self._seats if seat.counts] or self._seats

    def _consider(self) -> None:
        """Draws every conclusion from what the workers have said."""
        voters = self._voters()
        wanted = {(n, v, path) for n, versions in self._wanted.items() for v, path in versions.items()}
        if voters:
            self._serving |= {key for key in wanted if all(key in seat.loaded for seat in voters)}
        for seat in self._seats:
            for key in (seat.loaded & self._serving) - seat.told_to_serve:
                seat.told_to_serve.add(key)
                seat.send("admit", *key)
        self._update_states(voters, wanted)
        for seat in self._seats:
            if not seat.told_to_open and self._may_open(seat):
                seat.told_to_open = seat.counts = True
                seat.send("open")
        self._lock.notify_all()
        self.changed.set()

    def _update_states(self, voters: list[Seat], wanted: set[Key]) -> None:
        wanted_ids = {key[:2] for key in wanted}
        known = {id for seat in voters for id in seat.reports} | wanted_ids
        for name, version in known:
            reports = [seat.reports.get((name, version)) for seat in voters]
            report = agreement.agreed(reports, wanted=(name, version) in wanted_ids)
            if report is not None:
                states = self._states.setdefault(name, {})
                states[version] = ServableState(ServableId(name, version), report.state, report.error)
        for name, states in self._states.items():
            agreement.forget_ended(states, {v for n, v in known if n == name})

    def _may_open(self, seat: Seat) -> bool:
        """A worker opens its ports when it serves what the others serve; the first ones when each wanted version
        is served by all or has failed somewhere."""
        for key in self._serving:
            report = seat.reports.get(key[:2])
            if report is None or report.state is not State.AVAILABLE:
                return False
        return self._open_early or self._opened_once or self._all_settled()

    def _all_settled(self) -> bool:
        return self._config is not None and all(self.settled(name) for name in self._wanted)
