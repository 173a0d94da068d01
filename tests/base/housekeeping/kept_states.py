"""States of artifacts in a JSON file instead of ML Metadata: another process can be killed while it changes them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

STEPS = ("rename", "replace", "mkdir", "rmdir", "unlink")


class KeptStates:
    """trash.States over a file; replaced whole, as a transaction is."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def all(self) -> dict[int, str]:
        return {int(k): v for k, v in json.loads(self.file.read_text()).items()} if self.file.exists() else {}

    def put(self, states: dict[int, str]) -> None:
        aside = self.file.with_suffix(".aside")
        aside.write_text(json.dumps(states))
        os.replace(aside, self.file)

    def deleted(self, artifacts: Sequence[int]) -> bool:
        return all(self.all()[artifact] == "DELETED" for artifact in artifacts)

    def mark(self, artifacts: Sequence[int], *, deleted: bool) -> None:
        self.put({**self.all(), **dict.fromkeys(artifacts, "DELETED" if deleted else "LIVE")})


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Whether `work`, done in a child that is killed before its `step`-th change of the disk, was killed."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def every_kill(work: Callable[[], Any], prepare: Callable[[], None], check: Callable[[], None]) -> int:
    """Kills `work` at its first, second, ... step until it ends by itself, each time between `prepare` and `check`.

    Returns how many steps it has.
    """
    step = 0
    while True:
        prepare()
        killed = killed_at(step, work)
        check()
        if not killed:
            return step
        step += 1
        if step > 500:
            pytest.fail("it does not end")
