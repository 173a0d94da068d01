"""A quantised TensorFlow Lite network as TensorFlow operations, so that it can stand inside a served graph.

It reads plain chains of CONV_2D, DEPTHWISE_CONV_2D and AVERAGE_POOL_2D with "same" padding and unsigned bytes, which
MobileNet v1 is. Activations are rounded to the file's steps, as the integers do it, so features agree to a step or two;
sums are floats. Everything else is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import ProjectError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

KNOWN = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D")


def load(file: Path) -> tuple[Any, int, Any]:
    """(features, side, tracked) of a .tflite file, as hub.Extractor has them.

    Raises ProjectError for an operation or type that is not known.
    """
    import tensorflow as tf

    try:
        # Without delegates every operation stays in sight.
        kind = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = tf.lite.Interpreter(str(file), experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ProjectError(f"extractor {file} is no TensorFlow Lite file: {error}") from error
    (given,) = interpreter.get_input_details()
    if given["dtype"].__name__ != "uint8" or len(given["shape"]) != 4:
        raise ProjectError(
            f"extractor {file} takes {given['dtype'].__name__} {given['shape'].tolist()}; expected bytes "
            "[1, side, side, 3]."
        )
    scale, zero = given["quantization"]
    details = {one["index"]: one for one in interpreter.get_tensor_details()}
    holder = tf.Module(name="tflite")
    holder.constants = []
    layers = [_layer(file, interpreter, details, one, holder) for one in interpreter._get_ops_details()]

    def features(images: tf.Tensor) -> tf.Tensor:
        # The bytes themselves are the input's steps.
        body = (tf.clip_by_value(tf.round(images), 0, 255) - zero) * scale
        for layer in layers:
            body = layer(body)
        return tf.reshape(body, [tf.shape(images)[0], -1])

    return features, int(given["shape"][1]), holder


def _layer(file: Path, interpreter: Any, details: dict[int, Any], one: Any, holder: tf.Module) -> Any:
    """A function of the activations for one operation; its weights become variables of `holder`."""
    import tensorflow as tf

    name, (out,) = one["op_name"], one["outputs"]
    if name not in KNOWN:
        raise ProjectError(f"extractor {file} has the operation {name}; expected {', '.join(KNOWN)} only.")
    taken, made = details[one["inputs"][0]], details[out]
    scale, zero = made["quantization"]

    def within(values: tf.Tensor) -> tf.Tensor:
        """What a byte can hold: this is where ReLU6 is."""
        return tf.clip_by_value(tf.round(values / scale), -zero, 255 - zero) * scale

    if name == "AVERAGE_POOL_2D":
        return lambda body: within(tf.reduce_mean(body, axis=(1, 2), keepdims=True))
    kernel, bias = (_floats(interpreter, details[index]) for index in one["inputs"][1:3])
    stride = -(-int(taken["shape"][1]) // int(made["shape"][1]))
    # TensorFlow Lite's are [out, height, width, in], of depthwise ones [1, height, width, channels].
    weights = tf.Variable(kernel.transpose(1, 2, 3, 0), trainable=False)
    offsets = tf.Variable(bias, trainable=False)
    holder.constants += [weights, offsets]
    run = tf.nn.conv2d if name == "CONV_2D" else tf.nn.depthwise_conv2d
    strides = [1, stride, stride, 1]
    return lambda body: within(run(body, weights, strides, "SAME") + offsets)


def _floats(interpreter: Any, detail: Any) -> np.ndarray:
    scale, zero = detail["quantization"]
    return ((interpreter.get_tensor(detail["index"]).astype("float64") - zero) * scale).astype("float32")
