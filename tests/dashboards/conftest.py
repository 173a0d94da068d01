"""One synthetic HOME and one client for all fast tests of the dashboards."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.synthetic import homes

HOST = "http://127.0.0.1"


@pytest.fixture(scope="session")
def synthetic() -> Any:
    """The module that writes a HOME."""
    return homes


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME with two projects; tests read it and do not change it."""
    folder = tmp_path_factory.mktemp("home")
    homes.build(folder)
    return folder


def client_of(home: Path, **options: Any) -> Any:
    """A client of a fresh app over `home`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient

        from dashboards.app import create_app

        return TestClient(create_app(home, **options), base_url=HOST)


@pytest.fixture(scope="session")
def client(home: Path) -> Any:
    return client_of(home)


@pytest.fixture(scope="session")
def make_client() -> Any:
    return client_of
