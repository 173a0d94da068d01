"""What a served version learnt from, found through its lineage: the training rows of the runs that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base import answer, lineage
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths
from pipelines.base.project import Project
from pipelines.base.watching.columns import columns
from pipelines.base.watching.drift import LEAST, Reference, reference

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
