"""What the release tests share: models that are good and bad in known ways, and callers that keep asking."""

from __future__ import annotations

import functools
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from serving.release.command import main
from serving.release.folder import Folder
from tests.serving import savedmodels
from tests.serving.processes import until

KINDS = {
    "good": {}, "better": {}, "failing": {"errors": 0.1}, "broken": {"errors": 1.0}, "nan": {"nans": 0.2},
    "slow": {"slow": 0.02}, "hanging": {"hangs": True},
}  # fmt: skip


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per kind of model; each answers x * (its place in the list) + 1."""
    root = tmp_path_factory.mktemp("kinds")
    for factor, (kind, faults) in enumerate(KINDS.items(), start=1):
        savedmodels.unsteady(root / kind, factor, **faults)
    return root


@functools.cache
def client() -> httpx.Client:
    return httpx.Client(timeout=30)


def asked(server, key=None, url="/v1/models/m:predict"):
    """(version, predictions) of an answer over REST."""
    headers = {} if key is None else {"x-viaduct-key": key}
    answer = client().post(server.url + url, json={"instances": [[1.0, 2.0]]}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-viaduct-version"], answer.json()["predictions"]


def versions_of(server, keys):
    return [asked(server, key)[0] for key in keys]


class Callers:
    """Threads that ask a server over REST, each request with a key of one of 2,000 people, until `stop`."""

    def __init__(self, url: str, threads: int = 4, pause_s: float = 0.0) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.versions_by_key: dict[str, set[str]] = {}
        self._url = f"{url}/v1/models/m:predict"
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        with httpx.Client(timeout=30) as client:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                key = f"person-{number}-{turn % 500}"
                try:
                    answer = client.post(
                        self._url, json={"instances": [[1.0, 2.0]]}, headers={"x-viaduct-key": key}
                    )
                    version = answer.headers.get("x-viaduct-version", "")
                    self.answers[answer.status_code, version] += 1
                    self.versions_by_key.setdefault(key, set()).add(version)
                except httpx.HTTPError as error:
                    self.answers[0, type(error).__name__] += 1
                    time.sleep(0.05)
                time.sleep(self._pause_s)

    @property
    def failed(self) -> dict[tuple[int, str], int]:
        return {what: number for what, number in self.answers.items() if what[0] != 200}

    def settle_on(self, version: str) -> None:
        """Waits for fifty answers in turn that all are `version`'s: a decision is told a moment after its record."""

        def settled() -> bool:
            before = Counter(self.answers)
            until(lambda: sum(self.answers.values()) - before.total() > 50)
            return set(Counter(self.answers) - before) == {(200, version)}

        until(settled)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Model:
    """The served folder of a model `m` and its releases."""

    def __init__(self, base: Path, kinds: Path) -> None:
        self.base = base
        self.folder = Folder(base)
        self._kinds = kinds

    def push(self, version: int, kind: str) -> None:
        """As the Pusher does: aside, then renamed."""
        self.base.mkdir(parents=True, exist_ok=True)
        aside = self.base / f".push.{version}"
        shutil.copytree(self._kinds / kind, aside)
        aside.rename(self.base / str(version))

    def command(self, *words: str) -> int:
        return main([str(self.base), *words])

    def release(self):
        return self.folder.newest()

    def becomes(self, state: str, timeout_s: float = 60.0):
        """Waits for the newest release to be in a state, and returns it."""

        until(lambda: self.release_is(state), timeout_s)
        return self.release()

    def release_is(self, state: str) -> bool:
        found = self.release()
        return found is not None and found.state == state

    def flags(self) -> list[str]:
        return [f"--model_base_path={self.base}", "--model_name=m"]


@pytest.fixture
def model(tmp_path: Path, kinds: Path) -> Model:
    made = Model(tmp_path / "m", kinds)
    made.push(1, "good")
    return made
