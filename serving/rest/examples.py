"""REST bodies of :classify and :regress: JSON objects to serialized tf.Examples, with the original's errors.

It runs nothing and answers nothing; see `serving.rest.app` and `serving.engine.classify_regress`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from serving.errors import InvalidArgument
from serving.rest.reader import members
from serving.rest.texts import as_text, json_type
from serving.rest.values import decoded_base64, encoded, is_base64
from serving.wire import messages, model_spec, protos
from serving.wire.model_spec import Spec

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64", None: "UNKNOWN"}
# From here on a number is nearer to infinity than to the largest float.
TOO_LARGE = 3.4028235677973366e38


def examples_request(document: Mapping[str, Any], spec: Spec, signature: str) -> Any:
    """A messages.ExamplesRequest for the parsed body. Raises InvalidArgument."""
    request = messages.ExamplesRequest()
    try:
        request.model_spec = model_spec.written(spec._replace(signature=signature))
    except (ValueError, UnicodeError):
        raise InvalidArgument(f"Signature name: {as_text(signature)} is no valid UTF-8") from None
    target = request.input.example_list
    if "context" in document:
        target = request.input.example_list_with_context
        target.context = _example(document["context"])
    if "examples" not in document:
        raise InvalidArgument(
            f"JSON Value: {as_text(document)} When method is classify, key 'examples' is expected and was "
            "not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidArgument(
            f"JSON Value: {as_text(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise InvalidArgument(f"JSON Value: {as_text(document)} 'examples' value is an empty array")
    target.examples.extend([_example(example) for example in examples])
    return request


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {json_type(value)}")
    example = protos.example_pb2.Example()
    features = example.features.feature
    for name, content in members(value):
        try:
            feature = features[name]
            feature.Clear()  # of a name that comes twice the last counts here, and each is looked at
        except (ValueError, UnicodeError):
            raise InvalidArgument(f"Feature: {as_text(name)} is no valid UTF-8 name") from None
        for part in content if isinstance(content, list) else [content]:
            _add(part, name, feature)
    data: bytes = example.SerializeToString()
    return data


def _add(value: Any, name: str, feature: Any) -> None:
    if isinstance(value, bool):
        _list(feature, "int64_list", name).append(int(value))
    elif isinstance(value, str):
        _list(feature, "bytes_list", name).append(encoded(value))
    elif is_base64(value):
        _list(feature, "bytes_list", name).append(decoded_base64(value))
    elif isinstance(value, float):
        if abs(value) >= TOO_LARGE:
            value = math.copysign(math.inf, value)
        _list(feature, "float_list", name).append(value)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidArgument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        _list(feature, "int64_list", name).append(value)
    else:
        raise InvalidArgument(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")


def _list(feature: Any, kind: str, name: str) -> Any:
    held = feature.WhichOneof("kind")
    if held not in (None, kind):
        raise InvalidArgument(f"Unexpected element type in feature: {name} expecting type: {_KINDS[held]}")
    return getattr(feature, kind).value
