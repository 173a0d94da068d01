"""Nouns of the model server: servable id, its states, and the counted handle a request holds while it runs.

A servable is one loaded version of one model: any object with a `close()` method. Nothing here knows
TensorFlow, files or sockets. Standard library only.
"""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


class ServableId(NamedTuple):
    name: str
    version: int

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"


class State(enum.Enum):
    """What a caller may learn about a version. The numbers are those of `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class ServableState:
    """State of one version. `error` is (gRPC status name, text) where loading failed, else None."""

    id: ServableId
    state: State
    error: tuple[str, str] | None = None


class Servable(Protocol):
    def close(self) -> None: ...


class LoadFailed(Exception):
    """A loader raises it for a version that cannot be loaded. `code` is a gRPC status name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ServableNotFound(LookupError):
    """No version of the model answers the request. The text is TensorFlow Serving's."""

    def __init__(self, name: str, version: int | None) -> None:
        self.name, self.version = name, version
        asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        super().__init__(f"Servable not found for request: {asked}")


class Phase(enum.Enum):
    """Where the manager stands with a version; finer than `State`."""

    NEW = "new"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    ERROR = "error"


@dataclass(eq=False)
class Harness:
    """One version under management: its phase, and the count of requests that hold it.

    `acquire` and `release` may be called from any thread; everything else belongs to the manager's lock.
    Once `retire` was called no new request gets in, and `drained` is set when the last one has left.
    """

    id: ServableId
    path: str
    aspired: bool = True
    phase: Phase = Phase.NEW
    attempts: int = 0
    next_try: float = 0.0
    seen: object = None
    error: tuple[str, str] | None = None
    servable: Any = None
    drained: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _holders: int = 0
    _retired: bool = False

    def acquire(self) -> bool:
        with self._lock:
            if self._retired:
                return False
            self._holders += 1
            return True

    def hold(self) -> None:
        """Counts one more holder; only for callers that hold one already."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._retired and self._holders == 0:
                self.drained.set()

    def retire(self) -> None:
        with self._lock:
            self._retired = True
            if self._holders == 0:
                self.drained.set()


class Handle:
    """What a request holds: the servable cannot be unloaded before `release` (or the end of `with`).

    Not shared between threads; releasing twice is harmless.
    """

    __slots__ = ("_harness", "id", "servable")

    def __init__(self, harness: Harness) -> None:
        self._harness: Harness | None = harness
        self.id = harness.id
        self.servable = harness.servable

    def share(self) -> Handle:
        """Another handle on the same version; possible as long as this one is held, even during a drain."""
        if self._harness is None:
            raise RuntimeError(f"The handle on {self.id} was given back already")
        self._harness.hold()
        return Handle(self._harness)

    def release(self) -> None:
        harness, self._harness = self._harness, None
        if harness is not None:
            self.servable = None
            harness.release()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
