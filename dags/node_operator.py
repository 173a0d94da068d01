"""The operator: one Airflow task that runs one node of a project's pipeline.

It waits for the run's data and turn where that is asked (only nodes without upstream do), prepares the run's folder
once, hands the node to the warm host and streams its log. The XCom is the node's summary. It imports no TFX: the
node does, in another process.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.exceptions import AirflowException, AirflowSkipException
from airflow.models.baseoperator import BaseOperator
from airflow.triggers.temporal import TimeDeltaTrigger

from dags import node_call, spans
from dags.node_call import NodeCall
from dags.run_folder import RunFolder, run_id_for
from dags.span_trigger import SpanTrigger, arrived
from pipelines.base import registry
from pipelines.base.paths import Paths
from pipelines.base.project import Project, ProjectError, Settings

TURN_POLL = datetime.timedelta(seconds=5)
LATE_LIMIT = datetime.timedelta(days=7)


class NodeFailed(AirflowException):
    """A node failed; the text is its cause and the log's path."""


class NodeOperator(BaseOperator):
    """Runs `node` of `project`. Idempotent per DAG run: a finished node is not repeated, a failed one starts clean.

    `all_nodes` are the pipeline's node ids; `root` says that the node waits for nothing but the data.
    """

    ui_color = "#dff0e4"
    template_fields: Sequence[str] = ()

    def __init__(
        self, *, project: str, node: str, all_nodes: Sequence[str], root: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.project, self.node, self.all_nodes, self.root = project, node, list(all_nodes), root
        self._running: NodeCall | None = None

    def execute(self, context: Any) -> dict[str, Any]:
        card = registry.get(self.project)
        run = run_folder(context)
        if self.root:
            self._wait_for_turn(card, context)
            self._wait_for_data(card, context)
        run.path.joinpath("logs").mkdir(parents=True, exist_ok=True)
        with_host = node_call.use_host(conf.get("core", "executor"))
        try:
            if with_host:
                node_call.warm_host(run.paths, self.log.info)
            settings = settings_of(card, context)
            run.prepare(
                settings, self.all_nodes, lambda target: self._compile(run, settings, target, with_host)
            )
            run.node_started(self.node)
            summary = self._run(run, with_host)
        except ProjectError as error:
            raise NodeFailed(f"{error} (log: {run.log(self.node)})") from error
        run.node_done(self.node, summary)
        return summary

    def resume(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Airflow calls this when what the task was deferred for has come."""
        return self.execute(context)

    def on_kill(self) -> None:
        """Marking the task failed, a timeout or a cleared run ends the node too."""
        if self._running is not None:
            self._running.cancel()

    def _compile(self, run: RunFolder, settings: Settings, target: Path, with_host: bool) -> dict[str, Any]:
        kwargs = {
            "project": self.project,
            "settings": settings.to_json(),
            "home": str(run.paths.home),
            "target": str(target),
        }
        asked = node_call.request(run, "prepare", "pipelines.base.node:prepare_run", kwargs)
        if with_host:
            return self._follow(NodeCall(asked), self.log.debug)
        return node_call.host_client.direct(asked)

    def _run(self, run: RunFolder, with_host: bool) -> dict[str, Any]:
        kwargs = {
            "ir_file": str(run.ir),
            "node_id": self.node,
            "run_id": run.run_id,
            "home": str(run.paths.home),
        }
        asked = node_call.request(run, self.node, "pipelines.base.node:run_node", kwargs)
        command = [sys.executable, "-m", "pipelines", "node", self.project, self.node]
        command += ["--run-id", run.run_id, "--ir", str(run.ir)]
        call = NodeCall(asked, None if with_host else command)
        self.log.info("%s of %s runs as process %s; log: %s", self.node, run.run_id, call.pid, asked.log)
        return self._follow(call, self.log.info)

    def _follow(self, call: NodeCall, say: Callable[[str], None]) -> dict[str, Any]:
        self._running = call
        try:
            return call.follow(say)
        except BaseException:
            # A timeout or a kill lands here in the middle of the wait; the node must not go on without its task.
            call.cancel()
            raise
        finally:
            self._running = None

    def _wait_for_turn(self, card: Project, context: Any) -> None:
        """Dated runs go in the order of their dates: each compares itself with the model of the one before."""
        dag_run = context["dag_run"]
        if not spans.is_dated(card, str(dag_run.run_type)):
            return
        earlier = earlier_runs(dag_run)
        if earlier:
            self.log.info("Waiting for the run of an earlier date: %s", earlier[0])
            self.defer(trigger=TimeDeltaTrigger(TURN_POLL), method_name="resume", timeout=None)

    def _wait_for_data(self, card: Project, context: Any) -> None:
        span = span_of(card, context)
        if span is None:
            return
        folder = spans.folder(Paths.of(self.project), context["params"].get("data") or "", span)
        if arrived(folder):
            return
        if card.late_spans == "skip" and spans.is_dated(card, str(context["dag_run"].run_type)):
            raise AirflowSkipException(f"{folder} has not arrived; late spans of {card.name} are skipped.")
        self.log.info("Waiting for %s (at most %s)", folder, LATE_LIMIT)
        self.defer(trigger=SpanTrigger(str(folder)), method_name="resume", timeout=LATE_LIMIT)


def run_folder(context: Any) -> RunFolder:
    """The folder of the DAG run in `context`."""
    dag_run = context["dag_run"]
    return RunFolder(Paths.of(dag_run.dag_id), run_id_for(dag_run.dag_id, dag_run.run_id))


def span_of(card: Project, context: Any) -> int | None:
    """The span of the DAG run in `context`."""
    dag_run = context["dag_run"]
    start = dag_run.data_interval_start or dag_run.logical_date
    events = context.get("triggering_dataset_events")
    return spans.for_run(card, str(dag_run.run_type), start.date(), context["params"].get("span"), events)


def settings_of(card: Project, context: Any) -> Settings:
    """The run's settings from its DAG params; a ProjectError names a param that is wrong."""
    params = context["params"]
    return Settings.of(
        card,
        params.get("variant"),
        params.get("profile") or "quick",
        params.get("parameters") or {},
        data=params.get("data") or "",
        span=span_of(card, context),
        beam_args=tuple(params.get("beam_args") or ()),
    )


def earlier_runs(dag_run: Any) -> list[str]:
    """Run ids of unfinished dated runs of the same DAG with an earlier logical date, earliest first."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    with create_session() as session:
        found = (
            session.query(DagRun.run_id)
            .filter(
                DagRun.dag_id == dag_run.dag_id,
                DagRun.run_type.in_(spans.DATED_RUNS),
                DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING)),
                DagRun.execution_date < dag_run.logical_date,
            )
            .order_by(DagRun.execution_date)
        )
        return [run_id for (run_id,) in found]
