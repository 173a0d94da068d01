"""A PostgreSQL of a test's own."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dags.cluster import Cluster, binaries, data_folder, free_port
from pipelines.base.errors import ProjectError
from tests.conftest import missing


@contextlib.contextmanager
def temporary_cluster() -> Iterator[Cluster]:
    """A running cluster with the database `mlmd` of the role `mlmd`, whose password is `of-mlmd`; then deleted.

    Skips the test, or fails it where nothing may be missing, without PostgreSQL.
    """
    try:
        binaries()
    except ProjectError:
        missing("PostgreSQL")
    # Not below pytest's folder, which the user that PostgreSQL runs as under root cannot enter.
    with tempfile.TemporaryDirectory(prefix="viaduct-postgresql-") as base:
        Path(base).chmod(0o711)
        made = Cluster(data_folder(Path(base) / "postgresql"), free_port())
        made.create(password := secrets.token_hex(8))
        try:
            made.start()
            made.database(password, "mlmd", "of-mlmd")
            yield made
        finally:
            made.stop("immediate")
