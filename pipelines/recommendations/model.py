"""Training: the end of the training period chooses method, penalties and epochs, then all of it is fitted.

The Trainer never opens the evaluation split. Only visitors with two items or more teach which items go together;
all of them tell what is popular, and all are known to the served model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.recommendations import choosing
from pipelines.recommendations.events import Log, pairs, popularity, strength_biases
from pipelines.recommendations.features import ITEM_XF, ITEMS, STRENGTH_XF, TIME_XF, VISITOR_XF, VISITORS

CURVES_FILE = "curves.json"


def run_fn(fn_args: Any) -> None:
    """Chooses, fits the choice to all training events, writes what was tried, exports the recommender."""
    from pipelines.recommendations.recommender import Ranker, Recommender, signatures

    run = training.Run.of(fn_args)
    parameters, transformed = run.parameters, run.transformed
    names = transformed.vocabulary_by_name(ITEMS)
    visitors, items = transformed.vocabulary_size_by_name(VISITORS), len(names)
    log = read(fn_args.train_files, run.spec)
    trials = choosing.choose(log, visitors, items, parameters)
    (run.folder / CURVES_FILE).write_text(
        json.dumps([asdict(trial) for trial in trials], indent=1), encoding="utf-8"
    )
    best = trials[0]
    chosen = best.best["epoch"]
    known = pairs(log, visitors)
    for epoch, (scorer, loss) in enumerate(choosing.learn(known, items, best.learned(chosen)), start=1):  # noqa: B007
        training.check_loss(loss, f"epoch {epoch}")
        progress.report(epoch, chosen, "epochs", force=True)
    ranker = Ranker(scorer, popularity(known, items, parameters["half_life"]))
    served = Recommender(
        ranker,
        transformed.vocabulary_file_by_name(VISITORS),
        transformed.vocabulary_file_by_name(ITEMS),
        names,
        known,
        strength_biases(log, visitors, items),
    )
    training.export(served, fn_args, signatures(served))


def read(files: list[str], spec: Mapping[str, Any]) -> Log:
    """The transformed events of `files` as arrays."""
    columns: dict[str, list[np.ndarray]] = {key: [] for key in (VISITOR_XF, ITEM_XF, STRENGTH_XF, TIME_XF)}
    for rows in training.dataset(files, spec, None, 8192):
        for key, parts in columns.items():
            parts.append(rows[key].numpy().ravel())
    return Log(*(np.concatenate(parts) for parts in columns.values()))
