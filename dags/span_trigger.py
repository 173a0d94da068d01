"""What Airflow's triggerer waits for without holding a worker: a span's folder, a new span, the end of earlier runs.

Folders are looked at in threads: a file system that is slow must not hold up what else the triggerer waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from dags import spans
from pipelines.base.paths import Paths

UNFINISHED = ["queued", "running"]


class SpanTrigger(BaseTrigger):
    """Fires once `folder` exists with something in it; looks every `poll_s` seconds."""

    def __init__(self, folder: str, poll_s: float = 10.0) -> None:
        super().__init__()
        self.folder, self.poll_s = folder, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "dags.span_trigger.SpanTrigger", {"folder": self.folder, "poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while not await asyncio.to_thread(arrived, Path(self.folder)):
            await asyncio.sleep(self.poll_s)
        yield TriggerEvent({"arrived": self.folder})


class TurnTrigger(BaseTrigger):
    """Fires once none of the runs `run_ids` of a DAG is unfinished: ended, deleted, it is the same."""

    def __init__(self, dag_id: str, run_ids: Sequence[str], poll_s: float = 2.0) -> None:
        super().__init__()
        self.dag_id, self.run_ids, self.poll_s = dag_id, list(run_ids), poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"dag_id": self.dag_id, "run_ids": self.run_ids, "poll_s": self.poll_s}
        return "dags.span_trigger.TurnTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from asgiref.sync import sync_to_async

        count = sync_to_async(RuntimeTaskInstance.get_dr_count)
        while await count(dag_id=self.dag_id, run_ids=self.run_ids, states=UNFINISHED):
            await asyncio.sleep(self.poll_s)
        yield TriggerEvent({"ended": self.run_ids})


class NewSpanTrigger(BaseEventTrigger):
    """An event {"span": N} for every new span of `project`, in their order, for as long as the triggerer runs.

    What was seen is kept with the project's asset in Airflow's database, so a restart, or another machine that takes
    over, goes on with it. A span counts as seen one look after its event was handed over: a kill in between repeats
    the event, and none is lost; the run that comes of a repetition finds everything done. The first look takes what is
    there as seen: switching a DAG on does not train on all of history.
    """

    SEEN = "seen_spans"

    def __init__(self, project: str, poll_s: float = 2.0) -> None:
        super().__init__()
        self.project, self.poll_s = project, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "dags.span_trigger.NewSpanTrigger", {"project": self.project, "poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        data, told = Paths.of(self.project).data, await self._seen()
        if told is None:
            told = await asyncio.to_thread(spans.present, data)
            await self._keep(told)
        while True:
            new = sorted(set(await asyncio.to_thread(spans.present, data)) - set(told))
            for span in new:
                yield TriggerEvent({"span": span})
            await asyncio.sleep(self.poll_s)
            if new:
                told = sorted({*told, *new})
                await self._keep(told)

    async def _seen(self) -> list[int] | None:
        return await self.asset_state_store.aget(self.SEEN)

    async def _keep(self, seen: list[int]) -> None:
        await self.asset_state_store.aset(self.SEEN, seen)


def arrived(folder: Path) -> bool:
    """Whether the span is there; deliveries are written aside and renamed, so a name means a whole folder."""
    return folder.is_dir() and any(folder.iterdir())
