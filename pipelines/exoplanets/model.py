"""Trees of TensorFlow Decision Forests on the features, and signatures that begin with the raw curve.

Hosts are rare, so they get as much weight as makes them `host_share` of all weight; otherwise trees would be grown
for the others. The score is what the trees vote under that weight: it orders stars, and is no probability.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from components import progress
from pipelines.base import training
from pipelines.exoplanets.features import FLUX_KEY, LABEL_KEY, RAW_LABEL_KEY, SUFFIX, evaluation_features
from pipelines.exoplanets.periodogram import LENGTH

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

TREES_FILE = "trees.json"
SEED = 31


def build_model(parameters: dict[str, Any]) -> keras.Model:
    """The untrained trees of `parameters["variant"]`: "boosted" or "forest"."""
    import tensorflow_decision_forests as tfdf

    shared = {
        "num_trees": parameters["trees"],
        "max_depth": parameters["depth"],
        "random_seed": parameters.get("seed", SEED),
        "num_threads": 2,
        "verbose": 0,
    }
    if parameters["variant"] == "forest":
        return tfdf.keras.RandomForestModel(
            winner_take_all=False, min_examples=3, compute_oob_performances=True, **shared
        )
    return tfdf.keras.GradientBoostedTreesModel(
        shrinkage=parameters["shrinkage"],
        subsample=parameters["subsample"],
        min_examples=4,
        l2_regularization=1.0,
        num_candidate_attributes_ratio=0.5,
        early_stopping="LOSS_INCREASE",
        **shared,
    )


def run_fn(fn_args: Any) -> None:
    """Grows the trees on the training split (boosting stops by the tune split) and exports them."""
    run = training.Run.of(fn_args)
    parameters = run.parameters
    train = training.dataset(fn_args.train_files, run.spec, LABEL_KEY, 1000)
    tune = training.dataset(fn_args.eval_files, run.spec, LABEL_KEY, 1000)
    weighted = weighting(train, parameters["host_share"])
    trees = build_model(parameters)
    progress.report(0, parameters["trees"], "trees", force=True)
    trees.fit(train.map(weighted), validation_data=tune.map(weighted), verbose=0)
    grown = describe(trees)
    for number, loss in grown["log"]:
        training.check_loss(loss, f"the evaluation of {number} trees")
    progress.report(grown["trees"], grown["trees"], "trees", force=True)
    (run.folder / TREES_FILE).write_text(json.dumps(grown, indent=1), encoding="utf-8")
    served = make_served(trees)
    training.export(served, fn_args, signatures(served, run.transformed))


def weighting(train: tf.data.Dataset, host_share: float) -> Any:
    """A function (features, label) -> (features, label, weight) under which hosts make up `host_share`.

    Raises ValueError if a class is missing.
    """
    import tensorflow as tf

    hosts = others = 0
    for _, labels in train:
        hosts += int(tf.reduce_sum(labels))
        others += int(tf.size(labels) - tf.reduce_sum(tf.cast(labels, tf.int32)))
    if not hosts or not others:
        raise ValueError(f"The training split has {hosts} hosts and {others} other stars; trees need both.")
    heavy = host_share / (1.0 - host_share) * others / hosts

    def weighted(features: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        return features, labels, tf.where(labels == 1, heavy, 1.0)

    return weighted


def describe(trees: keras.Model) -> dict[str, Any]:
    """Number of trees, the features that matter most and the training log, for the report."""
    inspector = trees.make_inspector()
    log = inspector.training_logs() or []
    importances = inspector.variable_importances()
    measure = next(
        (m for m in ("SUM_SCORE", "INV_MEAN_MIN_DEPTH") if m in importances), next(iter(importances), "")
    )
    return {
        "trees": inspector.num_trees(),
        "importance": measure,
        "features": [[f.name.removesuffix(SUFFIX), float(v)] for f, v in importances.get(measure, [])],
        "log": [[entry.num_trees, float(entry.evaluation.loss or 0.0)] for entry in log if entry.evaluation],
    }


def make_served(trees: keras.Model) -> tf.Module:
    """A module: transformed features [n, 1] by name -> the outputs that clients see, [n] each."""
    import tensorflow as tf

    class Served(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="exoplanets")
            self.trees = trees

        def __call__(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            inputs = {name: value for name, value in features.items() if name.endswith(SUFFIX)}

            def column(name: str) -> tf.Tensor:
                return tf.pow(10.0, features[f"{name}{SUFFIX}"][:, 0])

            return {
                "score": self.trees(inputs)[:, 0],
                "period_days": column("period"),
                "duration_hours": column("duration") * (29.424 / 60.0),
                "depth_over_noise": column("depth"),
                "signal_over_noise": column("box_power"),
            }

    return Served()


def signatures(served: tf.Module, transformed: Any) -> dict[str, Any]:
    """`serving_default`: `flux` [n, 3197] -> outputs; `serve_examples` and `evaluation_features` from tf.Examples."""
    import tensorflow as tf

    serve_examples = training.examples_signature(served, transformed, served, label_keys=[RAW_LABEL_KEY])
    layer = served.tft_layer
    raw_spec = transformed.raw_feature_spec()

    @tf.function(input_signature=[tf.TensorSpec([None, LENGTH], tf.float32, name=FLUX_KEY)])
    def serve_flux(flux: tf.Tensor) -> dict[str, tf.Tensor]:
        return served(layer({FLUX_KEY: flux}))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluation(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = layer(tf.io.parse_example(examples, raw_spec))
        return {**evaluation_features(features), LABEL_KEY: features[LABEL_KEY]}

    return {
        "serving_default": serve_flux,
        "serve_examples": serve_examples,
        "evaluation_features": evaluation,
    }
