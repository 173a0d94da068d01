"""An extractor and a logistic head in one graph, from the bytes of a photograph to the probability of a car.

`serving_default` takes photographs, `features` gives what the extractor makes of them, `serve_examples` takes
serialized tf.Examples. Only the head is fitted, in closed steps of L-BFGS (head.py); the variant `own` trains its
extractor first, on drawings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base import hub, training, whole
from pipelines.vehicles import own
from pipelines.vehicles.features import (
    IMAGE_KEY,
    INFORMATION_KEYS,
    KINDS,
    LABEL_KEY,
    PHOTOGRAPH_KEY,
    pictures,
)
from pipelines.vehicles.head import Head, fit

if TYPE_CHECKING:
    import tensorflow as tf

ARCHITECTURES = {"squeezenet": "pipelines.vehicles.squeezenet.build"}
BATCH = 16
HEAD_FILE = "head.json"


def run_fn(fn_args: Any) -> None:
    """Fits the head to the training split's features and exports it with its extractor."""
    run = training.Run.of(fn_args, seed=1)
    extractor = extractor_of(fn_args, run.parameters)
    seen, labels = features_of(fn_args.train_files, run.spec, extractor)
    head = fit(seen, labels, int(run.parameters["folds"]))
    facts = {"penalty": head.penalty, "features": seen.shape[1], "photographs": len(labels)}
    whole.write(run.folder / HEAD_FILE, json.dumps(facts))
    classifier = make_classifier(extractor, head)
    training.export(classifier, fn_args, signatures(classifier, run.transformed))


def extractor_of(fn_args: Any, parameters: Mapping[str, Any]) -> hub.Extractor:
    """The variant's extractor: trained here (`own`), or what `extractor` names."""
    if parameters["variant"] == "own":
        return own.train(fn_args, parameters)
    return hub.load(parameters["extractor"], ARCHITECTURES.get(parameters["variant"], ""))


def features_of(
    files: Sequence[str], spec: dict[str, Any], extractor: hub.Extractor
) -> tuple[np.ndarray, np.ndarray]:
    """(features [n, d], labels [n]) of transformed examples."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def features(images: tf.Tensor) -> tf.Tensor:
        return extractor.features(pictures(images, extractor.side))

    parts = [
        (features(tf.reshape(rows[PHOTOGRAPH_KEY], [-1])).numpy(), labels.numpy().ravel())
        for rows, labels in training.dataset(files, spec, LABEL_KEY, BATCH)
    ]
    seen, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return seen.astype(np.float64), labels


def make_classifier(extractor: hub.Extractor, head: Head) -> tf.Module:
    """A module of both: `features(images [n])` [n, d], and `outputs` of them."""
    import tensorflow as tf

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="classifier")
            self.extractor = extractor.tracked
            self.weights = tf.Variable(head.weights.astype(np.float32), trainable=False)
            self.bias = tf.Variable(np.float32(head.bias), trainable=False)

        def features(self, images: tf.Tensor) -> tf.Tensor:
            return extractor.features(pictures(images, extractor.side))

        def outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            score = tf.linalg.matvec(self.features(images), self.weights) + self.bias
            label = tf.cast(score > 0, tf.int64)
            return {
                "probabilities": tf.stack([tf.sigmoid(-score), tf.sigmoid(score)], axis=1),
                "label": label,
                "kind": tf.gather(tf.constant(KINDS), label),
            }

    return Classifier()


def signatures(classifier: Any, transformed: Any) -> dict[str, Any]:
    """The three signatures; see the module."""
    import tensorflow as tf

    images = tf.TensorSpec([None], tf.string, name=IMAGE_KEY)

    @tf.function(input_signature=[images])
    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return classifier.outputs(image)

    @tf.function(input_signature=[images])
    def features(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": classifier.features(image)}

    serve_examples = training.examples_signature(
        lambda rows: classifier.outputs(rows[PHOTOGRAPH_KEY]),
        transformed,
        classifier,
        label_keys=[LABEL_KEY, *INFORMATION_KEYS],
    )
    return {"serving_default": serving_default, "features": features, "serve_examples": serve_examples}
