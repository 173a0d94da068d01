"""Transform in this process: analyse, publish the graph, transform the examples.

`run` works for what `Asked` says; the artifacts are those of TFX's Transform on Beam, and columns beside the records.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tensorflow_transform import nodes

from components import columns, progress
from components.split_writer import SplitsWriter
from components.transform import caching, line_breaks, models
from components.transform.interpreter import Interpreter, unknown
from components.transform.sources import Source
from components.transform.tracing import Traced, trace

if TYPE_CHECKING:
    from tensorflow_transform.beam.analyzer_cache import DatasetKey
    from tfx import types

# As TFX names it; nothing is left of it.
TEMPORARY = ".temp_path"
PREFIX = "transformed_examples"


class NotInProcess(Exception):
    """What is asked for cannot be done here; the text says why, in a few words."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one Transform is asked for. `transformed` are the Examples artifacts to write, one for each of `examples`,
    or none; the two caches are folders, '' for none."""

    preprocessing_fn: Callable[..., Any]
    examples: Sequence[types.Artifact]
    analyzed_splits: Sequence[str]
    transformed_splits: Sequence[str]
    schema: Any
    graph_uri: str
    transformed: Sequence[types.Artifact] = ()
    cache_in: str = ""
    cache_out: str = ""
    save_options: Any = None


def run(asked: Asked) -> list[str]:
    """Writes all outputs; returns what a person should know of them, in sentences.

    Raises NotInProcess before anything is written, ProjectError for what the user can mend.
    """
    from tfx.dsl.io import fileio

    temporary = os.path.join(asked.graph_uri, TEMPORARY)
    fileio.makedirs(temporary)
    try:
        tfxio = _tfxio(asked)
        with line_breaks.noted() as tokens:
            traced = trace(
                asked.preprocessing_fn,
                tfxio.TensorAdapter().OriginalTypeSpecs(),
                temporary,
                asked.save_options,
            )
        analysed = tfxio.Project(list(traced.analyzed))
        lost = line_breaks.Lost(traced, tokens, analysed.TensorAdapterConfig())
        _publish_graph(asked, traced, _analysed(asked, analysed, traced, lost))
        if asked.transformed:
            _write_examples(asked, tfxio, list(traced.transformed))
        return lost.warnings()
    finally:
        with contextlib.suppress(Exception):
            fileio.rmtree(temporary)


def _tfxio(asked: Asked) -> Any:
    """TFX's view of the examples: of it come types and adapters; it reads nothing."""
    from tfx_bsl.tfxio import tf_example_record

    pattern = Source(asked.examples[0].uri, asked.analyzed_splits[0], None).pattern
    return tf_example_record.TFExampleRecord(pattern, schema=asked.schema)


def _analysed(asked: Asked, tfxio: Any, traced: Traced, lost: line_breaks.Lost) -> str:
    """The path of the saved model with the values of all analyzers, once the analyzer cache is written."""
    from tensorflow_transform.beam import analysis_graph_builder

    sources = _datasets(asked, _projected(asked.schema, traced.analyzed))
    cache = caching.read(asked.cache_in, list(sources)) if asked.cache_in else {} if asked.cache_out else None
    model, entries, _ = analysis_graph_builder.build(
        traced.graph, traced.inputs, traced.outputs, list(sources), cache_dict=cache
    )
    leaves = [model, *(node for found in (entries or {}).values() for node in found.values())]
    foreign = unknown(leaves)
    if foreign:
        raise NotInProcess(f"the analyzer {foreign[0].label!r} is a Beam transform of its own")
    interpreter = Interpreter(traced, tfxio.TensorAdapterConfig(), leaves, cache, sources, lost.add)
    traverser = nodes.Traverser(interpreter)
    path = traverser.visit_value_node(model)
    if asked.cache_out:
        found = {
            key: {entry: traverser.visit_value_node(node) for entry, node in nodes_.items()}
            for key, nodes_ in (entries or {}).items()
        }
        _write_cache(asked, list(sources), found, interpreter.sizes)
    return path


def _datasets(asked: Asked, schema: Any) -> dict[DatasetKey, Source]:
    """The analyzed splits by the keys that TFX gives them, in the order of the keys."""
    from tfx.components.transform.executor import _Dataset

    sources = {}
    for split in asked.analyzed_splits:
        for artifact in asked.examples:
            source = Source(artifact.uri, split, schema)
            sources[_Dataset(source.pattern, "", 0, None).dataset_key] = source
    return {key: sources[key] for key in sorted(sources)}


def _write_cache(
    asked: Asked,
    keys: Sequence[DatasetKey],
    found: Mapping[DatasetKey, Mapping[bytes, list[bytes]]],
    sizes: Mapping[DatasetKey, int],
) -> None:
    from tfx.dsl.io import fileio

    fileio.makedirs(asked.cache_out)
    if asked.cache_in:
        caching.carry_over(asked.cache_in, asked.cache_out, keys)
    caching.write(asked.cache_out, found, sizes)


def _publish_graph(asked: Asked, traced: Traced, model: str) -> None:
    """Moves the saved model at `model` to its place in the artifact, metadata of rows before and after beside it."""
    import json

    import tensorflow as tf
    from tensorflow_transform import TFTransformOutput, impl_helper
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

    def place(name: str) -> str:
        return os.path.join(asked.graph_uri, name)

    within = os.path.join(model, impl_helper.METADATA_DIR_NAME)
    after = metadata_io.read_metadata(within)
    tf.io.gfile.rmtree(within)
    before = dataset_metadata.DatasetMetadata(asked.schema)
    metadata_io.write_metadata(before, place(TFTransformOutput.RAW_METADATA_DIR))
    metadata_io.write_metadata(after, place(TFTransformOutput.TRANSFORMED_METADATA_DIR))
    if traced.asset_map:
        named = os.path.join(place(TFTransformOutput.TRANSFORMED_METADATA_DIR), TFTransformOutput.ASSET_MAP)
        with tf.io.gfile.GFile(named, "w") as file:
            file.write(json.dumps(traced.asset_map))
    tf.io.gfile.rename(model, place(TFTransformOutput.TRANSFORM_FN_DIR), overwrite=True)


def _write_examples(asked: Asked, tfxio: Any, names: Sequence[str]) -> None:
    """All splits of all artifacts through the published graph, which reads the columns `names`."""
    from tensorflow_transform import TFTransformOutput
    from tensorflow_transform.tf_metadata import metadata_io

    config, read = tfxio.Project(names).TensorAdapterConfig(), _projected(asked.schema, names)
    model = models.SavedModel(os.path.join(asked.graph_uri, TFTransformOutput.TRANSFORM_FN_DIR), config)
    metadata = os.path.join(asked.graph_uri, TFTransformOutput.TRANSFORMED_METADATA_DIR)
    encode = _encoder(metadata_io.read_metadata(metadata).schema, config)
    counter = progress.Counter("rows transformed", 100_000)
    counts = [columns.rows_of(a.uri, split) for a in asked.examples for split in asked.transformed_splits]
    total = None if None in counts else sum(filter(None, counts))
    for artifact, made in zip(asked.examples, asked.transformed, strict=True):
        with SplitsWriter(made.uri, asked.transformed_splits, prefix=PREFIX) as writer:
            for split in asked.transformed_splits:
                for _, outputs in models.applied(model, Source(artifact.uri, split, read)):
                    for batch, examples in encode(outputs):
                        writer.write(split, batch, examples)
                        counter.add(len(examples), total)


def _encoder(schema: Any, config: Any) -> Callable[[dict[str, Any]], Iterator[tuple[Any, list[bytes]]]]:
    """Makes of a model's outputs what is written: a batch as records decode to, and the records."""
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tensorflow_transform import impl_helper
    from tensorflow_transform.beam import impl
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder, RecordBatchToExamplesEncoder

    converter = impl_helper.make_tensor_to_arrow_converter(schema)
    encoder, decoder = RecordBatchToExamplesEncoder(schema), ExamplesToRecordBatchDecoder()
    # Ragged outputs are nested, or several features of a record, under names of their own.
    flat = all(feature.type != schema_pb2.STRUCT for feature in schema.feature) and not any(
        pa.types.is_nested(field.type.value_type) for field in converter.arrow_schema()
    )

    def encode(outputs: dict[str, Any]) -> Iterator[tuple[Any, list[bytes]]]:
        for batch, _ in impl._convert_to_record_batch(outputs, converter, set(), config):
            examples = encoder.encode(batch)
            yield batch if flat else decoder.DecodeBatch(examples), examples

    return encode


def _projected(schema: Any, names: Sequence[str]) -> Any:
    """The schema of what the tensors `names` are made of."""
    from tfx_bsl.tfxio import tensor_representation_util

    return tensor_representation_util.ProjectTensorRepresentationsInSchema(schema, names)
