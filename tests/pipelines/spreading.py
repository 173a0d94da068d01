"""What a Beam worker does where processes that read are counted: the ExampleGen's own work, and who did it."""

from __future__ import annotations

import os
import time
from typing import Any

from components.arrow_example_gen import work
from components.progress import Counter
from components.shards import Facts

infer, merge = work.infer, work.merge_facts


def counter() -> Counter:
    return Counter("rows read", 100_000)


def write(task: Any, plan: Any, rows: Counter, facts: Facts) -> Facts:
    # A worker that is still starting gets its share as well.
    time.sleep(0.05)
    return {**work.write(task, plan, rows, facts), "pid": os.getpid()}
