"""A sampled record of requests and answers, written beside the serving path and never in it.

Each model has a `RequestLogger`. A request that is drawn is queued as a function that can make its
PredictionLog; a thread of the logger makes, frames and writes it. Where the queue is full the record is
dropped and counted: serving is never slowed. Files are TFRecords of serialized PredictionLog messages, named
`<model>-<UTC time>-<pid>-<n>.tfrecord`; one that is being written has the suffix `.part`, and it is renamed
when it is large or old enough, so whoever lists `*.tfrecord` sees whole files only. What a killed process
left behind is cut to its whole records and renamed by the next logger of that folder.

It does not delete old files, and reading them is in `serving.client.request_logs`.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import random
import re
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import google_crc32c

logger = logging.getLogger(__name__)

_MASK = 0xA282EAD8
_STOP = object()
QUIET_S = 60.0
_numbers = itertools.count(1)
# Files that loggers of this process are writing.
_ours: set[Path] = set()


def masked_crc32c(data: bytes) -> int:
    """The checksum of the TFRecord format: crc32c rotated right by 15 bits plus a constant, modulo 2^32."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """A record as a TFRecord file holds it: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join(
        (length, struct.pack("<I", masked_crc32c(length)), record, struct.pack("<I", masked_crc32c(record)))
    )


class RequestLogger:
    """The log of one model. `log` may be called from any thread; `close` writes what is queued.

    model: its name, the beginning of the files' names
    directory: made where missing
    rate: share of the requests that are drawn, 0..1; with 0 no thread is started
    max_bytes, max_age_s: a file is finished when it would grow beyond the one or is older than the other
    queue_size: records that may wait for the writer

    on_outcome: told (status name, records) when it is known what became of them: OK once they have reached the file
        system, RESOURCE_EXHAUSTED where the queue was full, DATA_LOSS where they could not be made or written

    `sampled`, `written`, `dropped` (queue full) and `failed` (could not be made or written) count records.
    """

    def __init__(
        self,
        model: str,
        directory: str | os.PathLike[str],
        rate: float = 1.0,
        max_bytes: int = 64 * 2**20,
        max_age_s: float = 3600.0,
        queue_size: int = 1000,
        on_outcome: Callable[[str, int], None] = lambda status, records: None,
    ) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate!r}; expected a share between 0 and 1")
        if max_bytes < 1 or max_age_s <= 0 or queue_size < 1:
            raise ValueError(
                f"max_bytes={max_bytes!r}, max_age_s={max_age_s!r}, queue_size={queue_size!r}: "
                "all must be positive"
            )
        self.model = model
        self.directory = Path(directory)
        self.rate = rate
        self.sampled = self.written = self.dropped = self.failed = 0
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._queue: queue.Queue[object] = queue.Queue(queue_size)
        self._lock = threading.Lock()
        self._closed = False
        self._file: BinaryIO | None = None
        self._part = Path()
        self._size = 0
        self._on_outcome = on_outcome
        # Records of the open file, and how many of them have been flushed and counted.
        self._records = self._counted = 0
        self._opened = 0.0
        self._quiet_until = 0.0
        self._thread: threading.Thread | None = None
        if rate > 0:
            self.directory.mkdir(parents=True, exist_ok=True)
            recover(self.directory, _stem(model))
            self._thread = threading.Thread(target=self._work, name=f"request-log-{model}", daemon=True)
            self._thread.start()

    def log(self, make: Callable[[], bytes]) -> bool:
        """Draws whether this request is recorded, and if so queues it. Never waits.

        make: returns the serialized PredictionLog; called later by the logger's thread, so it must hold what
        it needs. True where the record was queued.
        """
        if self._thread is None or (self.rate < 1 and random.random() >= self.rate):
            return False
        with self._lock:
            if self._closed:
                return False
            self.sampled += 1
            try:
                self._queue.put_nowait(make)
            except queue.Full:
                self.dropped += 1
                self._on_outcome("RESOURCE_EXHAUSTED", 1)
                return False
            return True

    def close(self) -> None:
        """Writes what is queued, finishes the file and stops the thread. `log` does nothing from now on."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._queue.put(_STOP)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._finish()
                continue
            if item is _STOP:
                self._finish()
                return
            try:
                data = frame(item())  # type: ignore[operator]
            except Exception as error:
                self._lost(1)
                self._complain(error)
                continue
            try:
                self._write(data)
            except OSError as error:
                self._complain(error)

    def _lost(self, records: int) -> None:
        if records:
            self.failed += records
            self._on_outcome("DATA_LOSS", records)

    def _reached(self, records: int) -> None:
        """So many records of the open file are with the file system."""
        fresh = records - self._counted
        if fresh > 0:
            self._counted = records
            self.written += fresh
            self._on_outcome("OK", fresh)

    def _patience(self) -> float | None:
        """Seconds until the open file is too old; None where none is open."""
        if self._file is None:
            return None
        return max(self._opened + self._max_age_s - time.monotonic(), 0.0)

    def _write(self, data: bytes) -> None:
        full = self._size and self._size + len(data) > self._max_bytes
        if self._file is not None and (full or self._patience() == 0):
            self._finish()
        if self._file is None:
            try:
                self._start()
            except OSError:
                self._lost(1)
                raise
        assert self._file is not None
        self._records += 1
        try:
            self._file.write(data)
            if self._queue.empty():
                self._file.flush()
                self._reached(self._records)
        except OSError:
            # What is half written must not stand before whole records.
            self._abandon()
            raise
        self._size += len(data)

    def _start(self) -> None:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.directory.mkdir(parents=True, exist_ok=True)
        while True:
            # In a container every process may be number 1, so the name of an earlier one can come up again.
            name = f"{_stem(self.model)}-{now}-{os.getpid()}-{next(_numbers)}.tfrecord"
            self._part = self.directory / (name + ".part")
            if not (self.directory / name).exists() and not self._part.exists():
                break
        self._file = open(self._part, "xb", buffering=1 << 16)  # noqa: SIM115 - stays open across calls
        _ours.add(self._part)
        self._size = self._records = self._counted = 0
        self._opened = time.monotonic()

    def _finish(self) -> None:
        """Closes the open file and gives it its final name."""
        if self._file is None:
            return
        try:
            self._file.close()
            self._file = None
            self._reached(self._records)
            os.replace(self._part, self._part.with_suffix(""))
            _ours.discard(self._part)
        except OSError as error:
            self._complain(error)
            self._abandon()

    def _abandon(self) -> None:
        """Gives up the open file after a write error; keeps the whole records that reached the disk."""
        file, self._file = self._file, None
        try:
            if file is not None:
                # The buffer may hold half a record; `_settle` cuts it off.
                file.close()
        except OSError as error:
            self._complain(error)
        kept = self._counted
        try:
            kept = _settle(self._part)
        except OSError as error:
            self._complain(error)
        self._reached(kept)
        self._lost(self._records - max(kept, self._counted))
        self._records = self._counted = 0
        _ours.discard(self._part)

    def _complain(self, error: Exception) -> None:
        """At most one line a minute: a full disk must not fill the server's own log too."""
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S
            logger.warning(
                "Request log of %r in %s: %s (%s records failed so far)",
                self.model,
                self.directory,
                error,
                self.failed,
            )


def _stem(model: str) -> str:
    """The model's name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", model)


def recover(directory: Path, stem: str) -> None:
    """Finishes the files that processes which are gone left unfinished."""
    for part in sorted(directory.glob(f"{stem}-*.tfrecord.part")):
        match = re.fullmatch(rf"{re.escape(stem)}-\d{{8}}T\d{{6}}Z-(\d+)-\d+\.tfrecord\.part", part.name)
        if match and part not in _ours and not _another_is_alive(int(match[1])):
            try:
                _settle(part)
            except FileNotFoundError:
                pass  # another process that starts in this moment was quicker
            except OSError as error:
                logger.warning("Unfinished request log %s stays as it is: %s", part, error)


def _another_is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _settle(part: Path) -> int:
    """Cuts an unfinished file to its whole records and gives it its final name; removes it where none is. Returns the
    number of whole records."""
    whole = records = 0
    with open(part, "rb+") as file:
        size = os.fstat(file.fileno()).st_size
        while head := file.read(12):
            if len(head) < 12:
                break
            (length,) = struct.unpack("<Q", head[:8])
            if head[8:] != struct.pack("<I", masked_crc32c(head[:8])) or whole + 16 + length > size:
                break
            body = file.read(length)
            if file.read(4) != struct.pack("<I", masked_crc32c(body)):
                break
            whole += 16 + length
            records += 1
        file.truncate(whole)
    if whole:
        os.replace(part, part.with_suffix(""))
    else:
        part.unlink()
    return records
