"""What a Predict request must fulfil before its model runs: signature, inputs, types, shapes, outputs.

Codes and texts are TensorFlow Serving's. Nothing here runs a model or reads a message.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serving.engine.classify_regress import CLASSIFY, REGRESS
from serving.engine.saved_model import DEFAULT_SIGNATURE, Arrays, SavedModel, Signature
from serving.errors import FailedPrecondition, InvalidArgument, ServingError
from serving.wire import tensors

PREDICT = "tensorflow/serving/predict"


def _joined(names: Any) -> str:
    return ",".join(sorted(names))


def predict_signature(model: SavedModel, name: str, check_method: bool = False) -> Signature:
    """The signature a Predict means. Raises FailedPrecondition."""
    signature = model.signatures.get(name or DEFAULT_SIGNATURE)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{name or DEFAULT_SIGNATURE}" not found.')
    method = signature.definition.method_name
    if check_method and method not in (PREDICT, CLASSIFY, REGRESS):
        raise ServingError(
            "Expected prediction signature method_name to be one of "
            f"{{{PREDICT}, {CLASSIFY}, {REGRESS}}}. Was: {method}",
            "INTERNAL",
        )
    return signature


def check_inputs(signature: Signature, inputs: Arrays) -> Arrays:
    """`inputs` with defaults filled in; exactly the signature's names. Raises InvalidArgument."""
    known = signature.inputs
    if inputs.keys() == known.keys():
        return inputs
    extra = inputs.keys() - known.keys()
    missing = known.keys() - inputs.keys() - signature.defaults.keys()
    if len(inputs) > len(known) or (len(inputs) < len(known) and not signature.defaults):
        raise InvalidArgument(
            f"input size does not match signature: {len(inputs)}!={len(known)} "
            f"len({{{_joined(inputs)}}}) != len({{{_joined(known)}}}). "
            f"Sent extra: {{{_joined(extra)}}}. Missing but required: {{{_joined(missing)}}}."
        )
    if extra:
        raise InvalidArgument(
            f"input tensor alias not found in signature: {sorted(extra)[0]}. "
            f"Inputs expected to be in the set {{{_joined(known)}}}."
        )
    if missing:
        alias = sorted(missing)[0]
        feed = signature.definition.inputs[alias].name
        raise InvalidArgument(
            f"Signature input alias: {alias}(feed name: {feed}) not found in request and no default value "
            f"provided. Inputs expected to be in the request {{{_joined(inputs)}}}, or default input alias "
            f"set: {_joined(signature.defaults)}"
        )
    return {**_for_rows(signature, inputs), **inputs}


def _for_rows(signature: Signature, inputs: Arrays) -> Arrays:
    """The defaults; one with a single row where the signature leaves their number open stands for each row sent."""
    rows = {array.shape[0] for array in inputs.values() if array.ndim}
    count = rows.pop() if len(rows) == 1 else 1
    return {
        alias: np.repeat(value, count, axis=0) if _stands_for_rows(signature, alias) else value
        for alias, value in signature.defaults.items()
    }


def _stands_for_rows(signature: Signature, alias: str) -> bool:
    sizes, value = signature.shapes.get(alias), signature.defaults[alias]
    return bool(sizes) and sizes[0] < 0 and value.shape[:1] == (1,)  # type: ignore[index]


def missing_values(signature: Signature) -> dict[str, Any]:
    """Inputs of one value a row that a row may lack -> the JSON value that stands for a missing one."""
    missing: dict[str, Any] = {}
    for alias, value in signature.defaults.items():
        if value.shape == (1,) and _stands_for_rows(signature, alias):
            (single,) = value.tolist()
            missing[alias] = single.decode("utf-8", "replace") if isinstance(single, bytes) else single
    return missing


def check_filter(signature: Signature, wanted: tuple[str, ...]) -> None:
    """Raises InvalidArgument for an unknown or repeated output."""
    seen = set()
    for alias in wanted:
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{_joined(signature.outputs)}}}."
            )
        if alias in seen:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)


def checked_inputs(signature: Signature, inputs: Arrays) -> Arrays:
    """Raises InvalidArgument for an input of another type, with TensorFlow's own text.

    The shapes are the graph's affair, unless the signature is a strict one (`Signature.strict`).
    """
    for place, (alias, number) in enumerate(signature.inputs.items()):
        array = inputs[alias]
        if array.dtype != tensors.numpy_type(number):
            got = tensors.type_name(tensors.type_number(array.dtype))
            raise InvalidArgument(
                f"Expects arg[{place}] to be {tensors.type_name(number)} but {got} is provided"
            )
        if signature.strict:
            _check_shape(signature, alias, array.shape)
    return inputs


def _check_shape(signature: Signature, alias: str, shape: tuple[int, ...]) -> None:
    sizes = signature.shapes[alias]
    if sizes is None:
        return
    if len(shape) != len(sizes) or any(
        wanted not in (-1, got) for got, wanted in zip(shape, sizes, strict=True)
    ):
        wanted = ",".join("?" if size < 0 else str(size) for size in sizes)
        raise InvalidArgument(
            f"Cannot feed value of shape [{','.join(map(str, shape))}] for input {alias} "
            f"({signature.definition.inputs[alias].name}), which has shape [{wanted}]"
        )
