"""Calls one node's executor again, on what it was given in a finished run, by our executor or by TFX's own.

For benchmarks and tests that compare two ways to do the same work. It registers nothing in ML Metadata.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass
class NodeCall:
    """An executor and its three arguments; outputs lie in folders named by their keys."""

    executor: Any
    inputs: dict[str, list[Any]]
    outputs: dict[str, list[Any]]
    properties: dict[str, Any]

    def run(self) -> None:
        self.executor.Do(self.inputs, self.outputs, self.properties)


def of_run(
    home: Path,
    project: str,
    name: str,
    target: Path,
    *,
    stock: bool = False,
    beam_args: Sequence[str] | None = None,
) -> NodeCall:
    """The call of node `name` in the project's latest run under `home`, with outputs below `target` (emptied).

    `stock`: by the executor of TFX's component. `beam_args`: other ones than the run's.
    """
    from tfx import v1 as tfx
    from tfx.orchestration.local import runner_utils
    from tfx.types import artifact_utils
    from tfx.utils import import_utils

    from pipelines.base import executions, metadata, run_record
    from pipelines.base.node import _node, _read_pipeline
    from pipelines.base.paths import Paths, metadata_url

    paths = Paths.of(project, str(home))
    record = next(run_record.read_all(paths))
    pipeline = _read_pipeline(paths.runs / record.run_id / "ir.json", record.run_id, str(home))
    node = _node(pipeline, name)
    store = metadata.store(metadata_url(paths.home))
    done = executions.finished(executions.of_run(store, project, record.run_id, name))
    assert done is not None, f"{name} has not finished in {record.run_id}"
    outputs = {}
    for key, output in node.outputs.outputs.items():
        artifact = artifact_utils.get_artifact_type_class(output.artifact_spec.type)()
        artifact.uri = str(target / key)
        shutil.rmtree(artifact.uri, ignore_errors=True)
        Path(artifact.uri).mkdir(parents=True)
        outputs[key] = [artifact]
    spec = runner_utils.extract_executor_spec(runner_utils.extract_local_deployment_config(pipeline), name)
    if stock:
        kind, flags = getattr(tfx.components, name).EXECUTOR_SPEC.executor_class, []
    else:
        kind = import_utils.import_class_by_path(spec.python_executor_spec.class_path)
        flags = list(spec.python_executor_spec.extra_flags)
    context = kind.Context(
        beam_pipeline_args=list(spec.beam_pipeline_args if beam_args is None else beam_args),
        extra_flags=flags,
        tmp_dir=str(target / ".temp"),
        unique_id="1",
    )
    return NodeCall(kind(context), _inputs(store, done.id), outputs, _properties(node, done))


def _inputs(store: Any, execution: int) -> dict[str, list[Any]]:
    from ml_metadata.proto import metadata_store_pb2 as pb
    from tfx.types import artifact_utils

    inputs: dict[str, list[Any]] = {}
    for event in store.get_events_by_execution_ids([execution]):
        if event.type == pb.Event.INPUT:
            (artifact,) = store.get_artifacts_by_id([event.artifact_id])
            (kind,) = store.get_artifact_types_by_id([artifact.type_id])
            made = artifact_utils.deserialize_artifact(kind, artifact)
            inputs.setdefault(event.path.steps[0].key, []).append(made)
    return inputs


def _properties(node: Any, execution: Any) -> dict[str, Any]:
    """What the node was compiled with, and in place of it the texts that its driver resolved."""
    from tfx.orchestration import data_types_utils
    from tfx.orchestration.portable import inputs_utils

    compiled = data_types_utils.build_parsed_value_dict(
        inputs_utils.resolve_parameters_with_schema(node.parameters)
    )
    told = {
        name: getattr(value, value.WhichOneof("value")) for name, value in execution.custom_properties.items()
    }
    resolved = {
        name: v for name, v in told.items() if name not in compiled or isinstance(compiled[name], str)
    }
    return {**compiled, **resolved}
