"""The work of TFX's Evaluator in this process: rows read once, every metric with its interval, an honest gate.

Artifacts are those of TFX's Evaluator. Where a Beam runner is named, or something is asked that the straight way is not
proven to do as TFMA does, TFX's own executor works, and the log says why; what it measured is judged by the same gate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from absl import logging
from apache_beam.metrics import MetricsFilter
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import executor as tfx_executor
from tfx.components.util import udf_utils
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils, path_utils, proto_utils

from components import engine, finite
from components.confidence import judging
from components.confidence.blessing import bless
from components.confidence.judging import Terms
from components.evaluator import extracting, kept, predicting, straight, writing
from components.evaluator.measuring import uncertainty
from components.evaluator.measuring.rows import NotProven
from pipelines.base.project import Bar

MODULE_KEY = standard_component_specs.MODULE_PATH_KEY
SHARED_MODEL_KEY, EXTRACTORS_KEY = "custom_eval_shared_model", "custom_extractors"
# A flag of the executor: the gate's terms, as JSON.
GATE_FLAG = "--gate="

Artifacts = dict[str, list[types.Artifact]]


def gate_flag(bars: Sequence[Mapping[str, Any]], slice_rows: int) -> str:
    """The flag for a node's executor; `bars` are dataclasses.asdict of Bars."""
    return GATE_FLAG + json.dumps(
        {"bars": [dict(bar) for bar in bars], "slice_rows": slice_rows}, sort_keys=True
    )


def terms_of(flags: Sequence[str] | None) -> Terms:
    """What the flag says; without one TFMA's own validation decides."""
    told = next((flag for flag in flags or () if flag.startswith(GATE_FLAG)), None)
    if told is None:
        return Terms()
    given = json.loads(told.removeprefix(GATE_FLAG))
    return Terms(tuple(Bar(**bar) for bar in given["bars"]), given["slice_rows"])


class Executor(tfx_executor.Executor):
    """In process where nothing stands against it, else TFX's executor, which counts on the way what it cannot measure.

    A user module with `custom_extractors` of its own keeps them, and looks after its predictions itself.
    """

    def Do(
        self,
        input_dict: Artifacts,
        output_dict: Artifacts,
        exec_properties: dict[str, Any],
    ) -> None:
        """As TFX's; raises ProjectError with the number of rows if predictions of the candidate are not finite."""
        terms = terms_of(self._extra_flags)
        named = list(self._beam_pipeline_args)
        chosen = engine.choose(named, _obstacle(input_dict, exec_properties))
        if not chosen.is_beam:
            try:
                self._in_process(input_dict, output_dict, exec_properties, terms)
            except NotProven as reason:
                chosen = engine.choose(named, f"in process is not proven equal: {reason}")
        if chosen.is_beam:
            self._on_beam(input_dict, output_dict, exec_properties, terms)
        chosen.note("Evaluator", output_dict[standard_component_specs.EVALUATION_KEY])

    def _in_process(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any], terms: Terms
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        config = _config(input_dict, exec_properties)
        models = _models(input_dict, config)
        folder = Path(artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY]))
        rows, measured = straight.evaluate(
            _files(input_dict, exec_properties),
            models,
            config,
            _schema(input_dict),
            _loader(exec_properties, config),
        )
        found, plan = uncertainty.uncertainty(rows, measured)
        several = len(config.model_specs) > 1
        writing.write(
            folder, config, measured.slices, models if several else {"": next(iter(models.values()))}
        )
        blessed = judging.judge(folder, terms, config, measured.slices, found, plan.words, measured.problems)
        _bless(input_dict, output_dict, config, blessed)

    def _on_beam(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any], terms: Terms
    ) -> None:
        evaluation = artifact_utils.get_single_instance(output_dict[standard_component_specs.EVALUATION_KEY])
        with kept.folder(evaluation.uri) as rows_folder:
            token = kept.ROWS_FOLDER.set(rows_folder)
            try:
                super().Do(input_dict, output_dict, _counting(exec_properties))
            finally:
                kept.ROWS_FOLDER.reset(token)
            wanted = MetricsFilter().with_namespace(extracting.NAMESPACE)
            counters = self._pipeline.result.metrics().query(wanted)["counters"]
            counted = {counter.key.metric.name: counter.result for counter in counters}
            finite.refuse(counted.get(extracting.BAD, 0), counted.get(extracting.ROWS, 0))
            if exec_properties.get(standard_component_specs.EVAL_CONFIG_KEY) and "://" not in evaluation.uri:
                config = _config(input_dict, exec_properties)
                blessed = kept.judge(Path(evaluation.uri), rows_folder, terms, config)
                _bless(input_dict, output_dict, config, blessed)

    def _make_beam_pipeline(self) -> Any:
        self._pipeline = super()._make_beam_pipeline()
        return self._pipeline


def _obstacle(input_dict: Artifacts, exec_properties: Mapping[str, Any]) -> str:
    """What stands against working in process, as far as properties and artifacts tell; '' for nothing."""
    if not exec_properties.get(standard_component_specs.EVAL_CONFIG_KEY):
        return "there is no eval_config"
    if standard_component_specs.MODEL_KEY not in input_dict:
        return "there is no model"
    if udf_utils.try_get_fn(exec_properties, EXTRACTORS_KEY):
        return "the user module has extractors of its own"
    if udf_utils.decode_user_module_key(exec_properties.get(MODULE_KEY))[1]:
        return "the user module is a package to be installed"
    evaluation_is_remote = any(
        "://" in artifact.uri for artifact in input_dict[standard_component_specs.MODEL_KEY]
    )
    if evaluation_is_remote:
        return "the artifacts are not on this machine"
    return engine.unreadable(input_dict[standard_component_specs.EXAMPLES_KEY])


def _config(input_dict: Artifacts, exec_properties: Mapping[str, Any]) -> config_pb2.EvalConfig:
    """The node's EvalConfig with TFMA's defaults, as TFX's executor fills them in."""
    config = tfma.EvalConfig()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], config)
    last = bool(input_dict.get(standard_component_specs.BASELINE_MODEL_KEY))
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=last, rubber_stamp=True)
    tfma.utils.verify_eval_config(config)
    return config


def _models(input_dict: Artifacts, config: config_pb2.EvalConfig) -> dict[str, str]:
    """Folders of SavedModels by the names in `config`."""
    models = {}
    for spec in config.model_specs:
        key = (
            standard_component_specs.BASELINE_MODEL_KEY
            if spec.is_baseline
            else standard_component_specs.MODEL_KEY
        )
        artifact = artifact_utils.get_single_instance(input_dict[key])
        models[spec.name] = path_utils.serving_model_path(
            artifact.uri, path_utils.is_old_model_artifact(artifact)
        )
    return models


def _schema(input_dict: Artifacts) -> schema_pb2.Schema | None:
    if standard_component_specs.SCHEMA_KEY not in input_dict:
        return None
    uri = artifact_utils.get_single_uri(input_dict[standard_component_specs.SCHEMA_KEY])
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(uri))


def _files(input_dict: Artifacts, exec_properties: Mapping[str, Any]) -> list[str]:
    splits = json_utils.loads(exec_properties.get(standard_component_specs.EXAMPLE_SPLITS_KEY, "null")) or [
        "eval"
    ]
    uris = [
        uri
        for split in splits
        for uri in artifact_utils.get_split_uris(input_dict[standard_component_specs.EXAMPLES_KEY], split)
    ]
    return [file for uri in uris for file in sorted(fileio.glob(io_utils.all_files_pattern(uri)))]


def _loader(exec_properties: Mapping[str, Any], config: config_pb2.EvalConfig) -> straight.Load:
    """Ours, or the one of the user module's `custom_eval_shared_model`."""
    shared = udf_utils.try_get_fn(exec_properties, SHARED_MODEL_KEY)
    if shared is None:
        return predicting.load

    def load(path: str, spec: config_pb2.ModelSpec) -> Any:
        model = shared(
            eval_saved_model_path=path, model_name=spec.name, eval_config=config, add_metrics_callbacks=None
        )
        if model.model_type != tfma.constants.TF_GENERIC:
            raise NotProven(f"a model of type {model.model_type}")
        return model.model_loader.load()

    return load


def _bless(
    input_dict: Artifacts, output_dict: Artifacts, config: config_pb2.EvalConfig, blessed: bool
) -> None:
    if not tfma.metrics.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config):
        logging.info("No threshold is configured: nothing is blessed.")
        return
    bless(
        artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY]),
        blessed,
        artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY]),
        next(iter(input_dict.get(standard_component_specs.BASELINE_MODEL_KEY) or []), None),
    )


def _counting(exec_properties: dict[str, Any]) -> dict[str, Any]:
    """The properties with our extractors, by the import paths that TFX reads where there is no user module."""
    if udf_utils.try_get_fn(exec_properties, EXTRACTORS_KEY):
        return exec_properties
    changed = {**exec_properties, EXTRACTORS_KEY: f"{extracting.__name__}.{EXTRACTORS_KEY}"}
    module = changed.pop(MODULE_KEY, None)
    if module and udf_utils.try_get_fn(exec_properties, SHARED_MODEL_KEY):
        changed[SHARED_MODEL_KEY] = f"{module}.{SHARED_MODEL_KEY}"
    return changed
