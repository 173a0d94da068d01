"""Memory of processes."""

import os

from serving.telemetry.memory import memory, resident


def test_memory_is_told_of_processes_that_live():
    assert memory(os.getpid(), "Rss") >= memory(os.getpid()) > 2**20
    assert memory(2**22 + 1) == 0


def test_resident_memory_is_what_the_kernel_says_of_this_process():
    assert abs(resident() - memory(os.getpid(), "Rss")) < 0.2 * resident()
