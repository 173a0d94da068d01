"""How well a served model tells apart people on whom it was never trained, next to eigenfaces and plain pixels.

The model is asked as a client asks: `embed` for its numbers, `align` for the very faces that the rivals see.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components import finite
from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.faces import measures, rivals
from pipelines.faces.features import IMAGE_KEY, NAME_KEY, PERSON_KEY, SLICE_KEYS

BATCH = 64


class Told(NamedTuple):
    """Pictures of a split [n]: bytes, names, people as numbers, slices {name: [n]}, and what the model says of them.

    `embeddings` [n, d], `found` [n], `faces` [n, 64, 64] standardised grey.
    """

    images: np.ndarray
    names: np.ndarray
    people: np.ndarray
    slices: dict[str, np.ndarray]
    embeddings: np.ndarray
    found: np.ndarray
    faces: np.ndarray


def evaluate(given: Given) -> Sampled:
    """The metrics of `_metrics` overall and per slice; of rivals overall.

    Drawn again are people, each with all pictures: pictures of one person are alike. Galleries stay as they are.
    """
    told = ask(given.model, given.files)
    known = ask(given.model, given.examples["train"])
    alike = {"": measures.similarities(told.embeddings, told.found)}
    for name, rival in rivals.fitted(known.faces[known.found]).items():
        alike[f"_{name}"] = measures.similarities(rival(told.faces), told.found)
    pairs = {name: measures.pairs(matrix, told.people) for name, matrix in alike.items()}
    probes = {name: measures.probes(matrix, told.people) for name, matrix in alike.items()}
    threshold, detects = _facts(given.model)
    parts: dict[SliceKey, tuple[np.ndarray, measures.Pairs, measures.Probes]] = {}
    for name, values in told.slices.items():
        for value in np.unique(values):
            of = values == value
            parts[((name, str(value)),)] = (
                of,
                measures.pairs(alike[""], told.people, of),
                probes[""].of(of),
            )

    def measure(drawn: np.ndarray) -> Measured:
        measured: dict[SliceKey, dict[str, float]] = {(): {}}
        for name in alike:
            whole = _metrics(pairs[name], probes[name], drawn)
            measured[()] |= {f"{metric}{name}": value for metric, value in whole.items()}
        measured[()] |= _gains(measured[()], list(alike)[1:])
        measured[()] |= _at_threshold(probes[""], drawn, threshold)
        if detects:
            measured[()]["detection_rate"] = float(np.average(told.found, weights=drawn[told.people]))
        measured[()]["example_count"] = float(drawn[told.people].sum())
        for key, (of, some, asked) in parts.items():
            count = float(drawn[told.people[of]].sum())
            if count:
                metrics = {**_metrics(some, asked, drawn), **_at_threshold(asked, drawn, threshold)}
                measured[key] = {
                    **{name: value for name, value in metrics.items() if np.isfinite(value)},
                    "example_count": count,
                }
        return measured

    return Sampled(int(told.people.max()) + 1, measure, "people")


def _metrics(pairs: measures.Pairs, asked: measures.Probes, drawn: np.ndarray) -> dict[str, float]:
    """`verification_auc` over pairs; `identification` with three enrolled pictures each; `found_at_1_percent`: the
    share of probes that are found where one stranger in a hundred is taken for somebody (the curve's point, so its
    threshold is these pictures' own)."""
    return {
        "verification_auc": measures.auc(pairs, drawn),
        "identification": measures.identification(asked, drawn),
        "found_at_1_percent": measures.found(asked, drawn, measures.threshold(asked, drawn)),
    }


def _gains(metrics: dict[str, float], others: Sequence[str]) -> dict[str, float]:
    """`verification_gain_on_best_rival` and `identification_gain_on_best_rival`."""
    gains = {}
    for metric, short in (("verification_auc", "verification"), ("identification", "identification")):
        best = max(metrics[f"{metric}{name}"] for name in others)
        gains[f"{short}_gain_on_best_rival"] = metrics[metric] - best
    return gains


def _at_threshold(asked: measures.Probes, drawn: np.ndarray, at: float) -> dict[str, float]:
    """At the model's own threshold, chosen on other people: `found` of the enrolled, `false_accepts` of strangers."""
    return {"found": measures.found(asked, drawn, at), "false_accepts": measures.accepted(asked, drawn, at)}


def _facts(model: Path) -> tuple[float, bool]:
    """(the served threshold, whether the model detects faces)."""
    loaded = reading.saved_model(model)
    return float(loaded.threshold.numpy()), "detect" in loaded.signatures


@functools.lru_cache(maxsize=4)
def _ask(model: Path, files: tuple[str, ...]) -> Told:
    import tensorflow as tf

    loaded = reading.saved_model(model)
    keys = (IMAGE_KEY, PERSON_KEY, NAME_KEY, *SLICE_KEYS)
    spec: dict[str, Any] = {key: tf.io.FixedLenFeature([], tf.string) for key in keys}
    columns: dict[str, list[np.ndarray]] = {}
    for rows in training.dataset(files, spec, None, BATCH):
        images = rows[IMAGE_KEY]
        answer = {**loaded.signatures["embed"](image=images), **loaded.signatures["align"](image=images)}
        for key, value in {**rows, **answer}.items():
            columns.setdefault(key, []).append(value.numpy())
    table = {key: np.concatenate(parts) for key, parts in columns.items()}
    # By name, so that who is enrolled with which pictures does not hang on the order of the rows.
    table = {key: values[np.argsort(table[NAME_KEY], kind="stable")] for key, values in table.items()}
    embeddings = table["embedding"]
    finite.refuse(int(finite.bad_rows(embeddings).sum()), len(embeddings))
    return Told(
        table[IMAGE_KEY],
        np.char.decode(table[NAME_KEY].astype(bytes)),
        np.unique(table[PERSON_KEY], return_inverse=True)[1],
        {key: np.char.decode(table[key].astype(bytes)) for key in SLICE_KEYS},
        embeddings.astype(np.float64),
        table["found"],
        table["face"],
    )


def ask(model: Path, files: Sequence[str]) -> Told:
    """What a SavedModel says of every picture in raw gz TFRecords, in the order of their names."""
    return _ask(Path(model), tuple(files))
