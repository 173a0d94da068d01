"""Training on the ELBO, and signatures that begin with the bytes of a picture and end with how sure the answer is.

`serving_default` takes pictures; `predict` also the sign's box and the number of Monte Carlo samples; `draws` gives
each sample's own opinion; `serve_examples` takes serialized tf.Examples. See posterior.py for what they answer.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from pipelines.base import training
from pipelines.traffic_signs import augmentation, features
from pipelines.traffic_signs import posterior as monte_carlo
from pipelines.traffic_signs.features import BOX_KEY, CROP_KEY, IMAGE_KEY, INFORMATION_KEYS, LABEL_KEY
from pipelines.traffic_signs.network import bayesian_layers, build_model

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

SHUFFLE_ROWS = 5_000
NO_SIGN = -1  # the label of a spoiled picture


def run_fn(fn_args: Any) -> None:
    """Fits the posterior to the training split and exports it; the tune split draws curves and says what is no sign."""
    import tensorflow as tf

    run = training.Run.of(fn_args, seed=1)
    parameters, spec = run.parameters, run.spec
    batch = parameters["batch_size"]
    rows = training.dataset(fn_args.train_files, spec, LABEL_KEY, 1024)
    count = int(rows.reduce(tf.constant(0), lambda total, one: total + tf.shape(one[1])[0]))
    weight = tf.Variable(0.0, trainable=False, name="divergence_weight")
    model = build_model(parameters, weight)
    compile_model(model, parameters, math.ceil(count / batch))
    train = training.dataset(fn_args.train_files, spec, LABEL_KEY, batch, shuffle=SHUFFLE_ROWS)
    tune = training.dataset(fn_args.eval_files, spec, LABEL_KEY, 512)
    training.fit(
        model,
        fn_args,
        train.map(
            functools.partial(augmented, parameters["exposure"]), num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(tf.data.AUTOTUNE),
        tune.map(plain),
        parameters["epochs"],
        callbacks=[warm_up(weight, parameters, count)],
    )
    posterior = monte_carlo.make_posterior(read_posterior(model))
    posterior.most_doubt.assign(most_doubt(posterior, tune.map(plain), parameters["refused"]))
    training.export(posterior, fn_args, signatures(posterior, run.transformed))


def compile_model(model: keras.Model, parameters: dict[str, Any], steps_per_epoch: int) -> None:
    """Cross entropy per sign and `exposure` spoiled ones, to which the model adds its divergence; Adam under a cosine.

    A spoiled picture (label NO_SIGN) is asked for no class more than for any other (Hendrycks, Mazeika, Dietterich
    2019): its loss is the cross entropy of the uniform distribution. Both metrics are of signs alone.
    """
    import tensorflow as tf
    import tf_keras as keras

    def whole(labels: tf.Tensor) -> tf.Tensor:
        """As int64 [n]: Keras gives labels as what the logits are."""
        return tf.cast(tf.reshape(labels, [-1]), tf.int64)

    def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        labels = whole(labels)
        of_signs = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        of_others = tf.reduce_logsumexp(logits, axis=1) - tf.reduce_mean(logits, axis=1)
        # Keras takes the mean over all rows; the divergence's weight is meant for one over signs.
        return tf.where(labels == NO_SIGN, of_others, of_signs) * (1 + parameters["exposure"])

    def accuracy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        labels = whole(labels)
        return tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32)[labels != NO_SIGN]

    def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        labels = whole(labels)
        shown = labels != NO_SIGN
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels[shown], logits[shown])

    steps = parameters["epochs"] * steps_per_epoch
    falling = keras.optimizers.schedules.CosineDecay(parameters["learning_rate"], steps)
    model.compile(
        keras.optimizers.Adam(falling, clipnorm=5.0),
        loss,
        [accuracy, cross_entropy],
    )


def augmented(exposure: float, rows: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A parsed batch -> (equalised pictures [m, 32, 32] that were moved, labels [m, 1]); the last are spoiled.

    m is n + `exposure` n: so many of the moved pictures come once more as what is no sign.
    """
    import tensorflow as tf

    moved = augmentation.move(rows[CROP_KEY])
    count = tf.cast(exposure * tf.cast(tf.shape(labels)[0], tf.float32), tf.int32)
    pictures = tf.concat([moved, augmentation.spoil(moved[:count])], axis=0)
    others = tf.fill([count, 1], tf.constant(NO_SIGN, labels.dtype))
    return features.equalise(pictures), tf.concat([labels, others], axis=0)


def plain(rows: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A parsed batch -> (equalised pictures [n, 32, 32] as they are served, labels [n, 1])."""
    return features.equalise(features.centre(rows[CROP_KEY])), labels


def warm_up(weight: tf.Variable, parameters: dict[str, Any], count: int) -> keras.callbacks.Callback:
    """Raises the divergence's weight from nearly 0 to `divergence` / `count` over the first `warm_up` of the epochs.

    1 / count is the ELBO of one picture of `count`; `divergence` is 1 for it, less for a tempered posterior.
    """
    import tf_keras as keras

    rising = max(1, round(parameters["warm_up"] * parameters["epochs"]))

    def set_weight(epoch: int, logs: Any = None) -> None:
        weight.assign(parameters["divergence"] / count * min(1.0, (epoch + 1) / rising))

    return keras.callbacks.LambdaCallback(on_epoch_begin=set_weight)


def most_doubt(posterior: Any, tune: tf.data.Dataset, refused: float) -> float:
    """The entropy that all but the share `refused` of the tune split's signs stay below."""
    import numpy as np
    import tensorflow as tf

    doubts = [
        monte_carlo.predict(posterior, pictures, tf.fill([tf.shape(pictures)[0]], monte_carlo.DEFAULT_DRAWS))
        for pictures, _ in tune
    ]
    return float(np.quantile(np.concatenate([answer["entropy"].numpy() for answer in doubts]), 1 - refused))


def read_posterior(model: keras.Model) -> list[tuple[Any, Any, Any]]:
    """(mean, deviation, bias) arrays of each Bayesian layer of a trained network."""
    return [
        (
            layer.kernel_posterior.mean().numpy(),
            layer.kernel_posterior.stddev().numpy(),
            layer.bias_posterior.mean().numpy(),
        )
        for layer in bayesian_layers(model)
    ]


def signatures(posterior: Any, transformed: Any) -> dict[str, Any]:
    """The four signatures; see the module. All but `draws` answer row by row, so a server may batch them."""
    import tensorflow as tf

    def answer(crops: tf.Tensor, draws: tf.Tensor) -> dict[str, tf.Tensor]:
        return monte_carlo.predict(posterior, features.equalise(features.centre(crops)), draws)

    def usual(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(crops, tf.fill([tf.shape(crops)[0]], monte_carlo.DEFAULT_DRAWS))

    image = tf.TensorSpec([None], tf.string, name=IMAGE_KEY)
    box = tf.TensorSpec([None, 4], tf.int64, name=BOX_KEY)

    @tf.function(input_signature=[image])
    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return usual(features.crops(image, tf.zeros([tf.shape(image)[0], 4], tf.int64)))

    @tf.function(input_signature=[image, box, tf.TensorSpec([None], tf.int64, name="samples")])
    def predict(image: tf.Tensor, box: tf.Tensor, samples: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(features.crops(image, box), _checked(samples))

    @tf.function(input_signature=[image, box, tf.TensorSpec([], tf.int64, name="samples")])
    def draws(image: tf.Tensor, box: tf.Tensor, samples: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = features.equalise(features.centre(features.crops(image, box)))
        return {"probabilities": monte_carlo.opinions(posterior, seen, _checked(samples))}

    serve_examples = training.examples_signature(
        lambda rows: usual(rows[CROP_KEY]), transformed, posterior, label_keys=[LABEL_KEY, *INFORMATION_KEYS]
    )
    return {
        "serving_default": serving_default,
        "predict": predict,
        "draws": draws,
        "serve_examples": serve_examples,
    }


def _checked(samples: tf.Tensor) -> tf.Tensor:
    """`samples` as int32; a number below 1 or above MAX_DRAWS fails the request with InvalidArgumentError."""
    import tensorflow as tf

    right = tf.reduce_all((samples >= 1) & (samples <= monte_carlo.MAX_DRAWS))
    with tf.control_dependencies(
        [tf.debugging.Assert(right, [f"samples must be 1 to {monte_carlo.MAX_DRAWS}"])]
    ):
        return tf.cast(samples, tf.int32)
