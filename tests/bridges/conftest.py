"""Shared by the bridges' tests: one real cluster (a master and two workers on loopback) and one session at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges.spark.cluster import Cluster
from bridges.spark.session import open_session
from tests.conftest import missing
from tests.serving import savedmodels


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Up; a test that kills a worker adds another."""
    if shutil.which("java") is None:
        missing("Java")
    cluster = Cluster(tmp_path_factory.mktemp("spark"), memory="768m")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def spark(spark_cluster: Cluster) -> Iterator[Any]:
    """The session of all tests of this process."""
    settings = {
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": "2",
        # Tests of errors wait for every attempt of a task.
        "spark.task.maxFailures": "2",
        "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "2",
        # A dead executor is noticed when its connection breaks; what waits longer than this is a fault.
        "spark.network.timeout": "60s",
        "spark.executor.heartbeatInterval": "5s",
    }
    session = open_session(spark_cluster.url, "tests", settings, serve_only=True)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders scaled/2, pair/1, examples/1; see tests.serving.savedmodels."""
    root = tmp_path_factory.mktemp("bridged-models")
    savedmodels.scaled(root / "scaled" / "2", 2)
    savedmodels.pair(root / "pair" / "1")
    savedmodels.examples(root / "examples" / "1")
    return root
