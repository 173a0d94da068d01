"""How well the served model foresees what visitors look at later, next to popularity and item neighbours.

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
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from components.function_evaluator.measuring import Given, Measured, SliceKey
from pipelines.base import training
from pipelines.recommendations import ranking
from pipelines.recommendations.events import Log, Pairs, fresh_items, pairs, popularity, seen_matrix
from pipelines.recommendations.features import (
    EVENT_KEY,
    ITEM_KEY,
    SEEN_KEY,
    STRENGTHS,
    TIME_KEY,
    VISITOR_KEY,
)

KS = (1, 3, 5, 10, 20)
RIVALS = ("popularity", "neighbours", "cosine")
# Drawn at random where there are more; they keep the weight of all.
MAX_VISITORS, MAX_EVENTS = 20_000, 200_000
BATCH = 256
NOTHING_KNOWN = "no item"
HISTORIES = ((1, "1 item"), (2, "2 to 4 items"), (5, "5 items or more"))


@dataclass(frozen=True)
class Events:
    """Both splits with common numbers; items from `items` on are new in the evaluation period."""

    train: Log
    later: Log
    visitor_names: np.ndarray
    item_names: np.ndarray
    items: int


@dataclass(frozen=True)
class Tasks:
    """[n] visitors of one kind, the item told (-1: none), what is known, and what is to be found."""

    kind: str
    visitors: np.ndarray
    told: np.ndarray
    seen: sparse.csr_matrix
    targets: sparse.csr_matrix
    weight: float

    @property
    def counts(self) -> np.ndarray:
        """Items to find [n]."""
        return np.diff(self.targets.indptr)

    @property
    def history(self) -> np.ndarray:
        """Label [n] of how many items are known."""
        counts = np.diff(self.seen.indptr)
        names = np.array([NOTHING_KNOWN, *(name for _, name in HISTORIES)])
        return names[np.searchsorted([least for least, _ in HISTORIES], counts, side="right")]


def evaluate(given: Given) -> Measured:
    """hit_rate_at_k and ndcg_at_k of the model and, with a suffix, its rivals; see `_metrics` and `_error`."""
    found, tasks, rivals = _given(
        tuple(given.examples["train"]), tuple(given.files), float(given.parameters["half_life"])
    )
    signatures = load(given.model)
    parts = []
    for task in tasks:
        ranked = {"": ask(signatures["serving_default"], found, task), **rivals[task.kind]}
        parts.append({name: ranking.hits(top, task.targets) for name, top in ranked.items()})
    measured: dict[SliceKey, dict[str, float]] = {}
    everyone = tasks[:2]
    measured[()] = _metrics(everyone, parts[:2], [np.ones(len(t.visitors), bool) for t in everyone])
    for task, hit in zip(tasks, parts, strict=True):
        whole = _metrics([task], [hit], [np.ones(len(task.visitors), bool)])
        measured[(("task", task.kind),)] = whole
        measured[()] |= {f"{task.kind}_{name}": value for name, value in whole.items()}
        if task.kind == "returning":
            for label in np.unique(task.history):
                rows = task.history == label
                measured[(("history", str(label)),)] = _metrics([task], [hit], [rows])
    measured[()] |= _error(signatures["strength"], found)
    return measured


def _metrics(
    tasks: Sequence[Tasks], hits: Sequence[dict[str, np.ndarray]], rows: Sequence[np.ndarray]
) -> dict[str, float]:
    """Means over the tasks' rows. `ndcg_vs_x` is the model's NDCG at 10 divided by x's, and so is `hit_rate_vs_x`;
    `ndcg_gain_on_x_error` is the standard error of the difference.
    """
    weight = np.concatenate([np.full(int(r.sum()), t.weight) for t, r in zip(tasks, rows, strict=True)])
    counts = np.concatenate([t.counts[r] for t, r in zip(tasks, rows, strict=True)])
    found = {"example_count": float(weight.sum())}
    gains = {}
    for name in hits[0]:
        hit = np.concatenate([part[name][r] for part, r in zip(hits, rows, strict=True)])
        suffix = f"_{name}" if name else ""
        for k in KS:
            found[f"hit_rate_at_{k}{suffix}"] = float(np.average(ranking.hit_rate(hit, k), weights=weight))
        gains[name] = ranking.ndcg(hit, counts, 10)
        found[f"ndcg_at_10{suffix}"] = float(np.average(gains[name], weights=weight))
    for name in RIVALS:
        for metric, short in (("hit_rate_at_10", "hit_rate"), ("ndcg_at_10", "ndcg")):
            theirs = found[f"{metric}_{name}"]
            found[f"{short}_vs_{name}"] = found[metric] / theirs if theirs > 0 else float("nan")
        gain = gains[""] - gains[name]
        found[f"ndcg_gain_on_{name}_error"] = float(gain.std() / np.sqrt(len(gain)))
    return found


def _error(strength: Any, found: Events) -> dict[str, float]:
    """`mse` of the strengths 1, 2, 3 of later events, as the seed measures, and of the training events' mean."""
    later = found.later
    rows = np.random.default_rng(0).permutation(len(later.item))[:MAX_EVENTS]
    guess = strength(
        visitor=_texts(found.visitor_names[later.visitor[rows]]),
        item=_texts(found.item_names[later.item[rows]]),
    )["strength"].numpy()
    actual = later.strength[rows]
    return {
        "mse": float(np.mean((guess - actual) ** 2)),
        "mse_of_mean": float(np.mean((found.train.strength.mean() - actual) ** 2)),
    }


@functools.lru_cache(maxsize=1)
def _given(
    train: tuple[str, ...], later: tuple[str, ...], half_life: float
) -> tuple[Events, list[Tasks], dict[str, dict[str, np.ndarray]]]:
    """Events, tasks and the rivals' lists, kept, since candidate and baseline meet the same ones."""
    found = read(train, later)
    known = pairs(found.train, len(found.visitor_names))
    tasks = make_tasks(found, known)
    popular = popularity(known, len(found.item_names), half_life)
    seen = seen_matrix(known, len(found.item_names))
    similar = {
        "neighbours": ranking.neighbours(seen, ranking.SHRINKAGE),
        "cosine": ranking.neighbours(seen, 0.0),
    }
    rivals = {}
    for task in tasks:
        rivals[task.kind] = {"popularity": ranking.most_popular(popular, task.seen)}
        for name, matrix in similar.items():
            rivals[task.kind][name] = ranking.by_neighbours(matrix, task.seen, popular)
    return found, tasks, rivals


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


def make_tasks(found: Events, known: Pairs) -> list[Tasks]:
    """Returning, new and started visitors, in this order; MAX_VISITORS of each at most.

    Raises ValueError where there is none of a kind.
    """
    items = len(found.item_names)
    later = pairs(found.later, len(found.visitor_names))
    fresh, counts = fresh_items(known, later, items)
    before, known_some = seen_matrix(known, items), known.counts > 0
    # The first item of the evaluation period.
    order = np.lexsort((later.first, later.visitor))
    first = np.full(len(known.counts), -1)
    first[later.visitor[order][::-1]] = later.item[order][::-1]
    tasks = []
    for kind, rows in (
        ("returning", (counts > 0) & known_some),
        ("new", (counts > 0) & ~known_some),
        ("started", (counts > 1) & ~known_some),
    ):
        visitors = np.flatnonzero(rows)
        if not len(visitors):
            raise ValueError(
                f"No {kind} visitor sees anything new in the evaluation period. Give it more data."
            )
        drawn = np.sort(np.random.default_rng(0).permutation(visitors)[:MAX_VISITORS])
        told = first[drawn] if kind == "started" else np.full(len(drawn), -1)
        seen, targets = before[drawn], fresh[drawn]
        if kind == "started":
            seen = _ones(told, items)
            targets = sparse.csr_matrix(targets - targets.multiply(seen))
            targets.eliminate_zeros()
        tasks.append(Tasks(kind, drawn, told, seen, targets, len(visitors) / len(drawn)))
    return tasks


def _ones(columns: np.ndarray, width: int) -> sparse.csr_matrix:
    ones = np.ones(len(columns), np.float32)
    return sparse.csr_matrix((ones, columns, np.arange(len(columns) + 1)), (len(columns), width))


def load(model: Path) -> dict[str, Callable[..., Any]]:
    """The signatures of a SavedModel, kept alive with their model."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))

    def call(name: str, **inputs: Any) -> Any:
        return loaded.signatures[name](**inputs)

    return {name: functools.partial(call, name) for name in ("serving_default", "strength")}


def ask(signature: Callable[..., Any], found: Events, task: Tasks) -> np.ndarray:
    """[n, TOP] item numbers that the model recommends, -1 where it names none."""
    import pandas as pd

    names = pd.Index(found.item_names)
    parts = []
    for begin in range(0, len(task.visitors), BATCH):
        rows = slice(begin, begin + BATCH)
        told = task.told[rows]
        given = np.where(told >= 0, found.item_names[told], b"")[:, None]
        answer = signature(
            visitor=_texts(found.visitor_names[task.visitors[rows]]), **{SEEN_KEY: _texts(given)}
        )
        top = answer["items"].numpy()
        parts.append(names.get_indexer(top.ravel()).reshape(top.shape))
    return np.concatenate(parts)


def _texts(values: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.constant(values.astype(object), tf.string)
