"""preprocessing_fn traced once: its graph, which columns its analyzers and its outputs read, TFT's operations.

TFX traces it seven times for the same answers. It runs nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.base.errors import ProjectError


@dataclasses.dataclass(frozen=True)
class Traced:
    """A traced preprocessing_fn. `folder` is for files that tracing it leaves; they must stay while it is used."""

    function: Callable[..., Any]
    specs: Mapping[str, Any]
    graph: Any
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    asset_map: Mapping[str, str]
    analyzed: Sequence[str]
    transformed: Sequence[str]
    save_options: Any
    folder: str


def trace(function: Callable[..., Any], specs: Mapping[str, Any], folder: str, save_options: Any) -> Traced:
    """Traces `function` for inputs of `specs` (name -> tf.TypeSpec).

    Raises ProjectError if it returns no features, or has trainable variables; what it raises itself goes through.
    """
    import tensorflow as tf
    from tensorflow_transform import annotators, graph_tools, impl_helper

    graph, inputs, outputs = impl_helper.trace_preprocessing_function(
        function, specs, use_tf_compat_v1=False, base_temp_dir=folder
    )
    if not isinstance(outputs, dict) or not outputs:
        raise ProjectError(
            f"preprocessing_fn returned {outputs!r}; expected a dictionary of at least one feature, name -> tensor."
        )
    if graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES):
        raise ProjectError("preprocessing_fn makes trainable variables. Train them in the model instead.")
    asset_map = dict(annotators.get_asset_annotations(graph))
    annotators.clear_asset_annotations(graph)
    return Traced(
        function,
        specs,
        graph,
        inputs,
        outputs,
        graph_tools.get_analyzers_fingerprint(graph, inputs),
        asset_map,
        _analyzed(graph, inputs, outputs),
        list(graph_tools.get_dependent_inputs(graph, inputs, outputs)),
        save_options,
        folder,
    )


def _analyzed(graph: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[str]:
    """The columns that analyzers read, as `tft.get_analyze_input_columns` finds them."""
    import tensorflow as tf
    from tensorflow_transform import analyzer_nodes, graph_tools, nodes, tf2_utils

    visitor = graph_tools.SourcedTensorsVisitor()
    for sink in graph.get_collection(analyzer_nodes.TENSOR_REPLACEMENTS):
        nodes.Traverser(visitor).visit_value_node(sink.future)
    # What stands in control dependencies has to be fed as well.
    _, control = tf2_utils.strip_and_get_tensors_and_control_dependencies(
        tf.nest.flatten(outputs, expand_composites=True)
    )
    read = list(itertools.chain(visitor.sourced_tensors, control))
    return list(graph_tools.get_dependent_inputs(graph, inputs, read))


def operations(leaves: Sequence[Any]) -> list[Any]:
    """The OperationNodes that TFT's value nodes `leaves` rest on, each once, inputs before what uses them."""
    found: dict[int, Any] = {}

    def visit(node: Any) -> None:
        operation = node.parent_operation
        if id(operation) not in found:
            for value in operation.inputs:
                visit(value)
            found[id(operation)] = operation

    for leaf in leaves:
        visit(leaf)
    return list(found.values())
