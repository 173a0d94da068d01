"""The work of TFX's ExampleValidator, done by TFX's own executor, and three things that no schema tells.

A split without rows is an anomaly of the data set. A column without any value has no type, so that an inferred schema
takes it for text; where preprocessing_fn reads such a column the node fails and names it, for Transform would fail with
TensorFlow's words. Other empty columns do no harm. A label that cannot be learnt fails the node too (see label.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx import types
from tfx.components.example_validator import executor as tfx_executor
from tfx.components.example_validator import labels
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.components.util import value_utils
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, writer_utils

from components.example_validator.label import Label, trouble
from components.user_code import import_function
from pipelines.base.errors import ProjectError

# A flag of the executor: the function whose inputs must have values, where the schema is inferred.
PREPROCESSING_FLAG = "--preprocessing_fn="
# Another: the card's label, as label.Label writes it.
LABEL_FLAG = "--label="
SPLIT_PREFIX = "Split-"


class Executor(tfx_executor.Executor):
    """TFX's executor with these checks. What fails is not cached, so an edit of preprocessing_fn mends it."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """As TFX's; raises ProjectError for a label, or for columns that the function of the flag reads, without a
        value."""
        statistics = read_statistics(input_dict[standard_component_specs.STATISTICS_KEY])
        self._rows = {split: int(one.num_examples) for split, one in statistics.items()}
        label = self._flag(LABEL_FLAG)
        wrong = trouble(Label.from_json(label), statistics) if label else ""
        if wrong and 0 not in self._rows.values():
            raise ProjectError(f"{wrong}.")
        function, columns = self._flag(PREPROCESSING_FLAG), empty_columns(statistics.values())
        if function and columns:
            schema = artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
            read = columns_read(function, io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema)))
            refuse_empty([c for c in columns if read is None or c in read], sum(self._rows.values()))
        return super().Do(input_dict, output_dict, exec_properties)

    def _flag(self, name: str) -> str:
        return next((f.removeprefix(name) for f in self._extra_flags or () if f.startswith(name)), "")

    def _Validate(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> anomalies_pb2.Anomalies:
        """TFX's hook for one split. Without rows all that TFDV can say is that everything is missing."""
        anomalies = super()._Validate(inputs, outputs)
        folder = value_utils.GetSoleValue(outputs, labels.SCHEMA_DIFF_PATH)
        split = os.path.basename(folder).removeprefix(SPLIT_PREFIX)
        if not self._rows[split]:
            anomalies.anomaly_info.clear()
            anomalies.dataset_anomaly_info.description = no_rows(split, self._rows)
            writer_utils.write_anomalies(os.path.join(folder, tfx_executor.DEFAULT_FILE_NAME), anomalies)
        return anomalies


def read_statistics(
    statistics: list[types.Artifact],
) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    """The statistics of every split of the one artifact."""
    artifact = artifact_utils.get_single_instance(statistics)
    return {
        split: stats_artifact_utils.load_statistics(artifact, split).proto().datasets[0]
        for split in artifact_utils.decode_split_names(artifact.split_names)
    }


def empty_columns(splits: Iterable[statistics_pb2.DatasetFeatureStatistics]) -> list[str]:
    """Features that have no value in any row of any split, sorted."""
    values: dict[str, int] = {}
    for split in splits:
        for feature in split.features:
            name = ".".join(feature.path.step) or feature.name
            numbers = getattr(feature, feature.WhichOneof("stats") or "string_stats").common_stats
            values[name] = values.get(name, 0) + int(numbers.tot_num_values)
    return sorted(name for name, count in values.items() if not count)


def columns_read(function: str, schema: schema_pb2.Schema) -> set[str] | None:
    """The columns that the preprocessing_fn of that import path makes features of; None if it cannot be traced."""
    import tensorflow_transform as tft
    from tensorflow_transform import impl_helper
    from tensorflow_transform.tf_metadata import schema_utils

    specs = impl_helper.get_type_specs_from_feature_specs(
        schema_utils.schema_as_feature_spec(schema).feature_spec
    )
    preprocessing_fn = import_function(function)
    try:
        return set(tft.get_transform_input_columns(preprocessing_fn, specs))
    except Exception:
        # It fails on what these columns are taken for, so it reads some of them.
        return None


def refuse_empty(columns: Sequence[str], rows: int) -> None:
    """Raises ProjectError if there are `columns`: they have no value in `rows` rows, and are read."""
    if columns:
        names = ", ".join(map(repr, columns))
        one = len(columns) == 1
        raise ProjectError(
            f"the column{'' if one else 's'} {names} {'is' if one else 'are'} empty: none of {rows:,} rows has a "
            f"value, and preprocessing_fn makes a feature of {'it' if one else 'them'}. Mend the data, or leave "
            f"{'it' if one else 'them'} out of features.py."
        )


def no_rows(split: str, rows: Mapping[str, int]) -> str:
    """`split eval has no rows (22 in train)`, with the numbers of all other splits."""
    others = ", ".join(f"{count:,} in {name}" for name, count in rows.items() if name != split)
    return f"split {split} has no rows ({others})"
