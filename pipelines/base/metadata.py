"""ML Metadata: where it is, its schema before anything runs in parallel, and what a dead run left behind.

Reading lineage is lineage.py's. One place turns the URL of VIADUCT_METADATA into a connection.
"""

from __future__ import annotations

import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.project import ProjectError

if TYPE_CHECKING:
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

CONNECT_ATTEMPTS = 8


def connection_config(url: str) -> metadata_store_pb2.ConnectionConfig:
    """ML Metadata's connection for `sqlite:///file`, `postgresql://user:password@host:port/db` or `mysql://...`.

    Raises ProjectError for another scheme or a URL without a database.
    """
    from ml_metadata.proto import metadata_store_pb2

    parts = urllib.parse.urlsplit(url)
    config = metadata_store_pb2.ConnectionConfig()
    if parts.scheme == "sqlite":
        config.sqlite.filename_uri = parts.path
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    database = parts.path.strip("/")
    if parts.scheme not in ("postgresql", "postgres", "mysql") or not database:
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        raise ProjectError(
            f"VIADUCT_METADATA is {shown!r}; expected sqlite:///FILE, postgresql://USER:PASSWORD@HOST:PORT/DATABASE "
            f"or mysql://USER:PASSWORD@HOST:PORT/DATABASE."
        )
    user = urllib.parse.unquote(parts.username or "")
    password = urllib.parse.unquote(parts.password or "")
    if parts.scheme == "mysql":
        mysql = config.mysql
        mysql.host, mysql.port, mysql.database = parts.hostname or "127.0.0.1", parts.port or 3306, database
        mysql.user, mysql.password = user, password
    else:
        from pipelines.base import backslashes

        backslashes.install()
        postgres = config.postgresql
        postgres.host, postgres.port, postgres.dbname = (
            parts.hostname or "127.0.0.1",
            str(parts.port or 5432),
            database,
        )
        postgres.user, postgres.password = user, password
        # The database is made by whoever owns the server; asking for it again needs rights we do not want.
        postgres.skip_db_creation = True
    return config


def store(url: str) -> MetadataStore:
    """An open store; the first one on an empty database creates its tables. Raises ProjectError if unreachable."""
    from ml_metadata import MetadataStore
    from ml_metadata import errors as mlmd_errors

    config = connection_config(url)
    if config.HasField("sqlite"):
        folder = Path(config.sqlite.filename_uri).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProjectError(
                f"HOME {folder} cannot be written: {error}. Set VIADUCT_HOME to another."
            ) from error
    for attempt in range(CONNECT_ATTEMPTS):
        try:
            return MetadataStore(config)
        except (mlmd_errors.StatusError, RuntimeError) as error:
            # Several first connections may race to create the tables; whoever loses finds them there a moment later.
            if attempt == CONNECT_ATTEMPTS - 1:
                where = (
                    url if config.HasField("sqlite") else urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
                )
                raise ProjectError(f"ML Metadata at {where} cannot be opened: {error}") from error
            time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


def prepare(url: str, dead_runs: list[str], reason: str) -> int:
    """Makes the tables and marks as failed what runs that are no longer alive left as running.

    Returns how many executions were marked. Called once before nodes run in parallel.
    """
    opened = store(url)
    return sum(fail_active(opened, run_id, reason) for run_id in dead_runs)


def fail_active(opened: MetadataStore, run_id: str, reason: str, node: str | None = None) -> int:
    """Marks the run's executions (of one node, if given) that are NEW or RUNNING as FAILED, with the reason."""
    from ml_metadata.proto import metadata_store_pb2

    states = metadata_store_pb2.Execution
    context = opened.get_context_by_type_and_name("pipeline_run", run_id)
    if context is None:
        return 0
    active = [
        execution
        for execution in opened.get_executions_by_context(context.id)
        if execution.last_known_state in (states.NEW, states.RUNNING)
        and (node is None or _node_of(opened, execution, run_id) == node)
    ]
    for execution in active:
        execution.last_known_state = states.FAILED
        execution.custom_properties["viaduct_failure"].string_value = reason
    if active:
        opened.put_executions(active)
    return len(active)


def _node_of(opened: MetadataStore, execution: Any, run_id: str) -> str:
    for context in opened.get_contexts_by_execution(execution.id):
        if context.type == "node":
            return context.name.rpartition(".")[2]
    return ""
