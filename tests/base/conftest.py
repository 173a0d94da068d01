"""A checkout of its own for tests that edit code, with a project made by `viaduct new`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.base import run_record
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.run_record import RunRecord
from tests.conftest import viaduct

ROOMS = ("components", "bridges", "serving")
PROJECT = "churn"


@dataclass(frozen=True)
class Scratch:
    """A copied checkout, its HOME, and the project in it."""

    checkout: Path
    home: Path

    @property
    def paths(self) -> Paths:
        return Paths.of(PROJECT, self.home)

    @property
    def source(self) -> Path:
        return self.checkout / "pipelines" / PROJECT

    @property
    def served(self) -> Path:
        """Where models of its sample are pushed."""
        return self.paths.served(f"{PROJECT}.sample")

    def run(self, *arguments: str, **env: str):  # type: ignore[no-untyped-def]
        return viaduct(*arguments, home=self.home, cwd=self.checkout, **env)

    def newest(self) -> RunRecord:
        return next(run_record.read_all(self.paths))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """Code of the base and the rooms below it, and `churn` made by the template; one for the session."""
    checkout = tmp_path_factory.mktemp("scratch") / "checkout"
    ignore = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(CHECKOUT / room, checkout / room, ignore=ignore)
    shutil.copytree(CHECKOUT / "pipelines" / "base", checkout / "pipelines" / "base", ignore=ignore)
    for name in ("setup.py", "requirements.lock", "pipelines/__init__.py", "pipelines/__main__.py"):
        shutil.copy(CHECKOUT / name, checkout / name)
    for file in (CHECKOUT / "pipelines").glob("cli*.py"):
        shutil.copy(file, checkout / "pipelines" / file.name)
    made = Scratch(checkout, checkout.parent / "home")
    done = made.run("new", PROJECT)
    assert done.returncode == 0, done.stderr
    yield made
    made.run("host", "stop")
