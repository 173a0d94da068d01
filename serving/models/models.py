"""The models of a server: its configuration, the source that watches, the manager that loads, and labels.

`apply` changes the configuration while requests run; `acquire` finds the version a request means. Loading
itself is the `load` function it is given. Thread-safe. No sockets, no request messages.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving.core.manager import Manager
from serving.core.policy import TransitionPolicy, availability_preserving
from serving.core.servable import Handle, Servable, ServableId, ServableNotFound, ServableState, State
from serving.core.source import Choose, Source, by_policy, fingerprint
from serving.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError, Unavailable
from serving.models import model_config

logger = logging.getLogger(__name__)


@dataclass
class ModelsOptions:
    """The manager's and the source's settings, named as the flags are."""

    file_system_poll_wait_seconds: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_s: float = 60.0
    num_load_threads: int = 1
    transition: TransitionPolicy = availability_preserving
    allow_labels_for_unavailable: bool = False
    on_state: Callable[[ServableState], None] = field(default=lambda state: None)
    on_config: Callable[[Any], None] = field(default=lambda config: None)
    hold: Callable[[ServableId, str], bool] = field(default=lambda id, path: False)
    choose: Choose = by_policy

    def manager(self, load: Callable[[ServableId, str], Servable]) -> Manager:
        """A manager of these settings over `load`."""
        return Manager(
            load,
            policy=self.transition,
            max_retries=self.max_num_load_retries,
            retry_interval_s=self.load_retry_interval_s,
            load_threads=self.num_load_threads,
            fingerprint=fingerprint,
            on_state=self.on_state,
            hold=self.hold,
        )


class Versions(Protocol):
    """What is asked of whoever loads versions: the manager of this process, or workers together."""

    def aspire(self, name: str, versions: Mapping[int, str]) -> None: ...

    def prefer(self, name: str, version: int | None) -> None: ...

    def acquire(self, name: str, version: int | None = None) -> Handle: ...

    def states(self, name: str) -> dict[int, ServableState]: ...

    def broken(self, name: str) -> set[int]: ...

    def available(self, name: str) -> bool: ...

    def on_its_way(self, name: str, version: int | None = None) -> bool: ...

    def wait_until_settled(self, names: Iterable[str], timeout_s: float | None = None) -> bool: ...

    def stop(self, drain_s: float) -> None: ...


class Models:
    """Owns source and manager from construction to `stop`."""

    def __init__(self, manager: Versions, options: ModelsOptions) -> None:
        self._options = options
        self.manager = manager
        self.source = Source(
            self.manager.aspire, self.manager.broken, options.file_system_poll_wait_seconds, options.choose
        )
        self._labels: dict[str, dict[str, int]] = {}
        self._config: Any = None
        self._lock = threading.Lock()

    # What requests use.

    def acquire(self, name: str, version: int | None = None, label: str | None = None) -> Handle:
        """A handle on the version that a ModelSpec means. Raises ServingError with the original's texts."""
        if not name:
            raise InvalidArgument("ModelSpec has no name specified.")
        if label is not None:
            version = self.version_of(name, label)
        try:
            return self.manager.acquire(name, version)
        except ServableNotFound as error:
            loading = version is None and self._config is not None and self._condition(name) == "loading"
            if loading or self.manager.on_its_way(name, version):
                raise Unavailable(f"{error}, which is still loading; try again") from None
            if self._config is None:
                raise Unavailable("The server is starting; try again") from None
            raise NotFound(str(error)) from None

    def version_of(self, name: str, label: str) -> int:
        try:
            return self._labels[name][label]
        except KeyError:
            raise InvalidArgument(f"Unrecognized servable version label: {label}") from None

    def states(self, name: str) -> dict[int, ServableState]:
        return self.manager.states(name)

    def names(self) -> list[str]:
        config = self._config
        return [] if config is None else [m.name for m in config.model_config_list.config]

    # What operations use.

    def apply(self, config: Any, wait_s: float | None = None) -> None:
        """Makes `config` the configuration; with `wait_s`, waits for the models that are new in it.

        Raises ServingError and changes nothing where the config is refused; raises UNKNOWN, as the original
        does, where a new model did not become available (the rest is applied).
        """
        if config.WhichOneof("config") != "model_config_list":
            raise InvalidArgument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest."
                " Only ModelConfigList is currently supported"
            )
        with self._lock:
            model_config.validate(config)
            labels = self._checked_labels(config)
            old = set(self.names())
            self._config = config
            self._labels = labels
            logger.info("Adding/updating models: %s", ", ".join(self.names()) or "none")
            self.source.configure(model_config.monitored(config))
            self._options.on_config(config)
            new = [name for name in self.names() if name not in old]
        if wait_s is not None and new:
            self.manager.wait_until_settled(new, wait_s)
            self._check_available(new)

    def _checked_labels(self, config: Any) -> dict[str, dict[str, int]]:
        labels = model_config.labels(config)
        for name, assigned in labels.items():
            states = self.manager.states(name)
            for label, version in assigned.items():
                moved = self._labels.get(name, {}).get(label, version) != version
                if self._options.allow_labels_for_unavailable and not moved:
                    continue
                state = states.get(version)
                if state is None or state.state is not State.AVAILABLE:
                    raise FailedPrecondition(
                        f"Request to assign label to version {version} of model {name}, "
                        "which is not currently available for inference"
                    )
        return labels

    def _check_available(self, names: list[str]) -> None:
        missing = []
        for name in names:
            if self.manager.available(name):
                continue
            failed = self._failed(name)
            missing += [f"{{{s.id} due to error: {s.error[0]}: {s.error[1]}}}" for s in failed if s.error]
            if not failed:
                missing.append(f"{{{name}: {self.source.complaint(name) or 'still loading'}}}")
        if missing:
            raise ServingError(
                f"{len(missing)} model(s) did not become available: {{{', '.join(missing)}}}", "UNKNOWN"
            )

    def _failed(self, name: str) -> list[ServableState]:
        """Versions that are wanted and whose last attempt has failed; the states of those that are gone stay known."""
        broken = self.manager.broken(name)
        states = self.manager.states(name)
        return [state for version, state in states.items() if version in broken and state.error is not None]

    def readiness(self) -> dict[str, str]:
        """Model -> "available", "loading" or "broken: why"; the server is ready when all are available."""
        return {name: self._condition(name) for name in self.names()}

    def _condition(self, name: str) -> str:
        if self.manager.available(name):
            return "available"
        failed = self._failed(name)
        if failed:
            return f"broken: {failed[0].error[1] if failed[0].error else ''}"
        if self.source.complaint(name):
            return f"broken: {self.source.complaint(name)}"
        return "loading" if name in self.names() else "unknown"

    def stop(self, drain_s: float) -> None:
        self.source.stop()
        self.manager.stop(drain_s)
