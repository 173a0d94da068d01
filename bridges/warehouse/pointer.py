"""A delivery that stays in the warehouse: a small file that says which query, and in which state its rows are.

    FOLDER[/span-N]/source.json   {"address", "query", "rows", "state", "key"}

The folder is the raw data of a run, like one with files: the run's fingerprint and the ExampleGen's cache see a
change of the query or of its rows as a change of this file. It holds no row and no password.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bridges.errors import BridgeError
from bridges.warehouse import address as addresses
from bridges.warehouse import query as queries
from bridges.warehouse import snapshot
from pipelines.base import whole

NAME = "source.json"


@dataclass(frozen=True)
class Source:
    """A query against one database, with the number of rows it gave and their digest when it was looked at."""

    address: str
    query: str
    rows: int
    state: str
    key: str = ""


def write(folder: Path, url: str, file: Path, span: int | None = None, key: str = "") -> Path:
    """Looks at the query of that file and writes its pointer below `folder`; the folder of this query's deliveries.

    Raises BridgeError: no connection, a query that fails or gives no rows or a column twice, a key that it has not.
    """
    address = addresses.taken_apart(url, reading=True)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BridgeError(f"--query {file} cannot be read: {error}") from None
    query = queries.text_of(text, f"--query {file}", span)
    with snapshot.held(address) as (cursor, _):
        names = [column.name for column in queries.columns_of(cursor, query, address)]
        if key and key not in names:
            raise BridgeError(f"The query has no column {key!r} to be split by; it has {', '.join(names)}.")
        rows, state = queries.state_of(cursor, query, address)
    if not rows:
        raise BridgeError(f"The query of {file} gives no rows at {address}.")
    source = Source(address, query, rows, state, key)
    # The query's text before the span stands in it: all deliveries of one query lie together.
    mark = hashlib.sha256(f"{address}\n{text}\n{key}".encode()).hexdigest()[:16]
    base = folder / mark
    place = base if span is None else base / f"span-{span}"
    place.mkdir(parents=True, exist_ok=True)
    content = json.dumps(asdict(source), indent=1)
    if not (place / NAME).exists() or (place / NAME).read_text(encoding="utf-8") != content:
        whole.write(place / NAME, content)
    return base


def read(file: Path) -> Source:
    """The pointer in that file. Raises BridgeError."""
    try:
        written: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Source(**written)
    except (OSError, ValueError, TypeError) as error:
        raise BridgeError(f"{file} is no pointer to a query: {error}") from None


def is_pointer(folder: Path) -> bool:
    """Whether this raw data stays in a warehouse."""
    return (folder / NAME).is_file() or any(folder.glob(f"span-*/{NAME}"))
