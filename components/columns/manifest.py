"""The manifest: which column files hold the rows of which shards of records, and how to tell that they still do.

`columns/manifest.json`: {"version": 1, "splits": {name: {"rows": n, "shards": [shard, ...]}}}, a shard being
{"records": file name in Split-<name>, "rows": n, "bytes": n, "crc32c": n, "columns": [part, ...], "missing": reason},
a part {"file": name in columns/, "rows": n, "bytes": n, "crc32c": n}. Sizes and checksums (CRC-32C, the records'
own) are those of whole files as stored: they find what was cut off, replaced or damaged, at the speed of reading it.
They are no protection against somebody who means to deceive.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

FOLDER, NAME, VERSION = "columns", "manifest.json", 1
_CHUNK = 4 << 20
Shard = dict[str, Any]


def is_remote(path: str) -> bool:
    """Whether one of TFX's remote file systems is asked for it."""
    return "://" in path


def open_file(path: str, mode: str) -> IO[bytes]:
    """A binary file of this machine, or of one of TFX's file systems."""
    if is_remote(path):
        from tfx.dsl.io import fileio

        return fileio.open(path, mode)
    return open(path, mode)


class Summed:
    """Writes through to a file and keeps what the manifest says of it: `bytes` and `crc32c` of all that was written.

    As much of a file as pyarrow and zlib ask for; for one thread.
    """

    def __init__(self, path: str) -> None:
        self.path, self.bytes, self.crc32c = path, 0, 0
        self._file = open_file(path, "wb")

    def write(self, data: bytes) -> int:
        import google_crc32c

        data = bytes(data)
        self._file.write(data)
        self.crc32c = google_crc32c.extend(self.crc32c, data)
        self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._file.flush()

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def close(self) -> None:
        self._file.close()

    def facts(self) -> dict[str, Any]:
        """Path, bytes and checksum; JSON types."""
        return {"path": self.path, "bytes": self.bytes, "crc32c": self.crc32c}


def write(uri: str, splits: Mapping[str, Sequence[Shard]]) -> None:
    """Writes the manifest of the artifact at `uri`, replacing one that is there; shards in the order of their rows."""
    from pipelines.base import whole

    told = {
        name: {"rows": sum(s["rows"] for s in shards), "shards": list(shards)}
        for name, shards in splits.items()
    }
    content = json.dumps({"version": VERSION, "splits": told}, indent=1).encode()
    path = os.path.join(uri, FOLDER, NAME)
    if is_remote(uri):
        with open_file(path, "wb") as file:
            file.write(content)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    whole.write(Path(path), content)


def read(uri: str, split: str) -> list[Shard] | str:
    """The shards of the split, or in words why there are none to go by."""
    from tfx.dsl.io import fileio

    path = os.path.join(uri, FOLDER, NAME)
    if not fileio.exists(path):
        return "it has no columns beside its records"
    try:
        with open_file(path, "rb") as file:
            told = json.loads(file.read())
        if told["version"] != VERSION:
            return f"{path} is of version {told['version']!r}, expected {VERSION}"
        return list(told["splits"][split]["shards"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path} cannot be used ({type(error).__name__}: {error})"


def mismatch(uri: str, split: str, shards: Iterable[Shard]) -> str:
    """In words, the first thing that is not as the manifest says; '' if all is. Reads all files once."""
    from tfx.dsl.io import fileio

    folder = os.path.join(uri, f"Split-{split}")
    there = {name for name in fileio.listdir(folder) if not name.startswith(".")}
    known = {shard["records"] for shard in shards}
    if there != known:
        return f"{folder} holds {sorted(there ^ known)[0]!r}, which differs from the manifest's list"
    for shard in shards:
        if shard["columns"] is None:
            return f"no columns were written for {shard['records']} ({shard['missing']})"
        files = [(os.path.join(folder, shard["records"]), shard)]
        files += [(os.path.join(uri, FOLDER, part["file"]), part) for part in shard["columns"]]
        for path, facts in files:
            wrong = _differs(path, facts)
            if wrong:
                return wrong
    return ""


def _differs(path: str, facts: Mapping[str, Any]) -> str:
    import google_crc32c
    from tfx.dsl.io import fileio

    if not fileio.exists(path):
        return f"{path} is missing"
    size, crc = 0, 0
    with open_file(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            crc = google_crc32c.extend(crc, chunk)
    if size != facts["bytes"]:
        return f"{path} has {size:,} bytes, the manifest says {facts['bytes']:,}"
    return (
        "" if crc == facts["crc32c"] else f"{path} is not what the manifest speaks of: its checksum differs"
    )
