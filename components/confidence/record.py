"""The verdicts and the intervals' making beside an evaluation: verdicts.json, for summaries and dashboards.

{"method", "level", "slice_rows", "blessed", "verdicts": [Verdict as a dict],
 "problems": [{"slice", "metric", "reason"}]}.
The intervals themselves are where TFMA keeps them, in the records of metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from components.confidence.gate import Verdict, blessed
from components.confidence.intervals import LEVEL
from pipelines.base import whole

FILE = "verdicts.json"


def write(
    folder: Path,
    method: str,
    verdicts: Sequence[Verdict],
    slice_rows: int = 0,
    problems: Iterable[tuple[str, str, str]] = (),
) -> None:
    """Writes the file whole. `problems` are (slice, metric, reason)."""
    told = {
        "method": method,
        "level": LEVEL,
        "slice_rows": slice_rows,
        "blessed": blessed(verdicts),
        "verdicts": [verdict.as_dict() for verdict in verdicts],
        "problems": [{"slice": s, "metric": m, "reason": r} for s, m, r in problems],
    }
    whole.write(folder / FILE, json.dumps(told, indent=1))
