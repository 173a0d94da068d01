"""What a served version learnt from and what its evaluation said, found through its lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base import answer, lineage, run_record
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths
from pipelines.base.project import Project
from pipelines.base.watching.columns import columns
from pipelines.base.watching.drift import LEAST, Reference, reference
from pipelines.base.watching.quality import Figure

SPLIT = "train"
# Of the training rows, drawn at random: distances of windows need no more.
MOST_ROWS = 20_000
READ_AT_MOST = 1_000_000


def of_version(card: Project, paths: Paths, served: str, version: int) -> tuple[Reference, dict[str, Any]]:
    """The reference of a pushed version and its lineage. Raises ViaductError where one of them is not to be had."""
    ancestry = lineage.lineage(paths, str(version), served)
    rows: list[bytes] = []
    spans: list[int] = []
    for number, data in enumerate(ancestry["data"]):
        found = answer.read_examples(Path(data["uri"]) / f"Split-{SPLIT}", READ_AT_MOST)
        rows += found
        spans += [number] * len(found)
    if len(rows) < 2 * LEAST:
        raise ViaductError(
            f"{served} version {version}: its {len(rows)} training rows say nothing of drift, expected {2 * LEAST} or "
            f"more in Split-{SPLIT} of {', '.join(d['uri'] for d in ancestry['data']) or 'no Examples'}."
        )
    if len(rows) > MOST_ROWS:
        chosen = sorted(np.random.default_rng(0).choice(len(rows), MOST_ROWS, replace=False).tolist())
        rows, spans = [rows[at] for at in chosen], [spans[at] for at in chosen]
    without = [
        card.evaluation.label_key,
        card.evaluation.raw_label_key,
        *(card.watch.without if card.watch else ()),
    ]
    return reference(columns(rows), spans, without), ancestry


def evaluated(paths: Paths, served: str, version: int) -> dict[str, Figure]:
    """The metrics of a pushed version's evaluation, those that the gate judged with their intervals.

    Raises ViaductError for a version that has no lineage.
    """
    ancestry = lineage.lineage(paths, str(version), served)
    found = {name: Figure(float(value)) for name, value in ancestry["metrics"].items()}
    for record in run_record.read_all(paths):
        if record.run_id != ancestry["run"]:
            continue
        for verdict in record.verdicts:
            name, low, high = verdict["metric"], verdict.get("low"), verdict.get("high")
            of_all = verdict["kind"] == "bar" and not verdict["slice"]
            if name in found and of_all and low is not None and high is not None:
                found[name] = found[name]._replace(low=float(low), high=float(high))
    return found
