"""TFT's saved models: written with values in place of analyzers, loaded, and applied to column batches.

Tracing, writing and loading are TFT's own functions, those that its Beam implementation calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from components.transform import failing
from components.transform.sources import Source
from components.transform.tracing import Traced

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Model(Protocol):
    """A transform graph, applied to batches that have exactly the columns of its config's schema, with its types."""

    def apply(self, batch: pa.RecordBatch) -> dict[str, Any]:
        """Outputs by name, as tensors."""


class SavedModel:
    """A saved model of TFT's, loaded: a `Model` for batches of `config`'s columns."""

    def __init__(self, path: str, config: Any) -> None:
        from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
        from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

        self._adapter = TensorAdapter(config)
        self._loader = SavedModelLoader(path)
        self._loader.finalize(set(config.tensor_representations), set(self._loader.structured_outputs))

    def apply(self, batch: pa.RecordBatch) -> dict[str, Any]:
        tensors = self._adapter.ToBatchTensors(batch, produce_eager_tensors=True)
        return self._loader.apply_transform_model(tensors)


class TracedModel:
    """The traced graph itself, cut down to the outputs `signature`: a `Model`, ready without being saved and loaded.

    For graphs that hold no table and no variable (see `is_ready`), before any analyzer has a value.
    """

    def __init__(self, traced: Traced, signature: Mapping[str, Any], config: Any) -> None:
        import tensorflow as tf
        from tensorflow.python.eager import wrap_function
        from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

        self._adapter = TensorAdapter(config)
        inputs = {name: traced.inputs[name] for name in config.tensor_representations}
        whole = wrap_function.WrappedFunction(
            traced.graph, variable_holder=wrap_function.VariableHolder(share_variables=True)
        )
        self._pruned = whole.prune(tf.nest.flatten(inputs, expand_composites=True), dict(signature))

    @staticmethod
    def is_ready(traced: Traced) -> bool:
        """Whether the graph needs nothing from outside it, as tables do."""
        return not traced.graph.captures and not traced.graph.variables

    def apply(self, batch: pa.RecordBatch) -> dict[str, Any]:
        import tensorflow as tf

        tensors = self._adapter.ToBatchTensors(batch, produce_eager_tensors=True)
        return self._pruned(*tf.nest.flatten(tensors, expand_composites=True))


def applied(model: Model, source: Source) -> Iterator[tuple[pa.RecordBatch, dict[str, Any]]]:
    """Every batch of the source and its outputs. Raises ProjectError with row and feature where the graph fails."""
    for first, batch in source.batches():
        try:
            outputs = model.apply(batch)
        except Exception as error:
            raise failing.explain(model.apply, batch, first, source.name, error) from error
        yield batch, outputs


def arrays(outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What analyzers take in: all inputs of analyzers are dense tensors."""
    import numpy as np
    import tensorflow as tf

    return {
        name: np.asarray(value) if isinstance(value, tf.Tensor) else value for name, value in outputs.items()
    }


def write_model(
    traced: Traced, output_signature: Mapping[str, Any], bindings: Sequence[Any], folder: str
) -> str:
    """A saved model under `folder` that gives `output_signature`, with the values of `bindings` for analyzers.

    With no analyzer left it gives what preprocessing_fn returns, and holds the metadata of that. Returns its path.
    """
    import tensorflow as tf
    from tensorflow_transform import impl_helper
    from tensorflow_transform.beam import common, impl

    path = common.get_unique_temp_path(folder)
    # Composite tensors are in the signature of the last model only, which gives all that preprocessing_fn returns.
    dense = all(isinstance(tensor, tf.Tensor) for tensor in output_signature.values())
    impl_helper.trace_and_write_v2_saved_model(
        path,
        traced.function,
        traced.specs,
        folder,
        traced.fingerprint,
        impl._get_tensor_replacement_map(None, *bindings),
        {name: tensor.name for name, tensor in output_signature.items()} if dense else {},
        traced.save_options,
    )
    return path
