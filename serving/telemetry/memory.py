"""How much memory processes have, as the kernel counts it."""

from __future__ import annotations

import os


def memory(pid: int, field: str = "Pss") -> int:
    """Bytes of a process's memory. Pss: pages that processes share are divided among them, so that a sum over
    processes counts each once. Rss: all that it touches. 0 where the process has gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def resident() -> int:
    """Bytes of this process's pages in memory, shared ones included. Costs microseconds, however large it is."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
