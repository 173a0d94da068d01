"""LeNet whose weights are distributions: flipout layers of TensorFlow Probability, trained on the ELBO.

Every kernel has a mean and a deviation per weight (mean-field normal); biases are numbers. One step of training draws
one set of weights, decorrelated between the rows of a batch by flipout (Wen, Vicol, Ba, Tran, Grosse 2018). The loss,
per picture, is the negative ELBO: cross entropy plus the divergence from the prior, weighted (Blundell et al. 2015).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipelines.traffic_signs.features import CLASSES, SIDE

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras as keras

KERNEL = 5


def build_model(parameters: dict[str, Any], divergence_weight: tf.Variable) -> keras.Model:
    """Equalised grey values [n, 32, 32] -> logits [n, 43] of one draw of the weights, not compiled.

    `model.losses` is the posterior's divergence from the prior in nats, times `divergence_weight`. `parameters`:
    "channels" of the first convolution (the second has twice as many; LeNet's are 6 and 16), "dense" units of the
    first dense layer (LeNet's are 120, then 84), "prior" and "deviation" of a weight in multiples of
    1 / sqrt(its layer's inputs).
    """
    import tensorflow_probability as tfp
    import tf_keras as keras

    layers, channels, dense = keras.layers, parameters["channels"], parameters["dense"]
    given = keras.Input((SIDE, SIDE), name="equalised")
    body, planes = layers.Reshape((SIDE, SIDE, 1))(given), 1
    for width in (channels, 2 * channels):
        kernel = _kernel(KERNEL * KERNEL * planes, parameters)
        body = tfp.layers.Convolution2DFlipout(width, KERNEL, activation="relu", **kernel)(body)
        body, planes = layers.MaxPooling2D()(body), width
    body = layers.Flatten()(body)
    for units in (dense, dense * 7 // 10):
        body = tfp.layers.DenseFlipout(units, activation="relu", **_kernel(body.shape[-1], parameters))(body)
    logits = tfp.layers.DenseFlipout(CLASSES, **_kernel(body.shape[-1], parameters))(body)
    model = keras.Model(given, logits, name="bayesian_lenet")
    # As a function: a layer's own divergence is a tensor of the graph in which the layer was first called.
    model.add_loss(lambda: divergence_weight * divergence(model))
    return model


def _kernel(inputs: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Prior and first posterior of a kernel whose outputs sum `inputs` products, as options of a layer."""
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tf_keras as keras

    unit = 1 / math.sqrt(inputs)
    # The layers hold deviations as what softplus maps to them.
    before_softplus = math.log(math.expm1(parameters["deviation"] * unit))

    def prior(dtype: tf.DType, shape: Any, *_: Any) -> Any:
        normal = tfp.distributions.Normal(tf.zeros(shape, dtype), parameters["prior"] * unit)
        return tfp.distributions.Independent(normal, reinterpreted_batch_ndims=len(shape))

    return {
        "kernel_prior_fn": prior,
        "kernel_posterior_fn": tfp.layers.default_mean_field_normal_fn(
            loc_initializer=keras.initializers.HeNormal(),
            untransformed_scale_initializer=keras.initializers.RandomNormal(before_softplus, 0.1),
        ),
        "kernel_divergence_fn": None,
    }


def divergence(model: keras.Model) -> tf.Tensor:
    """KL(posterior || prior) of all kernels together, in nats."""
    import tensorflow_probability as tfp

    return sum(
        tfp.distributions.kl_divergence(layer.kernel_posterior, layer.kernel_prior)
        for layer in bayesian_layers(model)
    )


def bayesian_layers(model: keras.Model) -> list[Any]:
    """The layers with a kernel posterior, in the order of the flow."""
    return [layer for layer in model.layers if hasattr(layer, "kernel_posterior")]
