"""What a SavedModel parses out of tf.Examples: names, kinds and shapes of features, read from its graph.

A signature from serialized examples says only "a string"; which columns it needs stands in its ParseExampleV2 ops.
Only graphs whose keys are constants beside the op are understood, as `tf.io.parse_example` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.wire import protos

FLOAT, INT64, BYTES = "float", "int64", "bytes"
_OP = "ParseExampleV2"


@dataclass(frozen=True)
class Feature:
    """One feature. `shape` of a row's values (None: any number of them); `required`: a row without it is refused."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    required: bool


def features_of(
    outputs: Iterable[str], nodes: Any, functions: Mapping[str, Any]
) -> tuple[Feature, ...] | None:
    """The features that the `outputs` (tensor names) are computed from; None where the graph does not tell."""
    found: dict[str, Feature] = {}
    for graph in _graphs(outputs, nodes, functions):
        constants = {node.name: node.attr["value"].tensor for node in graph if node.op == "Const"}
        for node in graph:
            if node.op == _OP:
                told = _of_node(node, constants)
                if told is None:
                    return None
                found.update({feature.name: feature for feature in told})
    return tuple(found[name] for name in sorted(found)) or None


def _graphs(outputs: Iterable[str], nodes: Any, functions: Mapping[str, Any]) -> list[list[Any]]:
    """The nodes that the outputs need, and those of every function they call, directly or not."""
    by_name = {node.name: node for node in nodes}
    waiting, needed = [_node(name) for name in outputs], {}
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed[name] = by_name[name]
            waiting += [_node(given) for given in by_name[name].input]
    graphs: list[list[Any]] = [list(needed.values())]
    seen: set[str] = set()
    for graph in graphs:
        for node in graph:
            for called in _calls(node) - seen:
                seen.add(called)
                if called in functions:
                    graphs.append(list(functions[called].node_def))
    return graphs


def _node(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]


def _calls(node: Any) -> set[str]:
    values = node.attr.values()
    return {value.func.name for value in values if value.HasField("func")} | {
        function.name for value in values for function in value.list.func
    }


def _of_node(node: Any, constants: Mapping[str, Any]) -> list[Feature] | None:
    """The op's inputs: serialized, names, sparse keys, dense keys, ragged keys, the defaults of the dense ones."""
    keys = [constants[_node(name)] for name in node.input[2:5] if _node(name) in constants]
    if len(keys) < 3:
        return None
    sparse, dense, ragged = ([name.decode() for name in key.string_val] for key in keys)
    attributes = node.attr
    defaults = [constants.get(_node(name)) for name in node.input[5:]]
    features = []
    for index, name in enumerate(dense):
        shape = tuple(dim.size for dim in attributes["dense_shapes"].list.shape[index].dim)
        default = defaults[index] if index < len(defaults) else None
        # The op takes an empty tensor for "no default".
        empty = default is not None and 0 in [dim.size for dim in default.tensor_shape.dim]
        kind = _kind(attributes["Tdense"].list.type[index])
        features.append(Feature(name, kind, None if -1 in shape else shape, empty and -1 not in shape))
    for index, name in enumerate(sparse):
        features.append(Feature(name, _kind(attributes["sparse_types"].list.type[index]), None, False))
    for index, name in enumerate(ragged):
        features.append(Feature(name, _kind(attributes["ragged_value_types"].list.type[index]), None, False))
    return features


def _kind(number: int) -> str:
    types = protos.types_pb2
    return {types.DT_FLOAT: FLOAT, types.DT_INT64: INT64, types.DT_STRING: BYTES}[number]
