"""Waits in Airflow's triggerer, without holding a worker, until a span's folder is there and not empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class SpanTrigger(BaseTrigger):
    """Fires once `folder` exists with something in it; looks every `poll_s` seconds."""

    def __init__(self, folder: str, poll_s: float = 10.0) -> None:
        super().__init__()
        self.folder, self.poll_s = folder, poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "dags.span_trigger.SpanTrigger", {"folder": self.folder, "poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while not arrived(Path(self.folder)):
            await asyncio.sleep(self.poll_s)
        yield TriggerEvent({"arrived": self.folder})


def arrived(folder: Path) -> bool:
    """Whether the span is there; deliveries are written aside and renamed, so a name means a whole folder."""
    return folder.is_dir() and any(folder.iterdir())
