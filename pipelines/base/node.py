"""Runs one node of a compiled pipeline in this process, and says in plain data what came of it.

Called in a child of the warm host, or by `viaduct node` where there is none. TFX's portable launcher does the
work; what is added is an attempt's own execution (a retry never writes into the leavings of the one before),
the stop on anomalies, and the summary. It does not schedule: runner.py and Airflow do.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.base import ir as ir_module
from pipelines.base import metadata, stack
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.project import ProjectError, Settings, close_match


def compile_to(project: str, settings: str, home: str, target: str) -> dict[str, Any]:
    """Compiles `project` with `settings` (their JSON) and writes the IR to `target`; returns {}."""
    compiled = ir_module.compile_ir(project, Settings.from_json(settings), Paths.of(project, home))
    aside = f"{target}.{os.getpid()}.tmp"
    Path(aside).write_text(json.dumps(compiled), encoding="utf-8")
    os.replace(aside, target)
    return {}


def prepare_run(project: str, settings: str, home: str, target: str) -> dict[str, Any]:
    """Metadata tables, raw data and the IR of a run that a scheduler starts, in one call; {'settings': ...}.

    The settings returned name the data that was found or made. Their JSON goes in, their values come out.
    """
    from pipelines.base import data, registry

    asked, paths = Settings.from_json(settings), Paths.of(project, home)
    metadata.prepare(metadata_url(Path(home)), [], "")
    raw = data.locate(registry.get(project), paths, asked, print)
    values = {**json.loads(settings), "data": str(raw)}
    compile_to(project, json.dumps(values), home, target)
    return {"settings": values}


def prepare(home: str, dead_runs: list[str]) -> dict[str, Any]:
    """Makes the metadata tables and fails what dead runs left running; returns {'failed': n}."""
    return {"failed": metadata.prepare(metadata_url(Path(home)), dead_runs, "the process that ran it ended")}


def fail_active(home: str, run_id: str, reason: str) -> dict[str, Any]:
    """Marks what a cancelled run left active as failed."""
    return {"failed": metadata.fail_active(metadata.store(metadata_url(Path(home))), run_id, reason)}


def run_node(ir_file: str, node_id: str, run_id: str, home: str) -> dict[str, Any]:
    """Runs `node_id` of the IR within `run_id`; returns its summary (see `summarise`).

    Raises whatever the node raised; ProjectError for data that breaks the reviewed schema.
    """
    logging.getLogger().setLevel(logging.INFO)
    pipeline = _read_pipeline(Path(ir_file), run_id)
    with _alone(Paths.of(pipeline.pipeline_info.id, home).runs / run_id / f"{node_id}.lock"):
        return _run_node(pipeline, node_id, run_id, home)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One attempt of a node at a time: a scheduler that lost sight of an attempt may start the next one beside it.

    The second waits until the first has ended, and then finds its finished execution or takes its place.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_node(pipeline: Any, node_id: str, run_id: str, home: str) -> dict[str, Any]:
    node = next(
        (n.pipeline_node for n in pipeline.nodes if n.pipeline_node.node_info.id == node_id),
        None,
    )
    if node is None:
        known = [n.pipeline_node.node_info.id for n in pipeline.nodes]
        raise ProjectError(f"{pipeline.pipeline_info.id}: " + close_match("Node", node_id, known))
    connection = metadata.connection_config(metadata_url(Path(home)))
    stack.leave_libraries_unconverted()
    with _user_code(pipeline.pipeline_info.id, node_id):
        execution = _launch(pipeline, node, connection)
    if execution is None:
        raise ProjectError(f"{node_id} did not run: an input it needs was not found. See the log above.")
    from pipelines.base.summary import summarise

    summary = summarise(metadata.store(metadata_url(Path(home))), execution, node_id)
    if summary.get("anomalies"):
        first = "; ".join(f"{a['split']}: {a['feature']}: {a['found']}" for a in summary["anomalies"][:5])
        more = len(summary["anomalies"]) - 5
        raise ProjectError(
            f"{pipeline.pipeline_info.id}: the data breaks the schema: {first}"
            + (f"; and {more} more" if more > 0 else "")
            + f". Mend the data, or review {pipeline.pipeline_info.id}/schema.pbtxt if the data is right."
        )
    return summary


def _read_pipeline(file: Path, run_id: str) -> Any:
    # json_format finds the messages inside Any fields only if their modules are imported.
    from google.protobuf import json_format
    from ml_metadata.proto import metadata_store_pb2  # noqa: F401
    from tfx.dsl.compiler import constants
    from tfx.orchestration.portable import runtime_parameter_utils
    from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2  # noqa: F401

    pipeline = pipeline_pb2.Pipeline()
    json_format.ParseDict(ir_module.load(file), pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(
        pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    return pipeline


def _launch(pipeline: Any, node: Any, connection: Any) -> int | None:
    """Launches `node`; returns the id of its execution, or None if its inputs were not there."""
    from tfx.orchestration import metadata as tfx_metadata
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.portable import launcher

    deployment = runner_utils.extract_local_deployment_config(pipeline)

    class Launcher(launcher.Launcher):
        """Gives every attempt an execution of its own; TFX reuses a failed one and its output folders."""

        def _register_or_reuse_execution(
            self,
            metadata_handle: Any,
            contexts: Any,
            input_artifacts: Any = None,
            exec_properties: Any = None,
        ) -> Any:
            done = _settle_earlier_attempts(metadata_handle.store, contexts)
            if done is not None:
                return done
            return launcher._register_execution(
                metadata_handle,
                self._pipeline_node.node_info.type,
                contexts,
                input_artifacts,
                exec_properties,
            )

    info = Launcher(
        pipeline_node=node,
        mlmd_connection=tfx_metadata.Metadata(connection),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node.node_info.id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node.node_info.id),
    ).launch()
    return info.execution_id if info is not None and info.execution_id else None


def _settle_earlier_attempts(store: Any, contexts: Any) -> Any:
    """The finished execution of this node in this run, if there is one; unfinished ones are marked failed."""
    from ml_metadata.proto import metadata_store_pb2

    states = metadata_store_pb2.Execution
    of_node = None
    for context in contexts:
        ids = {execution.id: execution for execution in store.get_executions_by_context(context.id)}
        of_node = ids if of_node is None else {i: e for i, e in of_node.items() if i in ids}
    stale = []
    for execution in (of_node or {}).values():
        if execution.last_known_state in (states.COMPLETE, states.CACHED):
            return execution
        if execution.last_known_state in (states.NEW, states.RUNNING):
            execution.last_known_state = states.FAILED
            execution.custom_properties["viaduct_failure"].string_value = "a later attempt took its place"
            stale.append(execution)
    if stale:
        store.put_executions(stale)
    return None


@contextlib.contextmanager
def _user_code(project: str, node_id: str) -> Iterator[None]:
    """Names project and node on whatever user code raises, keeping the original as the cause."""
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:
        raise NodeError(f"{project}: {node_id} failed: {ir_module.describe(error)}") from error


class NodeError(ProjectError):
    """A node's code failed; the text names project, node, cause and line."""
