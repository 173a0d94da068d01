"""Training of both variants: the end of the training period chooses the number of epochs, then all of it is fitted.

The Trainer never opens the evaluation split. Only visitors with two items or more teach which items go together;
all of them tell what is popular, and all are known to the served model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.recommendations import factors, ranking
from pipelines.recommendations.events import (
    Log,
    Pairs,
    fresh_items,
    latest,
    pairs,
    popularity,
    strength_biases,
    trend,
)
from pipelines.recommendations.features import ITEM_XF, ITEMS, STRENGTH_XF, TIME_XF, VISITOR_XF, VISITORS

CURVES_FILE = "curves.json"
# The last 15 % of the training period choose the number of epochs.
TUNE_SHARE = 0.15
# Visitors that this is measured on, at most.
TUNE_VISITORS = 3_000
SEED = 5


def run_fn(fn_args: Any) -> None:
    """Chooses the epochs, fits them to all training events, writes the learning curve, exports the recommender."""
    import tensorflow_transform as tft

    from pipelines.recommendations.recommender import Ranker, Recommender, signatures

    parameters = training.parameters(fn_args)
    transformed = tft.TFTransformOutput(fn_args.transform_output)
    names = transformed.vocabulary_by_name(ITEMS)
    visitors, items = transformed.vocabulary_size_by_name(VISITORS), len(names)
    log = read(fn_args.train_files, transformed.transformed_feature_spec())
    curve = learning_curve(log, visitors, items, parameters)
    folder = Path(fn_args.model_run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CURVES_FILE).write_text(json.dumps(curve, indent=1), encoding="utf-8")
    chosen = int(np.argmax([row["ndcg_at_10"] for row in curve])) + 1
    found = pairs(log, visitors)
    for epoch, (scorer, _) in enumerate(learn(found, items, {**parameters, "epochs": chosen}), start=1):  # noqa: B007
        progress.report(epoch, chosen, "epochs", force=True)
    ranker = Ranker(scorer, popularity(found, items, parameters["half_life"]))
    served = Recommender(
        ranker,
        transformed.vocabulary_file_by_name(VISITORS),
        transformed.vocabulary_file_by_name(ITEMS),
        names,
        found,
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


def learn(found: Pairs, items: int, parameters: Mapping[str, Any]) -> Iterator[tuple[Any, float]]:
    """After each of `epochs` epochs the scorer and its loss. A scorer is valid until the next is asked for."""
    from pipelines.recommendations import network
    from pipelines.recommendations.recommender import FactorScorer

    if parameters["variant"] == "neural":
        yield from network.learn(found, items, parameters, SEED)
        return
    lift = trend(found, items, parameters["half_life"]) ** parameters["trend"]
    confidence, regularisation = parameters["confidence"], parameters["regularisation"]
    learned = {**parameters, "factor_epochs": parameters["epochs"]}
    for item_factors, loss in factors.alternate(found, items, learned, SEED):
        yield FactorScorer(item_factors, regularisation, confidence, lift), loss


def learning_curve(
    log: Log, visitors: int, items: int, parameters: Mapping[str, Any]
) -> list[dict[str, float]]:
    """Loss, and hit rate and NDCG at 10 of later events, after each epoch on the first 85 % of the training period."""
    from pipelines.recommendations.recommender import HISTORY, Ranker

    early = log.before(1 - TUNE_SHARE)
    found = pairs(log.where(early), visitors)
    targets, counts = fresh_items(found, pairs(log.where(~early), visitors), items)
    rows = np.flatnonzero((counts > 0) & (found.counts > 0))
    rows = np.sort(np.random.default_rng(SEED).permutation(rows)[:TUNE_VISITORS])
    popular = popularity(found, items, parameters["half_life"])
    curve = []
    for epoch, (scorer, loss) in enumerate(learn(found, items, parameters), start=1):
        ranker = Ranker(scorer, popular)
        batches = [
            ranker.top(*latest(found, rows[begin : begin + 256], HISTORY))[0].numpy()
            for begin in range(0, len(rows), 256)
        ]
        hit = ranking.hits(np.concatenate(batches), targets[rows])
        curve.append(
            {
                "epoch": epoch,
                "loss": loss,
                "hit_rate_at_10": float(ranking.hit_rate(hit, 10).mean()),
                "ndcg_at_10": float(ranking.ndcg(hit, counts[rows], 10).mean()),
            }
        )
        progress.report(epoch, parameters["epochs"], "epochs on the early part", force=True, loss=loss)
    return curve
