"""The work of TFX's SchemaGen, done by TFX's own executor; then columns with holes get a bound for their holes.

TFDV asks of a column that lacks values only that it has one at all, so that 95 % missing would pass where 2 % were
usual. An inferred schema is a suggestion for a person to review; here it suggests that too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx import types
from tfx.components.schema_gen import executor as tfx_executor
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils

# A share of missing values may double, and grow by this much, before it is an anomaly.
_TIMES, _MORE = 2.0, 0.05
# With fewer expected values in a split, chance alone may leave none.
_FEW = 10


class Executor(tfx_executor.Executor):
    """TFX's executor with `bound_missing` over the same splits."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """As TFX's."""
        super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(input_dict[standard_component_specs.STATISTICS_KEY])
        excluded = json_utils.loads(
            exec_properties.get(standard_component_specs.EXCLUDE_SPLITS_KEY) or "null"
        )
        splits = [
            stats_artifact_utils.load_statistics(artifact, split).proto().datasets[0]
            for split in artifact_utils.decode_split_names(artifact.split_names)
            if split not in (excluded or [])
        ]
        folder = artifact_utils.get_single_uri(output_dict[standard_component_specs.SCHEMA_KEY])
        path = os.path.join(folder, tfx_executor.DEFAULT_FILE_NAME)
        schema = io_utils.SchemaReader().read(path)
        bound_missing(schema, splits)
        io_utils.write_pbtxt_file(path, schema)


def suggested(statistics: Iterable[bytes]) -> schema_pb2.Schema | None:
    """What is inferred of the FeatureStats.pb files of several splits, without shapes; None of no split."""
    import tensorflow_data_validation as tfdv

    schema, splits = None, []
    for content in statistics:
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(content)
        splits += list(found.datasets)
        if schema is None:
            schema = tfdv.infer_schema(found, infer_feature_shape=False)
        else:
            schema = tfdv.update_schema(schema, found, infer_feature_shape=False)
    if schema is not None:
        bound_missing(schema, splits)
    return schema


def bound_missing(
    schema: schema_pb2.Schema, splits: Iterable[statistics_pb2.DatasetFeatureStatistics]
) -> None:
    """Sets `presence` of the features that lack values in some row, by the split that lacks most of them.

    Twice as large a share and five points more may be missing. A column that is so rare that a split may well have
    none of it need not be there at all.
    """
    shares: dict[str, float] = {}
    fewest: dict[str, int] = {}
    splits = [split for split in splits if split.num_examples]
    for feature in schema.feature:
        present = [_present(split, feature.name) for split in splits]
        rows = [int(split.num_examples) for split in splits]
        if present:
            shares[feature.name] = max(1 - p / n for p, n in zip(present, rows, strict=True))
            fewest[feature.name] = min(present)
    for feature in schema.feature:
        missing = shares.get(feature.name, 0.0)
        if not missing:
            continue
        allowed = _TIMES * missing + _MORE
        if fewest[feature.name] < _FEW:
            feature.ClearField("presence")
        elif allowed < 1:
            feature.presence.min_fraction = round(1 - allowed, 4)


def _present(split: statistics_pb2.DatasetFeatureStatistics, name: str) -> int:
    for feature in split.features:
        if (".".join(feature.path.step) or feature.name) == name:
            numbers = getattr(feature, feature.WhichOneof("stats") or "string_stats").common_stats
            return int(numbers.num_non_missing)
    return 0
