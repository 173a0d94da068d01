"""Training and export of clothing: capsules on the margin loss with a decoder that draws the picture again.

The decoder is given the capsule of the label in training and the longest one in serving. `cnn`, the rival, has neither.
Signatures are serving.py's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipelines.base import training
from pipelines.clothing import augmentation, capsules, network
from pipelines.clothing.features import CLASSES, LABEL_KEY, PIXELS_KEY, SIDE, pixels

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

SHUFFLE_ROWS = 60_000
RIVAL = "cnn"
LENGTH, PICTURE = "length", "picture"


def run_fn(fn_args: Any) -> None:
    """Trains the run's variant on the training split and exports it; the evaluation split only draws curves."""
    import tensorflow as tf

    from pipelines.clothing import serving

    run = training.Run.of(fn_args, seed=1)
    parameters = run.parameters
    rows = training.dataset(fn_args.train_files, run.spec, LABEL_KEY, 4096)
    count = int(rows.reduce(tf.constant(0), lambda total, batch_of: total + tf.shape(batch_of[1])[0]))
    train = training.dataset(
        fn_args.train_files, run.spec, LABEL_KEY, parameters["batch_size"], shuffle=SHUFFLE_ROWS
    )
    evaluation = training.dataset(fn_args.eval_files, run.spec, LABEL_KEY, 500)
    plain = parameters["variant"] == RIVAL
    encoder, model = build(parameters)
    compile_model(model, parameters, math.ceil(count / parameters["batch_size"]))
    moved = train.map(lambda row, label: (augmentation.move(pixels(row[PIXELS_KEY])), label))
    moved = moved.map(rival_targets if plain else targets, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    still = evaluation.map(lambda row, label: (pixels(row[PIXELS_KEY]), label))
    training.fit(model, fn_args, moved, still.map(rival_targets if plain else targets), parameters["epochs"])
    served = serving.make_classifier(encoder, None if plain else model.get_layer("decoder"))
    training.export(served, fn_args, serving.signatures(served, run.transformed))


def build(parameters: dict[str, Any]) -> tuple[keras.Model, keras.Model]:
    """(what is served, what is trained) of a variant; for the rival they are one.

    A capsule network is trained as {pixels [n, 28, 28], label [n, 1]} -> {length [n, 10], picture [n, 28, 28]}.
    """
    import tf_keras as keras

    if parameters["variant"] == RIVAL:
        rival = network.rival(parameters)
        return rival, rival
    encoder, decoder = network.encoder(parameters), network.decoder()
    given = {
        "pixels": keras.Input((SIDE, SIDE), name="pixels"),
        "label": keras.Input((1,), dtype="int64", name="label"),
    }
    found = encoder(given["pixels"])
    length = keras.layers.Lambda(capsules.lengths, name=LENGTH)(found)
    kept = keras.layers.Lambda(lambda both: capsules.only(*both), name="only")((found, given["label"]))
    return encoder, keras.Model(given, {LENGTH: length, PICTURE: decoder(kept)}, name="with_decoder")


def targets(images: tf.Tensor, labels: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Pixels [n, 28, 28] 0 to 255 and labels -> inputs and what is wanted of a capsule network."""
    import tensorflow as tf

    labels = tf.reshape(labels, [-1, 1])
    return {"pixels": images, "label": labels}, {LENGTH: labels, PICTURE: images / 255}


def rival_targets(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same for the rival: pixels and labels [n]."""
    import tensorflow as tf

    return images, tf.reshape(labels, [-1])


def compile_model(model: keras.Model, parameters: dict[str, Any], steps_per_epoch: int) -> None:
    """Adam; the rate rises over a tenth of the steps and falls on a cosine.

    Capsules: margin loss + `reconstruction` times the sum of squared errors of a picture's 784 pixels (0 to 1), as
    Sabour et al. weigh them. The rival: cross entropy, labels smoothed by `label_smoothing`.
    """
    import tensorflow as tf
    import tf_keras as keras

    steps = parameters["epochs"] * steps_per_epoch
    rate = keras.optimizers.schedules.CosineDecay(
        parameters["learning_rate"] / 10,
        round(0.9 * steps),
        alpha=0.001,
        warmup_target=parameters["learning_rate"],
        warmup_steps=round(0.1 * steps),
    )
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    if parameters["variant"] == RIVAL:

        def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            wanted = tf.one_hot(tf.reshape(tf.cast(labels, tf.int32), [-1]), CLASSES)
            return keras.losses.categorical_crossentropy(
                wanted, logits, from_logits=True, label_smoothing=parameters["label_smoothing"]
            )

        model.compile(keras.optimizers.Adam(rate), cross_entropy, [accuracy])
        return

    def squared_error(wanted: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(wanted - drawn), axis=[1, 2])

    model.compile(
        keras.optimizers.Adam(rate),
        {LENGTH: capsules.margin_loss, PICTURE: squared_error},
        {LENGTH: accuracy},
        loss_weights={LENGTH: 1.0, PICTURE: parameters["reconstruction"]},
    )
