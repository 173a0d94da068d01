"""What a Predict request must fulfil before its model runs: signature, inputs, types, shapes, outputs.

Codes and texts are TensorFlow Serving's. Nothing here runs a model or reads a message.
"""

from __future__ import annotations

from typing import Any

from serving import tensors
from serving.engine import DEFAULT_SIGNATURE, SavedModel, Signature
from serving.errors import FailedPrecondition, InvalidArgument, ServingError
from serving.execution import Arrays
from serving.inference import CLASSIFY, REGRESS

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
    return {**signature.defaults, **inputs}


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
    """Raises InvalidArgument for an input of another type, with TensorFlow's own text, or of another shape.

    Shapes are checked here, all but the first size, because some kernels end the process instead of failing.
    """
    for place, (alias, number) in enumerate(signature.inputs.items()):
        array = inputs[alias]
        if array.dtype != tensors.numpy_type(number):
            got = tensors.type_name(tensors.type_number(array.dtype))
            raise InvalidArgument(
                f"Expects arg[{place}] to be {tensors.type_name(number)} but {got} is provided"
            )
        sizes = signature.shapes[alias]
        if sizes is not None and array.shape[1:] != sizes[1:]:
            _check_shape(signature, alias, array.shape, sizes)
        elif sizes is not None and array.ndim != len(sizes):
            _refuse_shape(signature, alias, array.shape, sizes)
    return inputs


def _check_shape(signature: Signature, alias: str, shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    if len(shape) != len(sizes) or any(
        wanted not in (-1, got) for got, wanted in zip(shape[1:], sizes[1:], strict=True)
    ):
        _refuse_shape(signature, alias, shape, sizes)


def _refuse_shape(signature: Signature, alias: str, shape: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    wanted = ",".join("?" if size < 0 else str(size) for size in sizes)
    raise InvalidArgument(
        f"Cannot feed value of shape [{','.join(map(str, shape))}] for input {alias} "
        f"({signature.definition.inputs[alias].name}), which has shape [{wanted}]"
    )
