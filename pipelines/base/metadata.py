"""ML Metadata: where it is, how it is opened, and why it cannot be. One place turns a URL into a connection.

What its executions mean is executions.py's, reading lineage lineage.py's.
"""

from __future__ import annotations

import time
import urllib.parse
from typing import TYPE_CHECKING

from pipelines.base import refusals
from pipelines.base.errors import ProjectError
from pipelines.base.paths import sqlite_file, without_password

if TYPE_CHECKING:
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

CONNECT_ATTEMPTS = 8
PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306}
SAID_BY_STORE = ("metadata source error", "mysql_real_connect", "connection to Metadata storage")
FORMS = (
    "expected sqlite:///FILE, postgresql://USER:PASSWORD@HOST:PORT/DATABASE or "
    "mysql://USER:PASSWORD@HOST:PORT/DATABASE. A # ? / @ or % within a name or a password is written %23 %3F %2F "
    "%40 %25"
)


def connection_config(url: str) -> metadata_store_pb2.ConnectionConfig:
    """ML Metadata's connection for `sqlite:///file`, `postgresql://user:password@host:port/db` or `mysql://...`.

    Raises ProjectError for another scheme or a URL without a database.
    """
    from ml_metadata.proto import metadata_store_pb2

    from pipelines.base import backslashes, listings

    listings.install()
    config = metadata_store_pb2.ConnectionConfig()
    file = sqlite_file(url)
    if file is not None:
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    scheme, host, port, user, password, database = _server(url)
    if scheme == "mysql":
        mysql = config.mysql
        mysql.host, mysql.port, mysql.database = host, port, database
        mysql.user, mysql.password = user, password
    else:
        backslashes.install()
        postgres = config.postgresql
        postgres.host, postgres.port, postgres.dbname = host, str(port), database
        postgres.user, postgres.password = user, password
        # The database is made by whoever owns the server; asking for it again needs rights we do not want.
        postgres.skip_db_creation = True
    return config


def _server(url: str) -> tuple[str, str, int, str, str, str]:
    """(scheme, host, port, user, password, database) of a server's URL; ProjectError if it is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = urllib.parse.urlsplit(""), 0
    database = urllib.parse.unquote(parts.path.removeprefix("/").removesuffix("/"))
    if not database or "/" in database or parts.query or parts.fragment:
        raise ProjectError(f"VIADUCT_METADATA is {without_password(url)!r}; {FORMS}.")
    user, password = (urllib.parse.unquote(text or "") for text in (parts.username, parts.password))
    return parts.scheme, parts.hostname or "127.0.0.1", port, user, password, database


def store(url: str) -> MetadataStore:
    """An open store; the first one on an empty database creates its tables. Raises ProjectError if unreachable."""
    from ml_metadata import MetadataStore
    from ml_metadata import errors as mlmd_errors

    config = connection_config(url)
    _make_folder(url)
    for attempt in range(CONNECT_ATTEMPTS):
        try:
            return MetadataStore(config)
        except (mlmd_errors.StatusError, RuntimeError) as error:
            # Several first connections may race to create the tables; whoever loses finds them there a moment later.
            refusal = refusal_of(url, error)
            if refusal.final or attempt == CONNECT_ATTEMPTS - 1:
                raise ProjectError(_sentence(url, refusal)) from error
            time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


def is_trouble(error: BaseException) -> bool:
    """Whether it is ML Metadata that failed, as TFX hands it on, and not what used it."""
    from ml_metadata import errors as mlmd_errors

    broken = isinstance(error, mlmd_errors.InternalError | mlmd_errors.UnavailableError)
    return broken or any(text in str(error) for text in SAID_BY_STORE)


def explain(url: str, error: BaseException) -> str:
    """One sentence for people on why ML Metadata at `url` failed with `error`; no password is in it."""
    return _sentence(url, refusal_of(url, error))


def refusal_of(url: str, error: BaseException) -> refusals.Refusal:
    """The cause of ML Metadata's `error` at `url`, asked of the server where the error does not say it."""
    told = " ".join(str(error).split())
    if sqlite_file(url) is not None:
        return refusals.Refusal(told, final=False)
    scheme, host, port, user, password, database = _server(url)
    refusal = refusals.unreachable(host, port)
    if refusal is None and scheme == "mysql":
        refusal = refusals.of_mysql(host, port, user, password, database)
    elif refusal is None:
        from ml_metadata import MetadataStore

        refusal = refusals.of_postgresql(lambda: MetadataStore(connection_config(url)), str(error))
    return refusal or refusals.Refusal(told, final=False)


def _sentence(url: str, refusal: refusals.Refusal) -> str:
    file = sqlite_file(url)
    where, check = (
        (f"{file}", "the file") if file else (without_password(url), "the server and VIADUCT_METADATA")
    )
    return f"ML Metadata at {where} cannot be used: {refusal.cause}. Check {check}."


def _make_folder(url: str) -> None:
    file = sqlite_file(url)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"HOME {file.parent} cannot be written: {error}. Set VIADUCT_HOME to another."
        ) from error
