"""Which signatures lead to kernels that need care: those that end the process, and those that run as long as they like.

As in the original, a graph decides for itself what it accepts; only a signature that leads to a kernel which ends the
process, instead of failing, on a tensor of another rank is held to the shapes that it declares. The list comes from
running three hundred ops, those that models are made of, and exported models of this project's pipelines on shapes of
rank 0 to 8 in a child process: all others failed in an orderly way, and
`tests/serving/engine/test_kernels.py` does it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

ENDING = frozenset(
    {
        "DrawBoundingBoxes", "DrawBoundingBoxesV2", "FakeQuantWithMinMaxVarsPerChannel", "LSTMBlockCell",
        "RaggedGather", "ScatterNd",
        # TensorFlow Decision Forests: found with an exported forest.
        "SimpleMLInferenceOp", "SimpleMLInferenceOpWithHandle", "SimpleMLInferenceLeafIndexOpWithHandle",
    }
)  # fmt: skip
# With oneDNN, which the server switches off unless TF_ENABLE_ONEDNN_OPTS says otherwise, these as well.
ENDING_WITH_ONEDNN = frozenset({"Conv2D", "Conv3D", "DepthwiseConv2dNative"})
# How long a call takes is then a matter of what it is asked, not of the model.
LOOPING = frozenset({"While", "StatelessWhile", "_While", "NextIteration", "For"})


def ending() -> frozenset[str]:
    """The kernels that end this process."""
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() not in ("0", "false")
    return ENDING | ENDING_WITH_ONEDNN if onednn else ENDING


def signatures_with(meta_graph: Any, ops: frozenset[str]) -> set[str]:
    """Names of the signatures whose outputs depend on one of the ops, also inside of functions."""
    graph = meta_graph.graph_def
    functions = _functions_with(graph.library.function, ops)
    nodes = {node.name: node for node in graph.node}
    found = {name for name, node in nodes.items() if node.op in ops or _calls(node) & functions}
    if not found:
        return set()
    return {
        name
        for name, definition in meta_graph.signature_def.items()
        if found & _needed(nodes, [info.name for info in definition.outputs.values()])
    }


def _calls(node: Any) -> set[str]:
    """The functions that a node names: it is one, or has them as attributes."""
    names = {node.op}
    for value in node.attr.values():
        if value.HasField("func"):
            names.add(value.func.name)
        names.update(func.name for func in value.list.func)
    return names


def _functions_with(functions: Iterable[Any], ops: frozenset[str]) -> set[str]:
    calls: dict[str, set[str]] = {}
    having: set[str] = set()
    for function in functions:
        name = function.signature.name
        calls[name] = set()
        for node in function.node_def:
            calls[name] |= _calls(node)
        if calls[name] & ops:
            having.add(name)
    while more := {name for name, called in calls.items() if name not in having and called & having}:
        having |= more
    return having


def _needed(nodes: dict[str, Any], outputs: list[str]) -> set[str]:
    """The nodes that the outputs depend on."""
    found: set[str] = set()
    waiting = [name.partition(":")[0] for name in outputs]
    while waiting:
        name = waiting.pop()
        if name in found or name not in nodes:
            continue
        found.add(name)
        waiting += [given.lstrip("^").partition(":")[0] for given in nodes[name].input]
    return found
