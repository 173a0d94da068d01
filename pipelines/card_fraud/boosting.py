"""Boosted trees on the same columns as the autoencoder's, labels and all: what knowing past frauds is worth.

They are grown on the training split, stop by the tune split, and get their threshold there, as the autoencoder's
detector does. The outputs are the same, so that whatever reads them need not know which of the two answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from components import progress
from pipelines.base import training
from pipelines.card_fraud import detector as detecting
from pipelines.card_fraud.features import INPUTS_KEY

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

BOOSTED = "boosted"
SEED = 17
# A chance of exactly 0 or 1 has no odds.
LEAST = 1e-6


def grow(parameters: dict[str, Any], train: tf.data.Dataset, tune: tf.data.Dataset) -> keras.Model:
    """The fitted trees on batches of ({"inputs_xf": [n, 31]}, label); they stop when `tune`'s loss rises."""
    import tensorflow_decision_forests as tfdf

    trees = tfdf.keras.GradientBoostedTreesModel(
        num_trees=parameters["trees"],
        max_depth=parameters["depth"],
        shrinkage=parameters["shrinkage"],
        subsample=0.8,
        min_examples=4,
        l2_regularization=1.0,
        num_candidate_attributes_ratio=0.5,
        early_stopping="LOSS_INCREASE",
        random_seed=parameters.get("seed", SEED),
        num_threads=2,
        verbose=0,
    )
    progress.report(0, parameters["trees"], "trees", force=True)
    trees.fit(train, validation_data=tune, verbose=0)
    grown = trees.make_inspector().num_trees()
    progress.report(grown, grown, "trees", force=True)
    return trees


def tuned(
    trees: keras.Model, tune: tf.data.Dataset, parameters: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The detector, and facts about its tuning for people. Raises ValueError if `tune` lacks a class."""
    answers = [(odds(trees(features)).numpy(), labels.numpy().ravel()) for features, labels in tune]
    errors, labels = (np.concatenate(column) for column in zip(*answers, strict=True))
    frauds = int(labels.sum())
    if frauds in (0, len(labels)):
        raise ValueError(
            f"The tune split has {frauds} frauds in {len(labels)} rows; a threshold needs both classes: use more "
            "data, or data with labelled frauds."
        )
    threshold = detecting.choose_threshold(
        errors[labels == 1], errors[labels == 0], parameters["wanted_recall"], parameters["false_alarms"]
    )
    training.check_loss(threshold, "the choice of the threshold")
    flagged = errors >= threshold
    facts = {
        "threshold": threshold,
        "trees": trees.make_inspector().num_trees(),
        "tune_rows": len(labels),
        "tune_frauds": frauds,
        "tune_recall": float(flagged[labels == 1].mean()),
        "tune_false_alarms": float(flagged[labels == 0].mean()),
    }
    return make_detector(trees, threshold), facts


def odds(answer: tf.Tensor) -> tf.Tensor:
    """The odds of a fraud [n] of the trees' chances [n, 1]."""
    import tensorflow as tf

    chance = tf.clip_by_value(answer[:, 0], LEAST, 1 - LEAST)
    return chance / (1 - chance)


def make_detector(trees: keras.Model, threshold: float) -> Any:
    """A tf.Module `inputs [n, 31] -> {score, is_fraud, error, threshold}`, each [n], as detector.make_detector's.

    `error` is the odds of a fraud that the trees see.
    """
    import tensorflow as tf

    class Boosted(tf.Module):
        def __init__(self) -> None:
            super().__init__(name=BOOSTED)
            self.trees = trees
            self.threshold = tf.Variable(threshold, dtype=tf.float32, trainable=False, name="threshold")

        def __call__(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return detecting.outputs(odds(self.trees({INPUTS_KEY: inputs})), self.threshold)

    return Boosted()
