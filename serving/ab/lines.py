"""Files of lines that outlive kills: written by many processes, each into a file of its own, read by anybody.

A line is a checksum (crc32, eight hex digits), a space and a JSON object. What a kill or a power cut leaves of a line
is seen by its checksum, counted, and passed over. Files are named `<kind>-<host>~<pid>~<start>-<n>.log` and finished at
`MOST_BYTES`. Nothing is deleted here; who takes an old file away, as `viaduct gc` does, loses no line of a server that
has it open: what is written stands in a file that is there. Standard library only.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import queue
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from serving.release.folder import this_server

logger = logging.getLogger(__name__)

MOST_BYTES = 64 * 2**20
# Lines that may wait for the disk; more are refused, so that a full disk does not fill the memory.
WAITING = 10_000
# One complaint in this time: a full disk must not fill the server's own log too.
QUIET_S = 60.0
_numbers = itertools.count()


class Writer(NamedTuple):
    """One open file."""

    file: BinaryIO
    path: Path


class _Work(NamedTuple):
    folder: Path
    kind: str
    text: bytes
    done: Future[None] | None


def line(value: dict[str, Any]) -> bytes:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(body), body)


class Lines:
    """Writes lines in a thread, which is started by the first. Thread-safe; `close` writes what waits.

    put(): without a `done` the line reaches the file system within moments; with one it reaches the disk before that
    is done, and lines that wait together are flushed together.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[_Work | None] = queue.Queue(WAITING)
        self._files: dict[tuple[Path, str], Writer] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._quiet_until = 0.0
        self.dropped = 0

    def put(
        self, folder: Path, kind: str, values: Sequence[dict[str, Any]], *, durable: bool
    ) -> Future[None]:
        """Queues lines, all of one write. Never waits: where too many do, the future has an OSError."""
        done: Future[None] = Future()
        work = _Work(folder, kind, b"".join(map(line, values)), done if durable else None)
        with self._lock:
            try:
                if self._closed:
                    raise OSError("the server is stopping")
                self._start()
                self._queue.put_nowait(work)
            except (queue.Full, OSError) as error:
                self.dropped += len(values)
                done.set_exception(
                    error if isinstance(error, OSError) else OSError("too much waits for the disk")
                )
        return done

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="feedback", daemon=True)
            self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=10)
            self._thread = None

    def _work(self) -> None:
        more = True
        while more:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            more = None not in batch
            places: dict[tuple[Path, str], list[_Work]] = {}
            for work in batch:
                if work is not None:
                    places.setdefault((work.folder, work.kind), []).append(work)
            for place, works in places.items():
                self._write(place, works)
        for writer in self._files.values():
            writer.file.close()
        self._files.clear()

    def _write(self, place: tuple[Path, str], works: list[_Work]) -> None:
        futures = [work.done for work in works if work.done is not None]
        try:
            while True:
                writer = self._writer(place)
                writer.file.write(b"".join(work.text for work in works))
                writer.file.flush()
                if futures:
                    os.fsync(writer.file.fileno())
                # Taken away in this moment: the lines are told again, which readers do not count twice.
                if _is_there(writer):
                    break
        except OSError as error:
            self.dropped += len(works)
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + QUIET_S
                logger.warning(
                    "%s cannot be written in %s: %s (%d lost so far)", place[1], place[0], error, self.dropped
                )
            broken = self._files.pop(place, None)
            if broken is not None:
                # What is half written stays the end of its file.
                with contextlib.suppress(OSError):
                    broken.file.close()
            for future in futures:
                future.set_exception(error)
        else:
            for future in futures:
                future.set_result(None)

    def _writer(self, place: tuple[Path, str]) -> Writer:
        writer = self._files.get(place)
        if writer is not None and (writer.file.tell() > MOST_BYTES or not _is_there(writer)):
            writer.file.close()
            writer = None
        if writer is None:
            folder, kind = place
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{kind}-{this_server()}-{next(_numbers)}.log"
            writer = self._files[place] = Writer(open(path, "ab"), path)  # noqa: SIM115 - stays open across calls
        return writer


def _is_there(writer: Writer) -> bool:
    """Whether the open file is still the one of its name."""
    try:
        return os.path.samestat(os.fstat(writer.file.fileno()), os.stat(writer.path))
    except FileNotFoundError:
        return False


class Reader:
    """Reads the lines of a kind in a folder; each call of `fresh` goes on where the last one ended.

    `torn`: lines that are not as they were written, unfinished ends of files included.
    `places`: how much of each file has been read; given to another reader, that one goes on there.
    """

    def __init__(self, folder: Path, kind: str, places: Mapping[str, int] | None = None) -> None:
        self._folder, self._kind = folder, kind
        self._read: dict[str, int] = dict(places or {})
        self._broken = 0
        self._unfinished: dict[str, bool] = {}

    @property
    def torn(self) -> int:
        return self._broken + sum(self._unfinished.values())

    @property
    def places(self) -> dict[str, int]:
        return dict(self._read)

    def fresh(self) -> Iterator[dict[str, Any]]:
        """The lines that have come since the last call, file by file."""
        for path in sorted(self._folder.glob(f"{self._kind}-*.log")):
            start = self._read.get(path.name, 0)
            try:
                if path.stat().st_size == start:
                    continue
                with open(path, "rb") as file:
                    file.seek(start)
                    yield from self._lines(file, path.name, start)
            except OSError:
                continue

    def _lines(self, file: BinaryIO, name: str, start: int) -> Iterator[dict[str, Any]]:
        self._unfinished[name] = False
        for text in file:
            if not text.endswith(b"\n"):
                self._unfinished[name] = True
                return
            start += len(text)
            self._read[name] = start
            value = _value(text)
            if value is None:
                self._broken += 1
            else:
                yield value


def _value(text: bytes) -> dict[str, Any] | None:
    try:
        if int(text[:8], 16) != zlib.crc32(text[9:-1]):
            return None
        value = json.loads(text[9:-1])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
