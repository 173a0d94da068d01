"""Limits on what packed input unpacks to, so that a small file cannot fill memory or disk; and reading within them.

Tables and pictures pack to a tenth, rarely to a fiftieth; deflate ends at a thousandth. What is small is always let
through. Who means it unpacks the file before.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from typing import IO, Any

from components.shards import InputError

MAX_RATIO = 200
SMALL_BYTES = 64 << 20
MAX_MEMBER_BYTES = 256 << 20  # of one picture in a zip, which is held in memory


class Unpacked(gzip.GzipFile):
    """The content of a gzip stream of `packed` bytes; `read` raises InputError beyond the limit."""

    def __init__(self, raw: IO[bytes], path: str, packed: int) -> None:
        super().__init__(fileobj=raw)
        self._path, self._allowed = path, _allowed(packed)

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > self._allowed:
            raise InputError(_too_much(self._path, f"more than {_mb(self._allowed)}", self._allowed))
        return data


def check_archive(path: str, archive: zipfile.ZipFile, packed: int) -> None:
    """Raises InputError for a zip of `packed` bytes that holds too much, naming the member where it is one's fault."""
    members = archive.infolist()
    for member in members:
        limit = min(MAX_MEMBER_BYTES, _allowed(member.compress_size))
        if member.file_size > limit:
            raise InputError(_too_much(f"{path}!{member.filename}", _mb(member.file_size), limit))
    total = sum(member.file_size for member in members)
    if total > _allowed(packed):
        raise InputError(_too_much(f"{path}: its {len(members):,} members", _mb(total), _allowed(packed)))


def read_member(path: str, archive: zipfile.ZipFile, name: str) -> bytes:
    """The member's content, no more than its entry says. Raises InputError for one that cannot be read."""
    where = f"{path}!{name}"
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"{where}: damaged in its zip ({error}). Fetch it again.") from error
    except (NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{where}: cannot be unpacked ({error}). Pack it as usual, without a password."
        ) from error


def read_at_most(stream: Any, size: int) -> bytearray:
    """Up to `size` bytes, read in pieces: a size that is only claimed takes no memory."""
    data = bytearray()
    while len(data) < size and (piece := stream.read(min(size - len(data), 1 << 24))):
        data += piece
    return data


def _allowed(packed: int) -> int:
    return max(SMALL_BYTES, packed * MAX_RATIO)


def _too_much(what: str, size: str, limit: int) -> str:
    return (
        f"{what} would unpack to {size}, expected at most {_mb(limit)} ({MAX_RATIO} times what is packed, or what is "
        "small). If that is right, unpack it before."
    )


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB"
