"""Runs one node of a compiled pipeline in this process, and says in plain data what came of it.

Called in a child of the fork server, or by `viaduct node` where there is none. TFX's portable launcher does the
work; what is added is an attempt's own execution (a retry never writes into the leavings of the one before), its
end in ML Metadata whatever ends it, the stop on anomalies, and the summary. A node is done when ML Metadata says
that its execution is COMPLETE or CACHED, and not before. It does not schedule: runner.py and Airflow do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.base import artifact_root, executions, metadata, stack
from pipelines.base import ir as ir_module
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.housekeeping import turns
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.summary import summarise


def run_node(ir_file: str, node_id: str, run_id: str, home: str) -> dict[str, Any]:
    """Runs `node_id` of the IR within `run_id`; returns its summary (see `summarise`) with its `cost`.

    The cost is {'cpu_s', 'peak_mb'} of this process and of those that it waited for; pages that it shares with the warm
    process count. A node from the cache costs what finding it costs.

    Raises whatever the node raised; ProjectError for data that breaks the reviewed schema.
    """
    logging.getLogger().setLevel(logging.INFO)
    before = _cpu_seconds()
    pipeline = _read_pipeline(Path(ir_file), run_id, home)
    paths = Paths.of(pipeline.pipeline_info.id, home)
    node = _node(pipeline, node_id)
    with executions.attempt(paths, run_id, node_id):
        execution_id = _execution(pipeline, node, paths, run_id)
        summary = summarise(metadata.store(metadata_url(paths.home)), execution_id, node_id)
    _stop_on_anomalies(summary, paths.project)
    return {**summary, "cost": _cost(before)}


def _cost(before: float) -> dict[str, float]:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak_kb = max(one.ru_maxrss for one in used)
    return {"cpu_s": round(_cpu_seconds() - before, 3), "peak_mb": round(peak_kb / 1024, 1)}


def _cpu_seconds() -> float:
    """Of this process and the children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _node(pipeline: Any, node_id: str) -> Any:
    by_id = {n.pipeline_node.node_info.id: n.pipeline_node for n in pipeline.nodes}
    if node_id not in by_id:
        raise ProjectError(f"{pipeline.pipeline_info.id}: " + close_match("Node", node_id, by_id))
    return by_id[node_id]


def _execution(pipeline: Any, node: Any, paths: Paths, run_id: str) -> int:
    """The id of the node's finished execution in the run: an earlier attempt's, or a new one's.

    Raises whatever the node raised, and ProjectError if the launcher gave up without raising. No execution of the
    node is left active, unless this process is killed: then who called it settles that.
    """
    node_id, url = node.node_info.id, metadata_url(paths.home)
    store = metadata.store(url)
    earlier = executions.of_run(store, paths.project, run_id, node_id)
    done = executions.finished(earlier)
    if done is not None and executions.are_outputs_there(store, done):
        return done.id
    executions.fail(store, earlier, "a later attempt took its place")
    stack.leave_libraries_unconverted()
    try:
        with _user_code(paths.project, node_id, url):
            launched = _launch(pipeline, node, metadata.connection_config(url), paths)
        if not (launched and executions.finished(store.get_executions_by_id([launched]))):
            raise ProjectError(_why_not_run(store, paths, node, run_id))
        return launched
    except BaseException as error:
        reason = ir_module.describe(error)
        with contextlib.suppress(Exception):
            executions.fail(store, executions.of_run(store, paths.project, run_id, node_id), reason)
        raise


def _why_not_run(store: Any, paths: Paths, node: Any, run_id: str) -> str:
    """What to tell of a node whose launcher found no input it can use: the nodes that have to run before it."""
    node_id = node.node_info.id
    missing = [
        up
        for up in node.upstream_nodes
        if executions.finished(executions.of_run(store, paths.project, run_id, up)) is None
    ]
    told = f"{paths.project}: {node_id} did not run in {run_id!r}"
    if not missing:
        return f"{told}: an input it needs was not found. See the log above."
    commands = "; ".join(f"viaduct node {paths.project} {up} --run-id {run_id}" for up in missing)
    return f"{told}: what it reads is made by {', '.join(missing)}, unfinished in this run. Run first: {commands}"


def _stop_on_anomalies(summary: dict[str, Any], project: str) -> None:
    if summary.get("anomalies"):
        first = "; ".join(f"{a['split']}: {a['feature']}: {a['found']}" for a in summary["anomalies"][:5])
        more = len(summary["anomalies"]) - 5
        raise ProjectError(
            f"{project}: the data breaks the schema: {first}"
            + (f"; and {more} more" if more > 0 else "")
            + f". Mend the data, or review {project}/schema.pbtxt if the data is right."
        )


def _read_pipeline(file: Path, run_id: str, home: str) -> Any:
    # json_format finds the messages inside Any fields only if their modules are imported.
    from google.protobuf import json_format
    from ml_metadata.proto import metadata_store_pb2  # noqa: F401
    from tfx.dsl.compiler import constants
    from tfx.orchestration.portable import runtime_parameter_utils
    from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2  # noqa: F401

    pipeline = pipeline_pb2.Pipeline()
    json_format.ParseDict(ir_module.load(file), pipeline)
    paths = Paths.of(pipeline.pipeline_info.id, home)
    root = artifact_root.of(paths, metadata.store(metadata_url(paths.home)))
    values = {
        constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id,
        constants.PIPELINE_ROOT_PARAMETER_NAME: str(root),
    }
    runtime_parameter_utils.substitute_runtime_parameter(pipeline, values)
    return pipeline


def _launch(pipeline: Any, node: Any, connection: Any, paths: Paths) -> int | None:
    """Launches `node`; returns the id of its execution, whatever came of it, or None if none was registered."""
    from tfx.orchestration import metadata as tfx_metadata
    from tfx.orchestration.local import runner_utils
    from tfx.orchestration.portable import launcher

    deployment = runner_utils.extract_local_deployment_config(pipeline)

    class Launcher(launcher.Launcher):
        """Gives every attempt an execution of its own; TFX reuses a failed one and its output folders.

        What it finds for inputs or in the cache stays where it is until ML Metadata says that it is used.
        """

        def _prepare_execution(self) -> Any:
            with turns.looking(paths):
                return super()._prepare_execution()

        def _register_or_reuse_execution(
            self,
            metadata_handle: Any,
            contexts: Any,
            input_artifacts: Any = None,
            exec_properties: Any = None,
        ) -> Any:
            return launcher._register_execution(
                metadata_handle,
                self._pipeline_node.node_info.type,
                contexts,
                input_artifacts,
                exec_properties,
            )

    made = Launcher(
        pipeline_node=node,
        mlmd_connection=tfx_metadata.Metadata(connection),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node.node_info.id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node.node_info.id),
    )
    # A node of TFX's own (the Resolver) has no executor: all that it does is to look.
    with turns.looking(paths) if made._system_node_handler else contextlib.nullcontext():
        info = made.launch()
    return info.execution_id if info is not None and info.execution_id else None


@contextlib.contextmanager
def _user_code(project: str, node_id: str, url: str) -> Iterator[None]:
    """Names project and node on whatever user code raises, keeping the original as the cause.

    A node that leaves by sys.exit has failed, whatever the code. A metadata store that went away is said to have.
    """
    try:
        yield
    except ProjectError:
        raise
    except SystemExit as error:
        raise NodeError(f"{project}: {node_id} failed: its code called sys.exit({error.code!r})") from error
    except Exception as error:
        cause = metadata.explain(url, error) if metadata.is_trouble(error) else ir_module.describe(error)
        raise NodeError(f"{project}: {node_id} failed: {cause}") from error


class NodeError(ProjectError):
    """A node's code failed; the text names project, node, cause and line."""
