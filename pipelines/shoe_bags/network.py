"""Two translators between pictures of two domains and a critic for each domain; their losses and one training step.

A translator is convolutions that halve the picture down to 4 x 4 and transposed ones back: nothing goes round that
bottleneck. Critics have spectral normalisation (Miyato et al. 2018) and the hinge loss; reconstruction is the mean
squared error there and back (Kim et al. 2017, DiscoGAN). Nobody here knows files or TFX.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

BOTTLENECK = 4
# The served translators are a running mean over about the last tenth of the steps, and at most so many of them.
LATEST_SHARE, LATEST_STEPS = 10, 200


class Networks(NamedTuple):
    """`to_bag` and `to_shoe` are trained against the critics; `served_*` are the running means of their weights."""

    to_bag: keras.Model
    to_shoe: keras.Model
    served_to_bag: keras.Model
    served_to_shoe: keras.Model
    bag_critic: keras.Model
    shoe_critic: keras.Model


def build(parameters: Mapping[str, Any]) -> Networks:
    """Untrained networks for `side`, `channels`, `width` and `normalisation`; served ones begin as the trained ones."""
    made = Networks(*(translator(parameters) for _ in range(4)), *(critic(parameters) for _ in range(2)))
    made.served_to_bag.set_weights(made.to_bag.get_weights())
    made.served_to_shoe.set_weights(made.to_shoe.get_weights())
    return made


def stages(side: int) -> int:
    """How often a side is halved on the way to the bottleneck. Raises ValueError unless it ends there."""
    count = (side // BOTTLENECK).bit_length() - 1
    if count < 1 or BOTTLENECK << count != side:
        raise ValueError(f"side is {side}; expected {BOTTLENECK} times a power of two.")
    return count


def translator(parameters: Mapping[str, Any]) -> keras.Model:
    """Pictures [n, side, side, channels] from -1 to 1 -> the same shape and range."""
    import tf_keras as keras

    layers, side, width = keras.layers, int(parameters["side"]), int(parameters["width"])
    normalised = parameters["normalisation"] == "batch"
    given = keras.Input((side, side, int(parameters["channels"])))
    body, count = given, stages(side)
    options: dict[str, Any] = {
        "padding": "same",
        "kernel_initializer": "he_normal",
        "use_bias": not normalised,
    }
    for stage in range(count):
        body = layers.Conv2D(width << stage, 4, 2, **options)(body)
        if normalised and stage:
            body = layers.BatchNormalization(momentum=0.9)(body)
        body = layers.LeakyReLU(0.2)(body)
    for stage in reversed(range(count - 1)):
        body = layers.Conv2DTranspose(width << stage, 4, 2, **options)(body)
        body = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(body) if normalised else body)
    last = layers.Conv2DTranspose(int(parameters["channels"]), 4, 2, "same", activation="tanh")
    return keras.Model(given, last(body))


def critic(parameters: Mapping[str, Any]) -> keras.Model:
    """Pictures [n, side, side, channels] from -1 to 1 -> scores [n, 1], high for pictures of its domain."""
    import tf_keras as keras

    convolution, side, width = spectral_convolution(), int(parameters["side"]), int(parameters["width"])
    given = keras.Input((side, side, int(parameters["channels"])))
    body = given
    for stage in range(stages(side)):
        body = keras.layers.LeakyReLU(0.2)(convolution(width << stage, 4, 2, "SAME")(body))
    return keras.Model(given, keras.layers.Flatten()(convolution(1, BOTTLENECK, 1, "VALID")(body)))


@functools.cache
def spectral_convolution() -> Any:
    """The layer's class, made when Keras is wanted: importing this file must not import it."""
    import tensorflow as tf
    import tf_keras as keras

    class SpectralConvolution(keras.layers.Layer):
        """A convolution whose kernel is divided by its largest singular value.

        That value is followed by one step of power iteration at each call. Keras's own layer for it is made for
        AutoGraph, which Keras's source does not go through here (pipelines/base/stack.py).
        """

        def __init__(self, filters: int, size: int, stride: int, padding: str) -> None:
            super().__init__()
            self.filters, self.size, self.stride, self.padding = filters, size, stride, padding

        def build(self, shape: tuple[Any, ...]) -> None:
            kernel = (self.size, self.size, shape[-1], self.filters)
            self.kernel = self.add_weight("kernel", kernel, initializer="glorot_uniform")
            self.bias = self.add_weight("bias", (self.filters,), initializer="zeros")
            self.direction = self.add_weight(
                "direction", (self.filters,), initializer="random_normal", trainable=False
            )

        def normalised(self) -> tf.Tensor:
            flat = tf.reshape(self.kernel, [-1, self.filters])
            left = tf.stop_gradient(tf.math.l2_normalize(tf.linalg.matvec(flat, self.direction)))
            right = tf.stop_gradient(tf.math.l2_normalize(tf.linalg.matvec(flat, left, transpose_a=True)))
            self.direction.assign(right)
            return self.kernel / tf.tensordot(left, tf.linalg.matvec(flat, right), 1)

        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return tf.nn.conv2d(inputs, self.normalised(), self.stride, self.padding) + self.bias

    return SpectralConvolution


def scaled(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 -> float32 from -1 to 1."""
    import tensorflow as tf

    return tf.cast(pixels, tf.float32) / 127.5 - 1


def pixels(values: tf.Tensor) -> tf.Tensor:
    """float32 from -1 to 1 -> uint8, rounded."""
    import tensorflow as tf

    return tf.cast(tf.clip_by_value(tf.round((values + 1) * 127.5), 0, 255), tf.uint8)


def training_step(
    networks: Networks, optimizers: tuple[Any, Any], weight: float
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """A tf.function: uint8 shoes and bags [n, ...] -> losses; all four networks and the served ones make one step.

    `optimizers` are the translators' and the critics'; `weight` is the reconstruction's beside the adversarial loss.
    """
    import tensorflow as tf

    makers = networks.to_bag.trainable_variables + networks.to_shoe.trainable_variables
    critics = networks.bag_critic.trainable_variables + networks.shoe_critic.trainable_variables
    for optimizer, variables in zip(optimizers, (makers, critics), strict=True):
        optimizer.build(variables)

    @tf.function
    def step(shoes: tf.Tensor, bags: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            losses = _losses(networks, scaled(shoes), scaled(bags))
            translators = losses["adversarial"] + weight * losses["reconstruction"]
        optimizers[0].apply_gradients(zip(tape.gradient(translators, makers), makers, strict=True))
        optimizers[1].apply_gradients(zip(tape.gradient(losses["critic"], critics), critics, strict=True))
        done = tf.cast(optimizers[0].iterations, tf.float32)
        rate = tf.maximum(1 / LATEST_STEPS, LATEST_SHARE / (LATEST_SHARE + done))
        _follow(networks.served_to_bag, networks.to_bag, rate)
        _follow(networks.served_to_shoe, networks.to_shoe, rate)
        return losses

    return step


def _losses(networks: Networks, shoes: tf.Tensor, bags: tf.Tensor) -> dict[str, tf.Tensor]:
    """Of a batch each; the critics look once, at real and made pictures together, for both losses."""
    import tensorflow as tf

    to_bag, to_shoe = networks.to_bag, networks.to_shoe
    made_bags, made_shoes = to_bag(shoes, training=True), to_shoe(bags, training=True)
    back = (to_shoe(made_bags, training=True), shoes), (to_bag(made_shoes, training=True), bags)
    critic = adversarial = tf.constant(0.0)
    for judge, real, made in (
        (networks.bag_critic, bags, made_bags),
        (networks.shoe_critic, shoes, made_shoes),
    ):
        of_real, of_made = tf.split(judge(tf.concat([real, made], axis=0), training=True), 2)
        critic += tf.reduce_mean(tf.nn.relu(1 - of_real)) + tf.reduce_mean(tf.nn.relu(1 + of_made))
        adversarial -= tf.reduce_mean(of_made)
    reconstruction = tf.add_n([tf.reduce_mean(tf.square(found - given)) for found, given in back])
    return {"critic": critic, "adversarial": adversarial, "reconstruction": reconstruction}


def _follow(mean: keras.Model, trained: keras.Model, rate: tf.Tensor) -> None:
    for kept, now in zip(mean.weights, trained.weights, strict=True):
        kept.assign_add(rate * (now - kept))
