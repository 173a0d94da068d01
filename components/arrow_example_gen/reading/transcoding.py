"""A text file of any encoding as a stream of UTF-8 bytes, decoded as it is read, in bounded memory.

For one reader. Going back means beginning anew, so such a file is read by one worker from its start to its end.
"""

from __future__ import annotations

import codecs
import io
import os
from typing import IO

from components.shards import InputError

_CHUNK = 1 << 20
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def marked(start: bytes) -> str:
    """The encoding that a file's first bytes tell by a mark ('utf-16', 'utf-32'), '' if there is none that matters."""
    if start[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    return "utf-16" if start[:2] in _UTF_16_MARKS else ""


class Transcoded(io.RawIOBase):
    """`raw`, text in `encoding`, as UTF-8. Raises InputError with the line where bytes are none of that encoding."""

    def __init__(self, raw: IO[bytes], path: str, encoding: str) -> None:
        self._raw, self._path, self._encoding = raw, path, encoding
        self._begin()

    def _begin(self) -> None:
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        self._ready, self._at, self._line, self._ended = b"", 0, 1, False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            self._decode()
        part = self._ready[: len(buffer)]
        buffer[: len(part)] = part
        self._ready = self._ready[len(part) :]
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        target = offset + (self._at if whence == os.SEEK_CUR else 0)
        if whence == os.SEEK_END or target < 0:
            raise io.UnsupportedOperation("the end of decoded text is not known")
        if target < self._at:
            self._raw.seek(0)
            self._begin()
        while self._at < target and self.read(min(_CHUNK, target - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        return self._at

    def _decode(self) -> None:
        data = self._raw.read(_CHUNK)
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeError as error:
            raise InputError(self._undecodable(data, error)) from error
        self._ready = text.encode("utf-8", "surrogatepass")
        self._line += text.count("\n")

    def _undecodable(self, data: bytes, error: UnicodeError) -> str:
        line, what = self._line, str(error)
        if isinstance(error, UnicodeDecodeError):
            before = error.object[: error.start].decode(self._encoding, "replace")
            line += before.count("\n")
            what = f"byte 0x{error.object[error.start]:02x} ({error.reason}), after {before[-20:]!r}"
        return (
            f"{self._path}, line {line}: {what} is no text in {self._encoding!r}. Say the encoding that the file has "
            "(encoding=..., --csv-encoding)."
        )
