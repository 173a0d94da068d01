"""Classify and Regress: tf.Examples in, labels and scores or values out, with TensorFlow Serving's checks.

Examples stay serialized, since the graph parses them itself. Nothing here runs a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.engine.saved_model import Signature
from serving.errors import FailedPrecondition, InvalidArgument
from serving.wire.arrays import Array

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
INPUTS, OUTPUTS, CLASSES, SCORES = "inputs", "outputs", "classes", "scores"


def examples_of(given: Any) -> Array:
    """The serialized examples of a `messages.Input`, the context joined to each. Raises InvalidArgument."""
    context = b""
    if given.HasField("example_list_with_context"):
        held = given.example_list_with_context
        context = held.context
    else:
        held = given.example_list
    examples = np.empty(len(held.examples), object)
    # Joined serialized messages parse as their merge: that is what TensorFlow Serving sends to the graph.
    examples[:] = [context + e for e in held.examples] if context else held.examples
    if examples.size == 0:
        raise InvalidArgument("Input is empty.")
    return examples


def _check_input(signature: Signature, kind: str) -> None:
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if INPUTS not in signature.inputs:
        raise FailedPrecondition(f"No {kind} inputs found in SignatureDef: {signature.definition}")


def classification_outputs(signature: Signature) -> tuple[str, ...]:
    """The outputs to fetch for Classify. Raises ServingError where the signature is no classifier's."""
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    _check_input(signature, "classification")
    wanted = tuple(name for name in (CLASSES, SCORES) if name in signature.outputs)
    if not wanted:
        raise FailedPrecondition(
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". '
            f"Signature was: {signature.definition}"
        )
    return wanted


def regression_output(signature: Signature) -> tuple[str, ...]:
    """The output to fetch for Regress. Raises ServingError where the signature is no regressor's."""
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    _check_input(signature, "regression")
    if OUTPUTS not in signature.outputs:
        raise FailedPrecondition(f"No regression outputs found in SignatureDef: {signature.definition}")
    return (OUTPUTS,)


def task_outputs(signature: Signature, method: str) -> tuple[str, ...]:
    """The outputs to fetch for CLASSIFY or REGRESS. Raises ServingError."""
    return classification_outputs(signature) if method == CLASSIFY else regression_output(signature)


def fill_result(method: str, result: Any, outputs: dict[str, Array], count: int) -> None:
    """Fills a ClassificationResult or a RegressionResult. Raises InvalidArgument."""
    if method == CLASSIFY:
        classification_result(result, outputs, count)
    else:
        regression_result(result, outputs, count)


def _shape(array: Array) -> str:
    return "[" + ",".join(str(s) for s in array.shape) + "]"


def _matrix(name: str, array: Array, kind: str, type_name: str, count: int) -> Array:
    if array.ndim != 2:
        raise InvalidArgument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    if array.dtype.kind != kind or (kind == "f" and array.dtype != np.float32):
        raise InvalidArgument(f"Expected {name} Tensor of {type_name}. Got: {array.dtype}")
    if array.shape[0] != count:
        raise InvalidArgument(f"Expected {name} output batch size of {count}. Got: {array.shape[0]}")
    return array


def classification_result(result: Any, outputs: dict[str, Array], count: int) -> None:
    """Fills a ClassificationResult. Raises InvalidArgument where the model's outputs have another shape."""
    classes = scores = None
    if CLASSES in outputs:
        classes = _matrix(CLASSES, outputs[CLASSES], "O", "DT_STRING", count)
    if SCORES in outputs:
        scores = _matrix(SCORES, outputs[SCORES], "f", "DT_FLOAT", count)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise InvalidArgument(
            "Tensors class and score should match in dim_size(1). "
            f"Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    given = classes if classes is not None else scores
    width = 0 if given is None else given.shape[1]
    labels = classes.tolist() if classes is not None else None
    values = scores.tolist() if scores is not None else None
    for row in range(count):
        classification = result.classifications.add()
        for column in range(width):
            entry = classification.classes.add()
            if labels is not None:
                # A proto3 string must be UTF-8; models may hold any bytes.
                entry.label = labels[row][column].decode("utf-8", "replace")
            if values is not None:
                entry.score = values[row][column]


def regression_result(result: Any, outputs: dict[str, Array], count: int) -> None:
    """Fills a RegressionResult. Raises InvalidArgument where the model's output has another shape."""
    values = outputs[OUTPUTS]
    if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise InvalidArgument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {_shape(values)}"
        )
    if values.shape[0] != count:
        raise InvalidArgument(
            f"Input batch size did not match output batch size: {count} vs. {values.shape[0]}"
        )
    if values.dtype != np.float32:
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype}")
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
