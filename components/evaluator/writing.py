"""An evaluation as TFMA's own files: metrics, plots, attributions, validations and eval_config.json.

tfma.load_eval_result and load_validation_result read them as they read what TFMA's Beam path writes. Each file
appears whole; the configuration comes last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tensorflow_model_analysis import version
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as tfma_evaluator
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer as tfma_writer

from components.confidence.tfma_files import (
    ATTRIBUTIONS_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    PLOTS_FILE,
    VALIDATIONS_FILE,
    SliceKey,
    write_records,
)
from pipelines.base import whole

# The words TFMA writes where nobody names the data.
NO_LOCATION, NO_FORMAT = "<user provided PCollection>", "<unknown>"


def write(
    folder: Path,
    config: config_pb2.EvalConfig,
    slices: Mapping[SliceKey, Mapping[metric_types.MetricKey, Any]],
    model_locations: Mapping[str, str],
) -> validation_result_pb2.ValidationResult:
    """Writes all files of `slices` to `folder`; returns what TFMA's validator says of them."""
    folder.mkdir(parents=True, exist_ok=True)
    converters = (
        (
            METRICS_FILE,
            metric_types.MetricKey,
            lambda one: tfma_writer.convert_slice_metrics_to_proto(one, []),
        ),
        (PLOTS_FILE, metric_types.PlotKey, lambda one: tfma_writer.convert_slice_plots_to_proto(one, [])),
        (ATTRIBUTIONS_FILE, metric_types.AttributionsKey, tfma_writer.convert_slice_attributions_to_proto),
    )
    for name, kind, convert in converters:
        of_kind = (tfma_evaluator._filter_by_key_type(one, kind) for one in slices.items())
        write_records(folder / name, map(convert, of_kind))
    validation = validate(slices, config)
    write_records(folder / VALIDATIONS_FILE, [validation])
    run = config_pb2.EvalRun(
        eval_config=config,
        version=version.VERSION,
        data_location=NO_LOCATION,
        file_format=NO_FORMAT,
        model_locations=dict(model_locations),
    )
    whole.write(folder / CONFIG_FILE, json_format.MessageToJson(run))
    return validation


def validate(
    slices: Mapping[SliceKey, Mapping[metric_types.MetricKey, Any]], config: config_pb2.EvalConfig
) -> validation_result_pb2.ValidationResult:
    """TFMA's validation of every slice, combined as its writer combines them."""
    combine = tfma_writer.CombineValidations(config, rubber_stamp=False)
    total = combine.create_accumulator()
    for key, metrics in slices.items():
        of_kind = tfma_evaluator._filter_by_key_type((key, dict(metrics)), metric_types.MetricKey)
        total = combine.add_input(total, metrics_validator.validate_metrics(of_kind, config))
    return combine.extract_output(total)
