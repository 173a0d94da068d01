"""Reads TFRecord files, plain or gzip, as far as they are whole.

Format: length (uint64 LE), CRC of it, data, CRC of that. Checksums are skipped: a torn tail ends the reading,
and what gzip itself finds wrong does too. Does not write and does not know what the records hold.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

HEADER = struct.Struct("<QI")
# A length beyond this is no record of ours but a wrong file; reading on would ask for that much memory.
LONGEST = 1 << 28


def records(file: Path) -> Iterator[bytes]:
    """Each record's bytes. Raises OSError if the file cannot be opened."""
    with file.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped:
            yield from _read(raw)
            return
        with gzip.open(raw) as stream:
            yield from _read(stream)


def _read(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while True:
        try:
            header = stream.read(HEADER.size)
            if len(header) < HEADER.size:
                return
            length, _ = HEADER.unpack(header)
            if length > LONGEST:
                return
            data = stream.read(length + 4)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return
        if len(data) < length + 4:
            return
        yield data[:length]
