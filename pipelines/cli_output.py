"""Printing to a reader that may go away (`viaduct runs | head`): no error, and no message. SIGTERM. Part of cli.py.

Python ignores SIGPIPE, and so it stays: a server must outlive clients that hang up. Writing to a pipe that nobody
reads raises BrokenPipeError instead, here and when what is buffered is written at the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# What a shell shows for a command that SIGPIPE has ended.
READER_GONE = 128 + signal.SIGPIPE


class ReaderGone(KeyboardInterrupt):
    """Nobody reads the output any more: what runs is cancelled as by Ctrl-C."""


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, where nobody has said otherwise; servers have handlers of their own."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


class Written:
    """What is known of a command when its output has been written: its exit code."""

    code: int = 1


@contextlib.contextmanager
def flushed() -> Iterator[Written]:
    """Writes what is buffered when the block ends; `code` is then READER_GONE or 1 if that was not possible.

    A BrokenPipeError of the block that is not about stdout or stderr passes.
    """
    written = Written()
    try:
        try:
            yield written
        except SystemExit as left:
            # argparse passes over the error where nobody reads its help or its complaint.
            stream = sys.stderr if left.code else sys.stdout
            if stream is not None and _is_gone(stream):
                raise BrokenPipeError from None
            raise
        finally:
            for stream in _streams():
                stream.flush()
    except OSError as error:
        lost = [stream for stream in _streams() if _is_gone(stream) or _is_full(stream, error)]
        if not lost:
            raise
        if isinstance(error, BrokenPipeError):
            written.code = READER_GONE
        else:
            written.code = 1
            with contextlib.suppress(OSError):
                print(f"viaduct: the output could not be written: {error}", file=sys.stderr)
        for stream in lost:
            _silence(stream)


def _streams() -> list[TextIO]:
    # None where the caller has closed them (`>&-`).
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]


def _is_gone(stream: TextIO) -> bool:
    """Whether `stream` is a pipe or socket whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _is_full(stream: TextIO, error: OSError) -> bool:
    """Whether `error` comes from writing to `stream`, which is stdout: one byte more does not fit either."""
    if stream is not sys.stdout or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return False
    try:
        os.write(stream.fileno(), b"\n")
    except OSError:
        return True
    return False


def _silence(stream: TextIO) -> None:
    """Lets what is still buffered go nowhere, so that Python says nothing of it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def width() -> int:
    """Columns of the terminal that reads stdout; where a file or a program does, there is no end to a line."""
    stream = sys.stdout
    if stream is None or not stream.isatty():
        return sys.maxsize
    return shutil.get_terminal_size((80, 24)).columns


def console() -> Console:
    """rich's console on stdout; when nobody reads it any more it raises ReaderGone, once, and then is quiet."""
    from rich.console import Console

    class ToReader(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            _silence(sys.stdout)
            raise ReaderGone

    return ToReader()
