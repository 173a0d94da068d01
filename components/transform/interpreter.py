"""Visits TFT's analysis graph in place of Beam: one pass over the batches for each saved model that is applied.

Analyzers that rest on one saved model and one input are fed by the same pass, whenever the first of them is asked
for. Values between operations are lists of elements, as Beam's collections are; batches are never kept.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tensorflow_transform import analyzer_nodes, nodes
from tensorflow_transform.beam import beam_nodes

from components.transform import accumulating, caching, merging, models, vocabularies
from components.transform.sources import Source
from components.transform.tracing import Traced, operations

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_transform.beam.analyzer_cache import DatasetKey

ACCUMULATORS: dict[type, Callable[..., Any]] = {
    analyzer_nodes.PackedCombineAccumulate: accumulating.Packed,
    analyzer_nodes.CacheableCombineAccumulate: accumulating.Combined,
    analyzer_nodes.CacheableCombinePerKeyAccumulate: accumulating.CombinedPerKey,
    analyzer_nodes.VocabularyAccumulate: accumulating.vocabulary,
}
FUNCTIONS: dict[type, Callable[..., tuple[Any, ...]]] = {
    analyzer_nodes.CacheableCombineMerge: merging.merge,
    analyzer_nodes.PackedCombineMerge: merging.merge_packed,
    analyzer_nodes.CacheableCombinePerKeyMerge: merging.merge_per_key,
    analyzer_nodes.ExtractCombineMergeOutputs: merging.extract,
    analyzer_nodes.ExtractPackedCombineMergeOutputs: merging.extract,
    analyzer_nodes.CacheableCombinePerKeyFormatKeys: merging.format_keys,
    analyzer_nodes.CacheableCombinePerKeyFormatLarge: merging.format_large,
    analyzer_nodes.ScaleAndFlattenPerKeyBucketBouandaries: merging.scale_boundaries,
    analyzer_nodes.FlattenLists: merging.flatten_lists,
    analyzer_nodes.AddKey: merging.add_key,
    analyzer_nodes.EncodeCache: merging.encode,
    analyzer_nodes.InstrumentDatasetCache: merging.nothing,
    analyzer_nodes.VocabularyMerge: vocabularies.merge,
    analyzer_nodes.VocabularyCount: vocabularies.count,
    analyzer_nodes.VocabularyPrune: vocabularies.prune,
    beam_nodes.Flatten: merging.flatten,
    beam_nodes.ExtractFromDict: merging.extract_from_dict,
    beam_nodes.CreateTensorBinding: merging.bind,
}
OWN = (
    analyzer_nodes.VocabularyOrderAndWrite,
    analyzer_nodes.ExtractVocabularyReservedTokens,
    analyzer_nodes.DecodeCache,
    beam_nodes.CreateSavedModel,
    beam_nodes.ExtractInputForSavedModel,
    beam_nodes.ApplySavedModel,
)


# TFT's label of the operation that makes the model of all values.
LAST_MODEL = "CreateSavedModel"


@dataclasses.dataclass(frozen=True)
class Applied:
    """Batches of data sets through a model (see `Interpreter._create_model`); `keys`: the outputs taken, None: all."""

    label: str
    model: Any
    datasets: tuple[DatasetKey, ...]
    keys: tuple[str, ...] | None = None


def unknown(leaves: Sequence[Any]) -> list[Any]:
    """The operations that the interpreter has nothing for: analyzers of somebody else's, or on something else than
    batches through a model."""
    known = (*ACCUMULATORS, *FUNCTIONS, *OWN)
    return [
        node.operation_def
        for node in operations(leaves)
        if type(node.operation_def) not in known
        or (type(node.operation_def) in ACCUMULATORS and _source(node) is None)
    ]


class Interpreter(nodes.Visitor):
    """For `nodes.Traverser`: values of operations are lists of elements, paths of models, data sets, or `Applied`.

    `sources` are the data sets, each read when a pass needs it; `sizes` are their bytes in memory, once they were.
    `look` is given every batch of the analyzed columns once.
    """

    def __init__(
        self,
        traced: Traced,
        config: Any,
        leaves: Sequence[Any],
        cache: Mapping[DatasetKey, Any] | None,
        sources: Mapping[DatasetKey, Source],
        look: Callable[[pa.RecordBatch], None],
    ) -> None:
        self._traced, self._config, self._cache, self._sources = traced, config, cache, sources
        self._look = look
        self._model: tuple[Any, models.Model] | None = None
        self._results: dict[str, list[Any]] = {}
        self._fed = _fed(leaves)
        self.sizes: dict[DatasetKey, int] = {}

    def visit(self, operation_def: Any, input_values: tuple[Any, ...]) -> tuple[Any, ...]:
        """TFT's hook: the outputs of one operation, of those of its inputs."""
        if input_values and isinstance(input_values[0], Applied):
            return (self._of_batches(operation_def, input_values),)
        function = FUNCTIONS.get(type(operation_def)) or self._own(operation_def)
        return function(operation_def, *input_values)

    def validate_value(self, value: Any) -> None:
        """TFT's hook."""
        if not isinstance(value, (list, str, tuple, Mapping, Applied)):
            raise TypeError(f"an operation gave {value!r}")

    def _own(self, operation: Any) -> Callable[..., tuple[Any, ...]]:
        kinds: dict[type, Callable[..., tuple[Any, ...]]] = {
            analyzer_nodes.VocabularyOrderAndWrite: self._write_vocabulary,
            analyzer_nodes.ExtractVocabularyReservedTokens: self._reserved,
            analyzer_nodes.DecodeCache: self._decode,
            beam_nodes.CreateSavedModel: self._create_model,
            beam_nodes.ExtractInputForSavedModel: self._input,
            beam_nodes.ApplySavedModel: self._apply_model,
        }
        return kinds[type(operation)]

    def _of_batches(self, operation: Any, inputs: tuple[Applied, ...]) -> Any:
        if type(operation) in ACCUMULATORS:
            if operation.label not in self._results:
                self._pass(inputs[0])
            return self._results.pop(operation.label)
        return dataclasses.replace(inputs[0], keys=operation.keys)

    def _pass(self, applied: Applied) -> None:
        """Feeds all analyzers that rest on `applied` with every batch of its data sets."""
        accumulators = {
            operation.label: ACCUMULATORS[type(operation)](operation, keys)
            for operation, keys in self._fed[applied.label]
        }
        model = self._loaded(applied.model)
        for key in applied.datasets:
            size = 0
            for batch, outputs in models.applied(model, self._sources[key]):
                size += batch.nbytes
                if key not in self.sizes:
                    self._look(batch)
                arrays = models.arrays(outputs)
                for accumulator in accumulators.values():
                    accumulator.add(arrays)
            self.sizes[key] = size
        self._results.update({label: accumulator.result() for label, accumulator in accumulators.items()})

    def _loaded(self, made: Any) -> models.Model:
        """The model of a path or of a signature; the last one is kept, for data sets come one after another."""
        if self._model is None or self._model[0] is not made:
            if isinstance(made, str):
                model: models.Model = models.SavedModel(made, self._config)
            else:
                model = models.TracedModel(self._traced, made, self._config)
            self._model = made, model
        return self._model[1]

    def _create_model(self, operation: Any, *bindings: list[Any]) -> tuple[Any]:
        """The path of a saved model, or the signature alone where the traced graph will do."""
        signature = operation.output_signature
        if operation.label != LAST_MODEL and not bindings and models.TracedModel.is_ready(self._traced):
            return (signature,)
        values = [binding for (binding,) in bindings]
        return (models.write_model(self._traced, signature, values, self._traced.folder),)

    def _input(self, operation: Any) -> tuple[tuple[DatasetKey, ...]]:
        key = operation.dataset_key
        return (tuple(self._sources) if key.is_flattened_dataset_key() else (key,),)

    def _apply_model(self, operation: Any, model: Any, datasets: tuple[DatasetKey, ...]) -> tuple[Applied]:
        return (Applied(operation.label, model, datasets),)

    def _write_vocabulary(self, operation: Any, *inputs: list[Any]) -> tuple[list[Any]]:
        return vocabularies.order_and_write(operation, self._traced.folder, *inputs)

    def _reserved(self, operation: Any) -> tuple[list[Any]]:
        from tensorflow_transform import tf_utils

        return ([[tf_utils.fetch_vocabulary_reserved_tokens(self._traced.graph, operation.name)]],)

    def _decode(self, operation: Any) -> tuple[list[Any]]:
        assert self._cache is not None
        pattern = self._cache[operation.dataset_key].get(operation.cache_key)
        return ([operation.coder.decode_cache(element) for element in caching.elements(pattern)],)


def _fed(leaves: Sequence[Any]) -> dict[str, list[tuple[Any, Any]]]:
    """By the label of what is applied: the accumulating operations on it, and the outputs that each takes."""
    fed: dict[str, list[tuple[Any, Any]]] = collections.defaultdict(list)
    for node in operations(leaves):
        if type(node.operation_def) in ACCUMULATORS and (source := _source(node)):
            fed[source[0]].append((node.operation_def, source[1]))
    return fed


def _source(node: Any) -> tuple[str, Any] | None:
    """The label of the model that an accumulating operation rests on, and the outputs that it takes of it."""
    parent, keys = node.inputs[0].parent_operation, None
    if isinstance(parent.operation_def, beam_nodes.ExtractFromDict):
        parent, keys = parent.inputs[0].parent_operation, parent.operation_def.keys
    applied = isinstance(parent.operation_def, beam_nodes.ApplySavedModel)
    return (parent.operation_def.label, keys) if applied else None
