"""How well the served model foresees what visitors look at later, next to popularity, item neighbours and EASE.

Everything is asked of the exported model, as a client would ask. Candidates are the whole catalogue of the training
period. What a visitor saw in that period is neither recommended nor looked for, by model and rivals alike; an item
that is new in the evaluation period cannot be recommended and counts as missed. Three kinds of tasks: `returning`
visitors, of whom the training knows something; `new` ones, of whom it knows nothing; and `started` ones, new
visitors whose first item is told ("items seen") and whose further items are looked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components import finite
from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.recommendations import ranking
from pipelines.recommendations.events import Log, pairs, popularity, seen_matrix
from pipelines.recommendations.features import (
    EVENT_KEY,
    ITEM_KEY,
    SEEN_KEY,
    STRENGTHS,
    TIME_KEY,
    VISITOR_KEY,
)
from pipelines.recommendations.tasks import Tasks, make_tasks

KS = (1, 3, 5, 10, 20)
RIVALS = ("popularity", "neighbours", "cosine", "ease")
# Of which the least of all kinds of tasks is told as well.
LEAST = ("ndcg_gain_on_best_upper", "ndcg_vs_popularity")
# Drawn at random where there are more.
MAX_EVENTS = 200_000
BATCH = 256


@dataclass(frozen=True)
class Events:
    """Both splits with common numbers; items from `items` on are new in the evaluation period."""

    train: Log
    later: Log
    visitor_names: np.ndarray
    item_names: np.ndarray
    items: int


def evaluate(given: Given) -> Sampled:
    """hit_rate_at_k and ndcg_at_k of the model and, with a suffix, its rivals; see `_metrics` and `_error`.

    Drawn again are visitors, each with all it does in every task.
    """
    events, tasks, rivals = _given(
        tuple(given.examples["train"]), tuple(given.files), float(given.parameters["half_life"])
    )
    model = reading.saved_model(given.model)
    scores = []
    for task in tasks:
        ranked = {"": ask(model.signatures["serving_default"], events, task), **rivals[task.kind]}
        scores.append({name: _scores(ranking.hits(top, task.targets), task) for name, top in ranked.items()})
    guess, actual, rows = _guesses(model.signatures["strength"], events)
    number = np.full(len(events.visitor_names), -1)
    visitors = np.unique(events.later.visitor)
    number[visitors] = np.arange(len(visitors))

    def measure(drawn: np.ndarray) -> Measured:
        often = [drawn[number[task.visitors]] * task.weight for task in tasks]
        measured = _by_slice(tasks, scores, often)
        of_rows = drawn[number[events.later.visitor[rows]]]
        if () in measured and of_rows.any():
            measured[()] |= _error(guess, actual, of_rows, events.train.strength.mean())
        return measured

    return Sampled(len(visitors), measure, "visitors")


def _by_slice(
    tasks: Sequence[Tasks], scores: Sequence[dict[str, np.ndarray]], often: Sequence[np.ndarray]
) -> dict[SliceKey, dict[str, float]]:
    """The metrics of all slices, the rows of each task counted `often` [n] times; slices without any are left out."""
    measured: dict[SliceKey, dict[str, float]] = {}
    # A started visitor is a new one, told more of: not to be counted twice among all.
    for prefix, kinds in (("", ("returning", "new")), ("known_", ("returning", "started"))):
        some = [at for at, task in enumerate(tasks) if task.kind in kinds and often[at].any()]
        if some:
            metrics = _metrics([scores[at] for at in some], [often[at] for at in some])
            measured.setdefault((), {}).update({f"{prefix}{name}": value for name, value in metrics.items()})
    for task, score, count in zip(tasks, scores, often, strict=True):
        if not count.any():
            continue
        whole = _metrics([score], [count])
        measured[(("task", task.kind),)] = whole
        measured.get((), {}).update({f"{task.kind}_{name}": value for name, value in whole.items()})
        if task.kind == "returning":
            for label in np.unique(task.history):
                rows = task.history == label
                if count[rows].any():
                    measured[(("history", str(label)),)] = _metrics([score], [count * rows])
    for name in LEAST:
        values = [metrics[name] for key, metrics in measured.items() if key and key[0][0] == "task"]
        measured.get((), {})[f"least_{name}"] = min(values, default=float("nan"))
    return measured


def _scores(hit: np.ndarray, task: Tasks) -> np.ndarray:
    """[n, len(KS) + 1]: hits among the first k of KS, and NDCG at 10."""
    columns = [ranking.hit_rate(hit, k) for k in KS]
    return np.stack([*columns, ranking.ndcg(hit, task.counts, 10)], axis=1)


def _metrics(scores: Sequence[dict[str, np.ndarray]], often: Sequence[np.ndarray]) -> dict[str, float]:
    """Means over the tasks' rows. `ndcg_vs_x` is the model's NDCG at 10 divided by x's, and so is `hit_rate_vs_x`;
    `ndcg_gain_on_x_error` is the standard error of the difference, over visitors. `ndcg_gain_on_best_upper` is the
    upper end of the 95 % interval of the gain on the best rival: below 0 the model is shown to be worse.
    """
    weight = np.concatenate(often)
    metrics = {"example_count": float(weight.sum())}
    gains = {}
    for name in scores[0]:
        columns = np.concatenate([part[name] for part in scores])
        suffix = f"_{name}" if name else ""
        means = weight @ columns / weight.sum()
        for k, mean in zip(KS, means, strict=False):
            metrics[f"hit_rate_at_{k}{suffix}"] = float(mean)
        metrics[f"ndcg_at_10{suffix}"] = float(means[-1])
        gains[name] = columns[:, -1]
    there = weight > 0
    for name in RIVALS:
        for metric, short in (("hit_rate_at_10", "hit_rate"), ("ndcg_at_10", "ndcg")):
            theirs = metrics[f"{metric}_{name}"]
            metrics[f"{short}_vs_{name}"] = metrics[metric] / theirs if theirs > 0 else float("nan")
        gain = (gains[""] - gains[name])[there]
        metrics[f"ndcg_gain_on_{name}_error"] = float(gain.std() / np.sqrt(len(gain)))
    best = max(RIVALS, key=lambda name: metrics[f"ndcg_at_10_{name}"])
    difference = metrics["ndcg_at_10"] - metrics[f"ndcg_at_10_{best}"]
    metrics["ndcg_gain_on_best_upper"] = difference + 1.96 * metrics[f"ndcg_gain_on_{best}_error"]
    return metrics


def _guesses(strength: Any, events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strengths as the model answers and as they are, of later events drawn once, and the numbers of these events."""
    later = events.later
    rows = np.random.default_rng(0).permutation(len(later.item))[:MAX_EVENTS]
    guess = strength(
        visitor=_texts(events.visitor_names[later.visitor[rows]]),
        item=_texts(events.item_names[later.item[rows]]),
    )["strength"].numpy()
    return guess, later.strength[rows], rows


def _error(guess: np.ndarray, actual: np.ndarray, often: np.ndarray, mean: float) -> dict[str, float]:
    """`mse` of the strengths 1, 2, 3 of later events, as the seed measures, and of the training events' mean."""
    return {
        "mse": float(np.average((guess - actual) ** 2, weights=often)),
        "mse_of_mean": float(np.average((mean - actual) ** 2, weights=often)),
    }


@functools.lru_cache(maxsize=1)
def _given(
    train: tuple[str, ...], later: tuple[str, ...], half_life: float
) -> tuple[Events, list[Tasks], dict[str, dict[str, np.ndarray]]]:
    """Events, tasks and the rivals' lists, kept, since candidate and baseline meet the same ones."""
    events = read(train, later)
    known = pairs(events.train, len(events.visitor_names))
    tasks = make_tasks(known, events.later, len(events.item_names))
    popular = popularity(known, len(events.item_names), half_life)
    seen = seen_matrix(known, len(events.item_names))
    similar = {
        "neighbours": ranking.neighbours(seen, ranking.SHRINKAGE),
        "cosine": ranking.neighbours(seen, 0.0),
        "ease": ranking.ease(seen, ranking.EASE_PENALTY),
    }
    rivals = {}
    for task in tasks:
        rivals[task.kind] = {"popularity": ranking.most_popular(popular, task.seen)}
        for name, matrix in similar.items():
            rivals[task.kind][name] = ranking.by_neighbours(matrix, task.seen, popular)
    return events, tasks, rivals


def read(train: Sequence[str], later: Sequence[str]) -> Events:
    """The raw events of both splits; visitors and items are numbered in the order in which they come."""
    import pandas as pd
    import tensorflow as tf

    spec: dict[str, Any] = {
        key: tf.io.FixedLenFeature([], tf.string) for key in (VISITOR_KEY, ITEM_KEY, EVENT_KEY)
    }
    spec[TIME_KEY] = tf.io.FixedLenFeature([], tf.int64)
    columns: dict[str, list[np.ndarray]] = {key: [] for key in spec}
    for files in (train, later):
        for rows in training.dataset(files, spec, None, 8192):
            for key, parts in columns.items():
                parts.append(rows[key].numpy())
        if files is train:
            count = sum(map(len, columns[TIME_KEY]))
    table = {key: np.concatenate(parts) for key, parts in columns.items()}
    visitor, visitor_names = pd.factorize(table[VISITOR_KEY])
    item, item_names = pd.factorize(table[ITEM_KEY])
    strength = pd.Series(table[EVENT_KEY]).map({k.encode(): v for k, v in STRENGTHS.items()}).to_numpy()
    log = Log(visitor, item, strength, table[TIME_KEY])
    early = np.arange(len(item)) < count
    items = int(item[:count].max()) + 1
    return Events(log.where(early), log.where(~early), visitor_names, item_names, items)


def ask(signature: Callable[..., Any], events: Events, task: Tasks) -> np.ndarray:
    """[n, TOP] item numbers that the model recommends, -1 where it names none.

    Raises ProjectError where scores are NaN: such a ranking is one of numbers, but means nothing.
    """
    import pandas as pd

    names = pd.Index(events.item_names)
    parts, bad = [], 0
    for begin in range(0, len(task.visitors), BATCH):
        rows = slice(begin, begin + BATCH)
        told = task.told[rows]
        given = np.where(told >= 0, events.item_names[told], b"")[:, None]
        answer = signature(
            visitor=_texts(events.visitor_names[task.visitors[rows]]), **{SEEN_KEY: _texts(given)}
        )
        top = answer["items"].numpy()
        parts.append(names.get_indexer(top.ravel()).reshape(top.shape))
        bad += int(np.isnan(answer["scores"].numpy()).any(axis=1).sum())
    finite.refuse(bad, len(task.visitors))
    return np.concatenate(parts)


def _texts(values: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.constant(values.astype(object), tf.string)
