"""One synthetic HOME and one client for all fast tests of the dashboards."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

HOST = "http://127.0.0.1"


def _load(name: str) -> Any:
    """A module beside this one; test folders are no packages."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def synthetic() -> Any:
    """The module that writes a HOME."""
    return _load("synthetic")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, synthetic: Any) -> Path:
    """A HOME with two projects; tests read it and do not change it."""
    folder = tmp_path_factory.mktemp("home")
    synthetic.build(folder)
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
