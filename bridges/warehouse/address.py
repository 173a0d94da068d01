"""Where a database is, and connections to it. An address never holds a password.

The password comes from VIADUCT_WAREHOUSE_PASSWORD, or from where libpq looks (PGPASSWORD, ~/.pgpass, a service). One
that was typed into the URL is moved to that variable first, so that it reaches the nodes of a run and nothing else:
no metadata, no log, no record. What is typed stands in the list of processes as long as the command runs; the
variable and ~/.pgpass do not.
"""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from pipelines.base.paths import without_password

if TYPE_CHECKING:
    import psycopg2.extensions

PASSWORD = "VIADUCT_WAREHOUSE_PASSWORD"
SCHEMES = ("postgresql", "postgres")
# Those that are read by dialects of their own, and not written to.
READ_SCHEMES = (*SCHEMES, "redshift", "vertica")
PORTS = {"redshift": 5439, "vertica": 5433}
CONNECT_S = 5


def is_address(text: str) -> bool:
    """Whether this names a database that we read and write ourselves."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def taken_apart(url: str, reading: bool = False) -> str:
    """The URL without its password, which goes to the environment of this process and of those it starts. Only for
    `reading` may it be one of a dialect's. Raises BridgeError."""
    if "://" not in url or url.partition("://")[0] not in (READ_SCHEMES if reading else SCHEMES):
        others = f" ({' and '.join(PORTS)}:// are read by `viaduct run`, not written)" if not reading else ""
        raise BridgeError(
            f"{without_password(url)!r} is no warehouse; expected postgresql://USER@HOST:PORT/DATABASE{others}."
        )
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qs(parts.query)
    if "password" in query:
        raise BridgeError(f"Leave the password out of the URL's parameters and set {PASSWORD}.")
    if not parts.path.strip("/"):
        raise BridgeError(
            f"{without_password(url)} names no database; expected postgresql://USER@HOST:PORT/DATABASE."
        )
    if parts.password:
        os.environ[PASSWORD] = urllib.parse.unquote(parts.password)
    return without_password(url)


def connect(address: str, name: str = "viaduct") -> psycopg2.extensions.connection:
    """A connection. Raises BridgeError that names host and reason, and no password."""
    try:
        import psycopg2
    except ImportError:
        raise BridgeError(
            "psycopg2 is not installed: install the extra 'spark' or 'airflow' of tfx-viaduct."
        ) from None
    password = os.environ.get(PASSWORD)
    scheme, _, rest = address.partition("://")
    if scheme == "vertica":
        return _vertica(address, password)
    spoken = address
    if scheme == "redshift":
        port = urllib.parse.urlsplit(address).port
        spoken = f"postgresql://{rest}" + (
            "" if port else f"{'&' if '?' in rest else '?'}port={PORTS[scheme]}"
        )
    settings: dict[str, Any] = {
        "application_name": name,
        "connect_timeout": CONNECT_S,
        "client_encoding": "UTF8",
    }
    try:
        return psycopg2.connect(spoken, **settings, **({"password": password} if password else {}))
    except psycopg2.Error as error:
        raise BridgeError(
            f"No connection to {without_password(address)}: {_line(error, password)}."
        ) from None


def _vertica(address: str, password: str | None) -> Any:
    """A connection by Vertica's own client, which is not among our packages."""
    try:
        import vertica_python
    except ImportError:
        raise BridgeError(
            "vertica-python is not installed, and vertica:// is read by it: pip install vertica-python."
        ) from None
    parts = urllib.parse.urlsplit(address)
    try:
        return vertica_python.connect(
            host=parts.hostname or "localhost",
            port=parts.port or PORTS["vertica"],
            user=urllib.parse.unquote(parts.username or ""),
            password=password or "",
            database=parts.path.strip("/"),
            connection_timeout=CONNECT_S,
            unicode_error="strict",
        )
    except (vertica_python.errors.Error, OSError) as error:
        raise BridgeError(
            f"No connection to {without_password(address)}: {_line(error, password)}."
        ) from None


@contextlib.contextmanager
def told(address: str, doing: str) -> Iterator[None]:
    """Errors of the database within, as a BridgeError: what was done, where, and the server's own first line."""
    if address.startswith("vertica:"):
        with _vertica_told(address, doing):
            yield
        return
    import psycopg2
    from psycopg2 import errors

    try:
        yield
    except errors.QueryCanceled as error:
        raise BridgeError(
            f"{without_password(address)} ended the statement while {doing}: {_line(error)}. Raise its limit "
            "(...?options=-c%20statement_timeout%3D0), or take a smaller query."
        ) from None
    except errors.LockNotAvailable:
        raise BridgeError(
            f"{without_password(address)}: somebody waits to alter a table of the query, so {doing} would wait for "
            "them. Nothing was written; run it again when they are through."
        ) from None
    except errors.InsufficientPrivilege as error:
        raise BridgeError(
            f"{without_password(address)} refuses {doing}: {_line(error)}. Ask for the right to read it."
        ) from None
    except psycopg2.Error as error:
        # The server's own errors have a code; without one it is gone. One that shuts down says so with 57P.
        if error.pgcode is None or error.pgcode.startswith(("57P", "08")):
            raise BridgeError(
                f"The connection to {without_password(address)} broke while {doing}: {_line(error)}. Nothing was "
                "written; run it again."
            ) from None
        raise BridgeError(f"{without_password(address)} failed while {doing}: {_line(error)}.") from None


@contextlib.contextmanager
def _vertica_told(address: str, doing: str) -> Iterator[None]:
    import vertica_python

    try:
        yield
    except vertica_python.errors.Error as error:
        raise BridgeError(f"{without_password(address)} failed while {doing}: {_line(error)}.") from None


def _line(error: Exception, password: str | None = None) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Of a query that is wrong, the line that says where stands second.
    text = " ".join(lines[:2]) if lines else type(error).__name__
    text = text.rstrip(".")
    return text.replace(password, "***") if password else text
