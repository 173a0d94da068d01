"""Which method serves, with which penalties and after how many epochs: what ranks the end of the training period best.

Nothing here opens the evaluation split. What is good for one shop is not for another: with many visitors of one item
high confidences win, on dense logs low ones or EASE; so a run tries some and keeps what foresees its own last weeks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.recommendations import factors, ranking
from pipelines.recommendations.events import Log, Pairs, latest, pairs, popularity, seen_matrix, trend
from pipelines.recommendations.tasks import Tasks, make_tasks

# The last 15 % of the training period choose.
TUNE_SHARE = 0.15
# Visitors of each kind that this is measured on, at most.
TUNE_VISITORS = 3_000
SEED = 5
# Which methods a variant tries; `neural` has penalties of its own that the card names.
METHODS = {
    "best": ("factorisation", "ease"),
    "factorisation": ("factorisation",),
    "ease": ("ease",),
    "neural": ("neural",),
}
# (confidence, regularisation) and penalty that are tried, as multiples of the card's.
FACTORISATION_GRID = ((1.0, 1.0), (0.2, 1.0), (0.05, 2.0), (0.01, 2.0))
EASE_GRID = (1.0, 4.0)
# After so many epochs only the best of the grid goes on.
FIRST_EPOCHS = 3


@dataclass
class Trial:
    """One method with its parameters, and how it ranked after each epoch."""

    parameters: Mapping[str, Any]
    curve: list[dict[str, Any]]

    @property
    def best(self) -> dict[str, Any]:
        """The epoch with the highest NDCG."""
        return max(self.curve, key=lambda row: row["ndcg_at_10"])

    def learned(self, epochs: int) -> Mapping[str, Any]:
        """The parameters with a number of epochs."""
        return {**self.parameters, "epochs": epochs}


def learn(seen: Pairs, items: int, parameters: Mapping[str, Any]) -> Iterator[tuple[Any, float]]:
    """After each epoch of `parameters["method"]` the scorer and its loss; a scorer is valid until the next one.

    EASE has a closed solution: one epoch, and no loss (0).
    """
    from pipelines.recommendations import network
    from pipelines.recommendations.recommender import FactorScorer, SimilarityScorer

    if parameters["method"] == "neural":
        yield from network.learn(seen, items, parameters, SEED)
    elif parameters["method"] == "ease":
        weights = ranking.ease(seen_matrix(seen, items), parameters["penalty"])
        yield SimilarityScorer(weights, popularity(seen, items, parameters["half_life"])), 0.0
    else:
        lift = trend(seen, items, parameters["half_life"]) ** parameters["trend"]
        confidence, regularisation = parameters["confidence"], parameters["regularisation"]
        learned = {**parameters, "factor_epochs": parameters["epochs"]}
        for item_factors, loss in factors.alternate(seen, items, learned, SEED):
            yield FactorScorer(item_factors, regularisation, confidence, lift), loss


def grid(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the variant tries: the card's parameters with a `method`, and penalties round the card's."""
    tried: list[dict[str, Any]] = []
    for method in METHODS[parameters["variant"]]:
        if method == "factorisation":
            for confidence, regularisation in FACTORISATION_GRID:
                tried.append(
                    {
                        **parameters,
                        "method": method,
                        "confidence": parameters["confidence"] * confidence,
                        "regularisation": parameters["regularisation"] * regularisation,
                    }
                )
        elif method == "ease":
            tried += [
                {**parameters, "method": method, "penalty": parameters["penalty"] * factor, "epochs": 1}
                for factor in EASE_GRID
            ]
        else:
            tried.append({**parameters, "method": method})
    return tried


def choose(log: Log, visitors: int, items: int, parameters: Mapping[str, Any]) -> list[Trial]:
    """All that was tried on the first 85 % of the training period, the best first.

    All learn FIRST_EPOCHS at most; of those that could learn more the best one does.
    """
    early = log.before(1 - TUNE_SHARE)
    known = pairs(log.where(early), visitors)
    tasks = [t for t in make_tasks(known, log.where(~early), items, TUNE_VISITORS) if t.kind != "new"]
    asked = [(task, list(_batches(task, known))) for task in tasks]
    popular = popularity(known, items, parameters["half_life"])

    def go_on(trial: Trial, learned: Iterator[tuple[Any, float]], epochs: int) -> None:
        first = len(trial.curve) + 1
        for epoch, (scorer, loss) in enumerate(itertools.islice(learned, epochs), start=first):
            training.check_loss(loss, f"epoch {epoch} on the early part")
            measured = _ranks(scorer, popular, asked)
            trial.curve.append({"epoch": epoch, "loss": loss, **measured})
            progress.report(epoch, first + epochs - 1, "epochs on the early part", force=True, loss=loss)

    trials = [(Trial(values, []), learn(known, items, values)) for values in grid(parameters)]
    for trial, learned in trials:
        go_on(trial, learned, FIRST_EPOCHS)
    trials.sort(key=lambda one: -one[0].best["ndcg_at_10"])
    for trial, learned in [one for one in trials if one[0].parameters["epochs"] > FIRST_EPOCHS][:1]:
        go_on(trial, learned, trial.parameters["epochs"] - FIRST_EPOCHS)
    return sorted((trial for trial, _ in trials), key=lambda trial: -trial.best["ndcg_at_10"])


def _batches(task: Tasks, known: Pairs) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What Ranker.top takes, 256 visitors at a time: items that score, their strengths, items not to offer."""
    from pipelines.recommendations.recommender import HISTORY

    for rows in np.split(np.arange(len(task.visitors)), range(256, len(task.visitors), 256)):
        if task.kind == "started":
            told = task.told[rows][:, None].astype(np.int64)
            yield told, np.ones(told.shape, np.float32), told
        else:
            visitors = task.visitors[rows]
            yield *latest(known, visitors, HISTORY), latest(known, visitors, len(known.item))[0]


def _ranks(
    scorer: Any, popular: np.ndarray, asked: Sequence[tuple[Tasks, Sequence[tuple[np.ndarray, ...]]]]
) -> dict[str, float]:
    """Hit rate and NDCG at 10 of what returning and started visitors look at later, each kind counting the same."""
    from pipelines.recommendations.recommender import Ranker

    ranker = Ranker(scorer, popular)
    hit_rates, ndcgs = [], []
    for task, batches in asked:
        top = np.concatenate([ranker.top(*batch)[0].numpy() for batch in batches])
        hit = ranking.hits(top, task.targets)
        hit_rates.append(ranking.hit_rate(hit, 10).mean())
        ndcgs.append(ranking.ndcg(hit, task.counts, 10).mean())
    return {"hit_rate_at_10": float(np.mean(hit_rates)), "ndcg_at_10": float(np.mean(ndcgs))}
