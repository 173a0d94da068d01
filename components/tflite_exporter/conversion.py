"""SavedModel signature -> TensorFlow Lite bytes, and running such bytes on batches. Knows no TFX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

Inputs = Mapping[str, np.ndarray]
BATCH = 250


def to_float(saved_model: Path, signature: str) -> bytes:
    """The signature in float32, weights unchanged."""
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[signature]).convert()


def to_int8(saved_model: Path, signature: str, calibration: Inputs, input_type: str) -> bytes:
    """The signature in 8-bit integers throughout; ranges of activations are those of `calibration`'s rows.

    `input_type` is "int8", "uint8" or "float32"; outputs stay float32. Raises what the converter raises for an
    operation that has no integer form.
    """
    import tensorflow as tf

    def rows() -> Iterator[dict[str, np.ndarray]]:
        for index in range(len(next(iter(calibration.values())))):
            yield {name: values[index : index + 1].astype(np.float32) for name, values in calibration.items()}

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[signature])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.dtypes.as_dtype(input_type)
    return converter.convert()


def run(model: bytes, inputs: Inputs, output: str, signature: str) -> np.ndarray:
    """`output` of a TensorFlow Lite model for `inputs` [n, ...], as float32 [n, ...].

    Integer inputs and outputs are scaled as the model says.
    """
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=model)
    runner = interpreter.get_signature_runner(signature)
    takes, gives = runner.get_input_details(), runner.get_output_details()[output]
    results = []
    for start in range(0, len(next(iter(inputs.values()))), BATCH):
        batch = {name: values[start : start + BATCH] for name, values in inputs.items()}
        given = {name: quantised(values, takes[name]) for name, values in batch.items()}
        results.append(dequantised(runner(**given)[output], gives))
    return np.concatenate(results)


def quantised(values: np.ndarray, details: Mapping[str, object]) -> np.ndarray:
    """Floats as the tensor's own type: q = round(value / scale) + zero point."""
    kind = np.dtype(details["dtype"])  # type: ignore[call-overload]
    scale, zero = details["quantization"]  # type: ignore[misc]
    if kind.kind == "f" or not scale:  # type: ignore[has-type]
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(kind)  # type: ignore[has-type]


def dequantised(values: np.ndarray, details: Mapping[str, object]) -> np.ndarray:
    """The inverse: (q - zero point) * scale."""
    scale, zero = details["quantization"]  # type: ignore[misc]
    if values.dtype.kind == "f" or not scale:  # type: ignore[has-type]
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero) * scale  # type: ignore[has-type]


def run_original(saved_model: Path, signature: str, inputs: Inputs, output: str) -> np.ndarray:
    """`output` of the SavedModel's signature for the same rows."""
    import tensorflow as tf

    function = tf.saved_model.load(str(saved_model)).signatures[signature]
    count = len(next(iter(inputs.values())))
    results = [
        function(**{name: tf.constant(values[start : start + BATCH]) for name, values in inputs.items()})[
            output
        ]
        for start in range(0, count, BATCH)
    ]
    return np.concatenate([result.numpy() for result in results])
