"""The network that is trained here, and the loss of semi-hard triplets that teaches it.

FaceNet's idea (Schroff, Kalenichenko, Philbin 2015): pictures of one person shall lie near each other on a sphere and
farther from everybody else's. Its layers are few: three convolutions as the detector's last network has them, whose
weights it takes where there are any, and one projection of what the last two of them see. That begins as Fisher's:
along the directions in which training faces vary most, each in units of how much one person varies along it. With
twenty people to learn from, this beginning is most of what can be learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tensorflow as tf
    import tf_keras as keras

# What is cut out, some hair with it, and what the convolutions see of it.
SIDE, REACH, INNER_SIDE, CONTRAST = 64, 1 / 0.85, 48, 0.4
SHRINKAGE = 0.3


def grey(crops: tf.Tensor) -> tf.Tensor:
    """Crops [n, side, side, 3], 0 to 255 -> grey [n, 64, 64] of mean 0 and deviation 1 each, whatever the light."""
    import tensorflow as tf

    values = tf.image.rgb_to_grayscale(tf.image.resize(crops, [SIDE, SIDE], antialias=True))
    return tf.image.per_image_standardization(values)[..., 0]


def build_model(parameters: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> keras.Model:
    """Standardised grey [n, 64, 64] -> embeddings [n, dimensions] of length 1, not compiled.

    With `arrays`, those of the detector's output network, its first three convolutions are taken over and stay as they
    are; without, they begin at random and learn. `model.get_layer("projection")` is the rest.
    """
    import tensorflow as tf
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((SIDE, SIDE), name="grey")
    body = layers.Resizing(INNER_SIDE, INNER_SIDE)(layers.Reshape((SIDE, SIDE, 1))(given))
    # Values as large as the detector's are for a picture of usual contrast.
    body = layers.Rescaling(CONTRAST)(layers.Concatenate()([body, body, body]))
    seen = []
    for width, pool, padding in ((32, 3, "same"), (64, 3, "valid"), (64, 2, "same")):
        body = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(width, 3)(body))
        body = layers.MaxPooling2D(pool, 2, padding)(body)
        seen.append(body)
    finer = layers.AveragePooling2D(2, 2, "same")(seen[1])
    both = layers.Concatenate()([layers.Flatten()(finer), layers.Flatten()(seen[2])])
    trunk = keras.Model(given, both, name="trunk")
    if arrays:
        trunk.set_weights(arrays[: len(trunk.weights)])
        trunk.trainable = False
    projected = layers.Dense(parameters["dimensions"], name="projection")(trunk(given))
    embedding = layers.Lambda(lambda values: tf.math.l2_normalize(values, axis=1), name="embedding")(
        projected
    )
    return keras.Model(given, embedding, name="embedder")


def begin(model: keras.Model, faces: np.ndarray, people: np.ndarray) -> None:
    """Sets the projection from training faces [n, 64, 64] of `people` [n] and their mirror images."""
    trunk, projection = model.get_layer("trunk"), model.get_layer("projection")
    values = [
        trunk(part[at : at + 256], training=False).numpy()
        for part in (faces, faces[:, :, ::-1])
        for at in range(0, len(part), 256)
    ]
    projection.set_weights(fisher(np.concatenate(values), np.tile(people, 2), projection.units))


def fisher(values: np.ndarray, people: np.ndarray, dimensions: int) -> list[np.ndarray]:
    """[matrix [m, dimensions], bias [dimensions]]: principal components of `values` [n, m], then divided by the spread
    within a person, to whose variances SHRINKAGE of their mean is added. What few faces cannot fill stays zero."""
    mean = values.mean(axis=0)
    _, _, directions = np.linalg.svd(values - mean, full_matrices=False)
    basis = directions[:dimensions].T.astype(np.float64)
    there = (values - mean) @ basis
    _, numbers = np.unique(people, return_inverse=True)
    sums = np.zeros((numbers.max() + 1, there.shape[1]))
    np.add.at(sums, numbers, there)
    within = there - (sums / np.bincount(numbers)[:, None])[numbers]
    spread = within.T @ within / len(within)
    spread += SHRINKAGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    variances, axes = np.linalg.eigh(spread)
    matrix = np.zeros((values.shape[1], dimensions))
    matrix[:, : basis.shape[1]] = basis @ (axes / np.sqrt(variances))
    return [matrix.astype(np.float32), (-mean @ matrix).astype(np.float32)]


def embed(model: keras.Model, crops: tf.Tensor) -> tf.Tensor:
    """Crops [n, side, side, 3], 0 to 255 -> embeddings [n, d] of length 1: the middle of a face's and its mirror's."""
    import tensorflow as tf

    faces = grey(crops)
    both = model(faces, training=False) + model(tf.reverse(faces, [2]), training=False)
    return tf.math.l2_normalize(both, axis=1)


def triplet_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """The mean over all (anchor, positive) of a batch of max(0, d(a, p) - d(a, n) + margin), d squared distances.

    The negative n is the nearest one that is farther from the anchor than the positive (semi-hard); where there is
    none, the farthest of all: the nearest would draw everything to one point early in training. A batch without two
    pictures of one person or without two people has loss 0.
    """
    import tensorflow as tf

    labels = tf.reshape(labels, [-1])
    same = labels[:, None] == labels[None]
    distance = tf.maximum(0.0, 2 - 2 * tf.matmul(embeddings, embeddings, transpose_b=True))
    positive = same & ~tf.eye(tf.shape(labels)[0], dtype=tf.bool)
    # [anchor, positive, negative]
    other = tf.broadcast_to(~same[:, None, :], tf.repeat(tf.shape(labels), 3))
    to_other = tf.broadcast_to(distance[:, None, :], tf.shape(other))
    harder = other & (to_other > distance[:, :, None])
    nearest = tf.reduce_min(tf.where(harder, to_other, 5.0), axis=2)
    farthest = tf.reduce_max(tf.where(other, to_other, -1.0), axis=2)
    negative = tf.where(tf.reduce_any(harder, axis=2), nearest, farthest)
    counted = positive & tf.reduce_any(other, axis=2)
    losses = tf.where(counted, tf.maximum(0.0, distance - negative + margin), 0.0)
    return tf.reduce_sum(losses) / tf.maximum(1.0, tf.reduce_sum(tf.cast(counted, tf.float32)))


def moved(pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Training pictures [n, 64, 64], mirrored, turned, moved, scaled, lit from a side and given noise, at random."""
    import tensorflow as tf

    count = tf.shape(pictures)[0]

    def uniform(most: float) -> tf.Tensor:
        return tf.random.uniform([count], -most, most)

    mirror = tf.where(tf.random.uniform([count]) < 0.5, -1.0, 1.0)
    angle, scale = uniform(0.15), 1 + uniform(0.1)
    middle = (SIDE - 1) / 2
    a, b = scale * tf.cos(angle) * mirror, -scale * tf.sin(angle)
    c, d = scale * tf.sin(angle) * mirror, scale * tf.cos(angle)
    across = middle + uniform(4.0) - (a + b) * middle
    down = middle + uniform(4.0) - (c + d) * middle
    zero = tf.zeros([count])
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures[..., None],
        transforms=tf.stack([a, b, across, c, d, down, zero, zero], axis=1),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )[..., 0]
    ramp = tf.linspace(-1.0, 1.0, SIDE)
    light = uniform(0.8)[:, None, None] * ramp[None, None] + uniform(0.5)[:, None, None] * ramp[None, :, None]
    lit = turned + light + tf.random.normal(tf.shape(turned), stddev=0.08)
    return tf.image.per_image_standardization(lit[..., None])[..., 0], labels
