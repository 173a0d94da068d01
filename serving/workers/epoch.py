"""A number in memory that the supervisor sets and all workers read: what they were told up to it holds from one moment
on for all of them, although messages reach them one after another."""

from __future__ import annotations

import mmap
import os
import struct

_NUMBER = struct.Struct("@Q")


class Epoch:
    """Made by the supervisor; a worker opens the inherited descriptor. Eight aligned bytes are written in one piece."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("viaduct-epoch", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, mmap.PAGESIZE)
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)

    @property
    def number(self) -> int:
        value: int = _NUMBER.unpack_from(self._memory)[0]
        return value

    @number.setter
    def number(self, value: int) -> None:
        self._memory[: _NUMBER.size] = _NUMBER.pack(value)
