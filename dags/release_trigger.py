"""How far the release of a pushed version is, read from the server's files, and what Airflow's triggerer waits for.

The server steers; here is only looked and asked. Files are read in threads, so a slow file system holds nothing up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from airflow.triggers.base import BaseTrigger, TriggerEvent

BEGUN = -1  # the step before the plan's first: the release is there at all
PROMOTED, ROLLED_BACK, SUPERSEDED = "promoted", "rolled_back", "superseded"


class Stand(NamedTuple):
    """state: the release's, "" while there is none, or "superseded" by that of a newer version. `why`: its last
    journal line."""

    state: str = ""
    step: int = 0
    why: str = ""

    def past(self, step: int) -> bool:
        """Whether nothing is left to wait for at `step`."""
        if self.state in (PROMOTED, ROLLED_BACK, SUPERSEDED):
            return True
        return bool(self.state) and self.step > step


def stand(served: str, version: int) -> Stand:
    """Where the release of `version` stands; `served` is the folder of the model's versions."""
    from serving.release.folder import Folder

    place = Folder(served)
    numbers = place.numbers()
    of_version = [number for number, candidate in numbers if candidate == version]
    if of_version:
        release = place.release(of_version[-1], version)
        return Stand(release.state, release.step, str(release.journal[-1]["why"]) if release.journal else "")
    newest = place.newest()
    if newest is not None and max(newest.candidate, newest.winner) > version:
        return Stand(SUPERSEDED, 0, f"version {newest.candidate} came before it could begin")
    return Stand()


class ReleaseTrigger(BaseTrigger):
    """Fires once the release of `version` is past `step` of its plan, with {'state', 'step', 'why'}."""

    def __init__(self, served: str, version: int, step: int, poll_s: float = 5.0) -> None:
        super().__init__()
        self.served, self.version, self.step, self.poll_s = served, version, step, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"served": self.served, "version": self.version, "step": self.step, "poll_s": self.poll_s}
        return "dags.release_trigger.ReleaseTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            now = await asyncio.to_thread(stand, self.served, self.version)
            if now.past(self.step):
                yield TriggerEvent(now._asdict())
                return
            await asyncio.sleep(self.poll_s)
