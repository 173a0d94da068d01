"""Loads and unloads versions in the background and hands out counted handles to requests.

The manager is told which versions are wanted (`aspire`), asks its transition policy for the next step, loads
in worker threads with retries, and swaps the map that requests read. A version that fails to load keeps its
error and touches nothing that works. Unloading waits for the last request. It knows no files, no TensorFlow
and no sockets; the loader it is given does. Standard library only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from serving.core.policy import TransitionPolicy, availability_preserving
from serving.core.servable import (
    Handle,
    Harness,
    LoadFailed,
    Phase,
    Servable,
    ServableId,
    ServableNotFound,
    ServableState,
    State,
)

logger = logging.getLogger(__name__)

# A folder is asked at most this often whether its files changed since they failed to load.
REPAIR_CHECK_S = 0.5
ENDED_STATES_KEPT = 100
# Where the system gives no thread for a load or an unload, the step is tried again after this long.
THREAD_RETRY_S = 1.0


class Manager:
    """Owns every version. Thread-safe.

    `load(id, path)` runs in a worker thread and returns the servable or raises LoadFailed;
    `fingerprint(path)` tells whether a failed version's files have changed, which is worth another attempt.
    `on_state` is called with every change of state, under the manager's lock: it must be quick.
    `hold(id, path)` is called in the same way when a version has loaded; True keeps it from requests until `admit`.
    """

    def __init__(
        self,
        load: Callable[[ServableId, str], Servable],
        *,
        policy: TransitionPolicy = availability_preserving,
        max_retries: int = 5,
        retry_interval_s: float = 60.0,
        load_threads: int = 1,
        fingerprint: Callable[[str], object] = lambda path: None,
        on_state: Callable[[ServableState], None] = lambda state: None,
        hold: Callable[[ServableId, str], bool] = lambda id, path: False,
    ) -> None:
        self._hold = hold
        self._load = load
        self._policy = policy
        self._max_retries = max_retries
        self._retry_interval_s = retry_interval_s
        self._load_threads = max(1, load_threads)
        self._fingerprint = fingerprint
        self._on_state = on_state
        self._models: dict[str, list[Harness]] = {}
        self._states: dict[str, dict[int, ServableState]] = {}
        self._serving: Mapping[tuple[str, int | None], Harness] = {}
        self._preferred: dict[str, int] = {}
        self._changed = threading.Condition(threading.RLock())
        self._loading: list[Harness] = []
        self._stopping = False
        self._work = False
        self._again = 0.0
        self._thread = threading.Thread(target=self._run, name="model-manager", daemon=True)
        self._thread.start()

    # What requests use.

    def acquire(self, name: str, version: int | None = None) -> Handle:
        """A handle on the version (None: the preferred, else the highest available one). Raises ServableNotFound."""
        while True:
            harness = self._serving.get((name, version))
            if harness is None:
                raise ServableNotFound(name, version)
            if harness.acquire():
                return Handle(harness)
            # It was retired between the two lines; the map that requests read has changed already.

    def on_its_way(self, name: str, version: int | None = None) -> bool:
        """Whether the version (None: any) is wanted and loading for the first time: asking again makes sense."""
        with self._changed:
            return any(
                h.aspired and h.error is None and h.phase in (Phase.NEW, Phase.LOADING, Phase.READY)
                for h in self._models.get(name, ())
                if version in (None, h.id.version)
            )

    def states(self, name: str) -> dict[int, ServableState]:
        """States of every version of the model that was ever seen, newest version first."""
        with self._changed:
            return dict(sorted(self._states.get(name, {}).items(), reverse=True))

    def broken(self, name: str) -> set[int]:
        """Versions whose last attempt to load has failed."""
        with self._changed:
            return {h.id.version for h in self._models.get(name, ()) if h.error is not None}

    # What the source uses.

    def aspire(self, name: str, versions: Mapping[int, str]) -> None:
        """Makes exactly `versions` (number -> folder) the wanted ones of a model. Idempotent."""
        with self._changed:
            harnesses = self._models.setdefault(name, [])
            known = {(h.id.version, h.path): h for h in harnesses}
            for harness in harnesses:
                harness.aspired = versions.get(harness.id.version) == harness.path
            for version, path in versions.items():
                old = known.get((version, path))
                if old is None or old.phase is Phase.UNLOADING:
                    fresh = Harness(ServableId(name, version), path)
                    harnesses.append(fresh)
                    self._publish(fresh, State.START)
                elif old.error is not None and old.phase in (Phase.ERROR, Phase.LOADING):
                    self._retry_if_repaired(old)
            self._wake()

    def prefer(self, name: str, version: int | None) -> None:
        """Says which version answers requests that name none, whenever it is available; None: the highest one."""
        with self._changed:
            if version is None:
                self._preferred.pop(name, None)
            else:
                self._preferred[name] = version
            if not self._stopping:
                self._rebuild_map()

    def _retry_if_repaired(self, harness: Harness) -> None:
        if harness.phase is Phase.LOADING and harness.next_try == 0.0:
            return  # an attempt is running at this moment
        now = self._fingerprint(harness.path)
        if now == harness.seen:
            return
        logger.info("Files of %s changed since they failed to load; trying again", harness.id)
        harness.seen = now
        harness.attempts = 0
        harness.next_try = 0.0
        if harness.phase is Phase.ERROR:
            harness.phase = Phase.NEW

    # What the server uses.

    def wait_until_settled(self, names: Iterable[str], timeout_s: float | None = None) -> bool:
        """Waits until no wanted version is on its way: each is available or has failed at least once."""
        names = list(names)
        with self._changed:
            return self._changed.wait_for(lambda: all(self._settled(n) for n in names), timeout_s)

    def settled(self, name: str) -> bool:
        with self._changed:
            return self._settled(name)

    def _settled(self, name: str) -> bool:
        if self._stopping:
            return True
        wanted = [h for h in self._models.get(name, ()) if h.aspired]
        return all(h.phase in (Phase.READY, Phase.ERROR) or h.error is not None for h in wanted)

    def available(self, name: str) -> bool:
        return (name, None) in self._serving

    def stop(self, drain_s: float = 10.0) -> None:
        """Unloads everything; waits at most `drain_s` for running requests."""
        with self._changed:
            self._stopping = True
            self._wake()
            harnesses = [h for hs in self._models.values() for h in hs if h.phase is Phase.READY]
            harnesses += [h for hs in self._models.values() for h in hs if self._held(h)]
            self._serving = {}
        self._thread.join(timeout=drain_s)
        deadline = time.monotonic() + drain_s
        for harness in harnesses:
            harness.retire()
            if harness.drained.wait(max(0.0, deadline - time.monotonic())):
                self._close(harness)

    # The manager's own thread.

    def _wake(self) -> None:
        self._work = True
        self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not self._stopping:
                self._changed.wait_for(lambda: self._work or self._stopping, self._next_wait())
                self._work = False
                self._again = 0.0
                for name in list(self._models):
                    self._step(name)
                self._changed.notify_all()

    def _next_wait(self) -> float | None:
        due = [
            h.next_try
            for hs in self._models.values()
            for h in hs
            if h.phase is Phase.LOADING and h.next_try > 0.0
        ]
        if self._again:
            due.append(self._again)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _step(self, name: str) -> None:
        harnesses = self._models[name]
        for harness in list(harnesses):
            idle = harness.phase in (Phase.NEW, Phase.ERROR) or harness.next_try > 0.0
            if not harness.aspired and idle:
                harnesses.remove(harness)
                self._publish(harness, State.END, harness.error)
            elif not harness.aspired and self._held(harness):
                self._start_unload(harness)
        now = time.monotonic()
        for harness in harnesses:
            if harness.phase is Phase.LOADING and harness.attempts == 0 and harness.next_try == 0.0:
                harness.phase = Phase.NEW  # repaired while it waited for its next attempt
            elif harness.phase is Phase.LOADING and 0.0 < harness.next_try <= now:
                self._start_load(harness)
        while not self._stopping:
            action = self._policy(harnesses)
            if action is None:
                break
            kind, harness = action
            if kind == "unload":
                started = self._start_unload(harness)
            else:
                # A load that nobody wants any more cannot be ended, and may hang: it holds up no other.
                wanted = sum(one.aspired for one in self._loading)
                started = wanted < self._load_threads and self._start_load(harness)
            if not started:
                break
        if not harnesses:
            self._models.pop(name, None)

    def _start_load(self, harness: Harness) -> bool:
        # The thread cannot say that it is done before this one gives up the lock, so the books are right by then.
        if not self._in_thread("model-load", self._load_one, harness):
            if harness.next_try > 0.0:
                harness.next_try = self._again
            return False
        harness.phase = Phase.LOADING
        harness.next_try = 0.0
        harness.attempts += 1
        self._loading.append(harness)
        if harness.error is None:
            self._publish(harness, State.LOADING)
        return True

    def _in_thread(self, name: str, target: Callable[[Harness], None], harness: Harness) -> bool:
        """Whether a thread could be started; if not, the manager looks again before long."""
        try:
            threading.Thread(target=target, args=(harness,), name=name, daemon=True).start()
        except RuntimeError as error:
            logger.error("No thread for %s of %s: %s; trying again", name, harness.id, error)
            self._again = time.monotonic() + THREAD_RETRY_S
            return False
        return True

    def _load_one(self, harness: Harness) -> None:
        seen: object = None
        servable: Servable | None = None
        error: tuple[str, str] | None = None
        try:
            seen = self._fingerprint(harness.path)
            servable = self._load(harness.id, harness.path)
        except LoadFailed as failure:
            error = (failure.code, failure.message)
        except Exception as failure:
            logger.exception("Loading %s failed in an unexpected way", harness.id)
            error = ("INTERNAL", f"{type(failure).__name__}: {failure}")
        with self._changed:
            self._loading = [one for one in self._loading if one is not harness]
            if servable is not None:
                self._loaded(harness, servable)
            else:
                assert error is not None
                harness.seen = seen
                self._failed(harness, error)
            self._wake()
        if servable is not None and self._stopping:
            servable.close()

    def _loaded(self, harness: Harness, servable: Servable) -> None:
        harness.servable = servable
        harness.error = None
        if not self._hold(harness.id, harness.path):
            self._admit(harness)

    def admit(self, id: ServableId, path: str) -> None:
        """Lets requests see a version that `hold` kept back; does nothing where there is none."""
        with self._changed:
            for harness in self._models.get(id.name, ()):
                if self._held(harness) and (harness.id, harness.path) == (id, path):
                    self._admit(harness)
                    self._wake()
                    return

    @staticmethod
    def _held(harness: Harness) -> bool:
        return harness.phase is Phase.LOADING and harness.servable is not None

    def _admit(self, harness: Harness) -> None:
        harness.phase = Phase.READY
        if not self._stopping:
            self._rebuild_map()
        self._publish(harness, State.AVAILABLE)
        logger.info("Successfully loaded servable version %s", harness.id)

    def _failed(self, harness: Harness, error: tuple[str, str]) -> None:
        harness.error = error
        final = harness.attempts > self._max_retries
        logger.error(
            "Loading %s from %s failed (attempt %d of %d): %s: %s",
            harness.id, harness.path, harness.attempts, self._max_retries + 1, *error,
        )  # fmt: skip
        if final:
            harness.phase = Phase.ERROR
            self._publish(harness, State.END, error)
        else:
            harness.next_try = time.monotonic() + max(self._retry_interval_s, 1e-3)
            self._publish(harness, State.LOADING, error)

    def _start_unload(self, harness: Harness) -> bool:
        before, harness.phase = harness.phase, Phase.UNLOADING
        self._rebuild_map()
        if not self._in_thread("model-unload", self._unload_one, harness):
            harness.phase = before
            self._rebuild_map()
            return False
        self._publish(harness, State.UNLOADING)
        return True

    def _unload_one(self, harness: Harness) -> None:
        harness.retire()
        while not harness.drained.wait(10.0):
            logger.info("Unloading %s waits for its last requests", harness.id)
        self._close(harness)
        with self._changed:
            harnesses = self._models.get(harness.id.name, [])
            if harness in harnesses:
                harnesses.remove(harness)
            self._publish(harness, State.END)
            logger.info("Done unloading servable version %s", harness.id)
            self._wake()

    def _close(self, harness: Harness) -> None:
        servable, harness.servable = harness.servable, None
        if servable is None:
            return
        try:
            servable.close()
        except Exception:
            logger.exception("Unloading %s failed; its memory may not have been given back", harness.id)

    # Shared state, always under the lock.

    def _rebuild_map(self) -> None:
        serving: dict[tuple[str, int | None], Harness] = {}
        for name, harnesses in self._models.items():
            ready = [h for h in harnesses if h.phase is Phase.READY]
            for harness in sorted(ready, key=lambda h: (h.id.version, h.aspired)):
                serving[name, harness.id.version] = harness
                serving[name, None] = harness
            preferred = serving.get((name, self._preferred.get(name)))
            if preferred is not None:
                serving[name, None] = preferred
        self._serving = serving

    def _publish(self, harness: Harness, state: State, error: tuple[str, str] | None = None) -> None:
        name, version = harness.id
        newest = [h for h in self._models.get(name, ()) if h.id.version == version]
        if newest and newest[-1] is not harness and state is not State.AVAILABLE:
            return  # the same version comes from another folder now; its states are the ones that count
        on_the_way = state in (State.START, State.LOADING)
        if on_the_way and any(h.phase is Phase.READY for h in newest):
            return  # the version is available until its copy from the new folder takes over
        states = self._states.setdefault(name, {})
        states[version] = ServableState(harness.id, state, error)
        ended = sorted(v for v, s in states.items() if s.state is State.END)
        for old in ended[: max(0, len(ended) - ENDED_STATES_KEPT)]:
            del states[old]
        self._on_state(states[version])
        self._changed.notify_all()
