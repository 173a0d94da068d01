"""How many points the served model makes from starts that no training has seen, beside a random policy's.

Both play the same episodes: the seeds and no-op steps of the evaluation split, whose rows are the random policy's own
play. The last blessed model is asked about the same ones, so all comparisons are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components import finite, progress
from components.function_evaluator.measuring import Given, Measured, Sampled
from components.report_gen import reading
from pipelines.base import training
from pipelines.pacman.features import NOOPS_KEY, SCORE_KEY, SEED_KEY
from pipelines.pacman.game import Start
from pipelines.pacman.playing import Episode, as_served, play

QUANTILES = {"score_p10": 0.1, "score_median": 0.5, "score_p90": 0.9}
DEVIATIONS = 1.96


def evaluate(given: Given) -> Sampled:
    """The metrics of `_metrics` over the episodes of the evaluation split. Drawn again are episodes."""
    starts, theirs = judged(given.files)
    episodes = of_model(given.model, starts)
    scores = np.array([episode.score for episode in episodes])
    steps = np.array([len(episode.actions) for episode in episodes])

    def measure(drawn: np.ndarray) -> Measured:
        return {(): _metrics(scores, theirs, steps, drawn)}

    return Sampled(len(starts), measure, "episodes")


def _metrics(
    scores: np.ndarray, theirs: np.ndarray, steps: np.ndarray, drawn: np.ndarray
) -> dict[str, float]:
    """Of episodes counted `drawn` [n] times. `score_over_random_interval` is the mean score less the upper end of the
    random policy's 95 % interval; `gain_on_random` the mean of the paired differences.
    """
    count = float(drawn.sum())
    score, random = (float(drawn @ one / count) for one in (scores, theirs))
    deviation = float(np.sqrt(drawn @ (theirs - random) ** 2 / max(count - 1, 1)))
    every = np.repeat(scores, drawn)
    return {
        "score": score,
        **{name: float(np.quantile(every, share)) for name, share in QUANTILES.items()},
        "score_best": float(every.max()),
        "score_random": random,
        "score_ratio_random": score / random if random > 0 else float("nan"),
        "score_over_random_interval": score - (random + DEVIATIONS * deviation / np.sqrt(count)),
        "gain_on_random": score - random,
        "better_than_random": float(drawn @ (scores > theirs) / count),
        "steps": float(drawn @ steps / count),
        "example_count": count,
    }


def judged(files: Sequence[str]) -> tuple[list[Start], np.ndarray]:
    """The starts of a split's raw rows, and the scores [n] of the policy that played them there."""
    import tensorflow as tf

    spec: dict[str, Any] = {key: tf.io.FixedLenFeature([], tf.int64) for key in (SEED_KEY, NOOPS_KEY)}
    spec[SCORE_KEY] = tf.io.FixedLenFeature([], tf.float32)
    starts: list[Start] = []
    scores: list[float] = []
    for rows in training.dataset(files, spec, None, 256):
        pairs = zip(rows[SEED_KEY].numpy().tolist(), rows[NOOPS_KEY].numpy().tolist(), strict=True)
        starts += [Start(*pair) for pair in pairs]
        scores += rows[SCORE_KEY].numpy().tolist()
    return starts, np.array(scores)


def of_model(model: Path, starts: Sequence[Start]) -> list[Episode]:
    """The episodes that a SavedModel plays. Raises ProjectError where its values are no numbers."""
    loaded = reading.saved_model(model)
    signature = loaded.signatures["serving_default"]
    ((kind, spec),) = signature.structured_input_signature[1].items()
    depth = 1 if len(spec.shape) == 2 else int(spec.shape[-1])

    def policy(seen: Any, numbers: np.ndarray) -> np.ndarray:
        answer = signature(**{kind: as_served(seen[kind])})
        bad = int(np.isnan(answer["values"].numpy()).any(axis=1).sum())
        finite.refuse(bad, len(numbers))
        return answer["action"].numpy()

    return play(
        starts,
        policy,
        [kind],
        depth=depth,
        done=lambda count: progress.report(count, len(starts), "episodes"),
    )
