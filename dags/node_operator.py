"""The operator: one Airflow task that runs one node of a project's pipeline.

It waits for the run's data and turn where that is asked (only nodes without upstream do), prepares the run's folder
once, hands the node to the warm host and streams its log. The XCom is the node's summary. It imports no TFX: the
node does, in another process.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from dags import node_call, spans
from dags.deliveries import model_alias, model_asset
from dags.links import LogLink, RunLink
from dags.node_call import FollowedCall
from dags.span_trigger import UNFINISHED, SpanTrigger, TurnTrigger, arrived
from pipelines.base import registry, run_record
from pipelines.base.errors import ProjectError, ViaductError, close_match
from pipelines.base.forkserver.client import CallError
from pipelines.base.paths import Paths
from pipelines.base.project import FULL, Project
from pipelines.base.run_folder import RunFolder, run_id_for
from pipelines.base.settings import Settings

WAITED_FOR = 20
LATE_LIMIT = datetime.timedelta(days=7)
PARAMS = ("variant", "profile", "parameters", "data", "sample", "span", "beam_args")


class NodeFailed(AirflowException):
    """A node failed; the text is its cause and the log's path."""


class NodeOperator(BaseOperator):
    """Runs `node` of `project`. Idempotent per DAG run: a finished node is not repeated, a failed one starts clean.

    `all_nodes` are the pipeline's node ids; `root` says that the node waits for nothing but the data, `pushes` that it
    publishes the model.
    """

    ui_color = "#dff0e4"
    template_fields: Sequence[str] = ()

    operator_extra_links = (RunLink(), LogLink())

    def __init__(
        self,
        *,
        project: str,
        node: str,
        all_nodes: Sequence[str],
        root: bool = False,
        pushes: bool = False,
        **kwargs: Any,
    ) -> None:
        # As an inlet the asset is known and active before its first event.
        super().__init__(
            outlets=[model_alias(project)] if pushes else [],
            inlets=[model_asset(project)] if pushes else [],
            **kwargs,
        )
        self.pushes = pushes
        self.project, self.node, self.all_nodes, self.root = project, node, list(all_nodes), root
        self._running: FollowedCall | None = None

    def execute(self, context: Any) -> dict[str, Any]:
        card = registry.get(self.project)
        run, settings = run_folder(context), asked_for(card, context)
        if self.root:
            self._wait_for_turn(card, context)
            self._wait_for_data(card, context)
            self._skip_without_data(context)
        run.make()
        with_host = node_call.use_host(conf.get("core", "executor"))
        try:
            run.prepare(
                settings, self.all_nodes, lambda target: self._compile(context, settings, target, with_host)
            )
            run.node_started(self.node)
            summary = self._run(run, with_host)
        except ViaductError as error:
            # The data or the code that was refused will not mend itself; everything else may go well the next time.
            refused = isinstance(error, CallError) and error.refused
            raised = AirflowFailException if refused else NodeFailed
            raise raised(f"{error} (log: {run.log(self.node)})") from error
        run.node_done(self.node, summary)
        self._announce(context, run, summary)
        return summary

    def _announce(self, context: Any, run: RunFolder, summary: dict[str, Any]) -> None:
        """A model pushed to production is an event of the project's asset; one that was kept back or aside is none."""
        if not (self.pushes and Path(summary.get("pushed") or "").parent == run.paths.serving):
            return
        record = run.read()
        extra = {
            "version": Path(summary["pushed"]).name,
            "model": summary["pushed"],
            "blessed": record and record.blessed,
            "run": run.run_id,
            "metrics": run_record.plain_numbers(record.metrics) if record else {},
        }
        context["outlet_events"][model_alias(self.project)].add(model_asset(self.project), extra=extra)

    def resume(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Airflow calls this when what the task was deferred for has come."""
        return self.execute(context)

    def on_kill(self) -> None:
        """Marking the task failed, a timeout or a cleared run ends the node too."""
        if self._running is not None:
            self._running.cancel()

    def _compile(self, context: Any, settings: Settings, target: Path, with_host: bool) -> dict[str, Any]:
        if nothing := nothing_to_train_on(context):
            raise AirflowFailException(nothing)
        run = run_folder(context)
        kwargs = {
            "project": self.project,
            "settings": settings.to_json(),
            "home": str(run.paths.home),
            "target": str(target),
        }
        if with_host:
            node_call.warm_host(run.paths, self.log.info)
        call = FollowedCall(
            node_call.caller_of(run, with_host), run, "prepare", "pipelines.base.jobs:prepare_run", kwargs
        )
        return self._follow(call, self.log.debug)

    def _run(self, run: RunFolder, with_host: bool) -> dict[str, Any]:
        kwargs = {
            "ir_file": str(run.ir),
            "node_id": self.node,
            "run_id": run.run_id,
            "home": str(run.paths.home),
        }
        if with_host:
            node_call.warm_host(run.paths, self.log.info)
        call = FollowedCall(
            node_call.caller_of(run, with_host), run, self.node, "pipelines.base.node:run_node", kwargs
        )
        self.log.info("%s of %s; log: %s", self.node, run.run_id, run.log(self.node))
        return self._follow(call, self.log.info)

    def _follow(self, call: FollowedCall, say: Callable[[str], None]) -> dict[str, Any]:
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
        if not spans.is_dated(card, run_type(dag_run)):
            return
        earlier = earlier_runs(dag_run)
        if earlier:
            self.log.info("Waiting for runs of earlier dates: %s", ", ".join(earlier))
            self.defer(trigger=TurnTrigger(dag_run.dag_id, earlier), method_name="resume", timeout=None)

    def _wait_for_data(self, card: Project, context: Any) -> None:
        span = span_of(card, context)
        if span is None:
            return
        folder = spans.folder(Paths.of(self.project), context["params"].get("data") or "", span)
        if arrived(folder):
            return
        if card.late_spans == "skip" and spans.is_dated(card, run_type(context["dag_run"])):
            raise AirflowSkipException(f"{folder} has not arrived; late spans of {card.name} are skipped.")
        self.log.info("Waiting for %s (at most %s)", folder, LATE_LIMIT)
        self.defer(trigger=SpanTrigger(str(folder)), method_name="resume", timeout=LATE_LIMIT)

    def _skip_without_data(self, context: Any) -> None:
        """Nobody has asked for a scheduled run, so there is nothing to fail: it has nothing to do."""
        if run_type(context["dag_run"]) == "scheduled" and (nothing := nothing_to_train_on(context)):
            raise AirflowSkipException(nothing)


def nothing_to_train_on(context: Any) -> str:
    """Why the DAG run in `context` has no data, '' if it has some."""
    params = context["params"]
    paths = Paths.of(context["dag_run"].dag_id)
    return spans.nothing_to_train_on(paths, params.get("data") or "", sample=bool(params.get("sample")))


def run_folder(context: Any) -> RunFolder:
    """The folder of the DAG run in `context`."""
    dag_run = context["dag_run"]
    return RunFolder(Paths.of(dag_run.dag_id), run_id_for(dag_run.dag_id, dag_run.run_id))


def run_type(dag_run: Any) -> str:
    """What started the run: "scheduled", "manual", ...; Airflow's own is an enumeration whose text is another."""
    return getattr(dag_run.run_type, "value", dag_run.run_type)


def span_of(card: Project, context: Any) -> int | None:
    """The span of the DAG run in `context`."""
    dag_run = context["dag_run"]
    # Runs that a person or an asset starts have neither interval nor date.
    start = dag_run.data_interval_start or dag_run.logical_date or dag_run.run_after
    events = context.get("triggering_asset_events")
    return spans.for_run(card, run_type(dag_run), start.date(), context["params"].get("span"), events)


def asked_for(card: Project, context: Any) -> Settings:
    """`settings_of`; what is wrong fails the task for good, since another attempt would find it as wrong."""
    try:
        return settings_of(card, context)
    except ProjectError as error:
        raise AirflowFailException(str(error)) from error


def settings_of(card: Project, context: Any) -> Settings:
    """The run's settings from its DAG params; a ProjectError names a param that is wrong or does not exist."""
    params = context["params"]
    for name in params:
        if name not in PARAMS:  # Airflow takes any name from whoever triggers by its API or with JSON
            raise ProjectError(f"{card.name}: {close_match('Param', name, PARAMS)}")
    return Settings.of(
        card,
        params.get("variant"),
        params.get("profile") or FULL,
        params.get("parameters") or {},
        data=params.get("data") or "",
        span=span_of(card, context),
        beam_args=tuple(params.get("beam_args") or ()),
    )


def earlier_runs(dag_run: Any) -> list[str]:
    """Run ids of the latest unfinished dated runs of the same DAG with an earlier date, latest first.

    A task has no database: it asks for one run before a date at a time.
    """
    from airflow.sdk.execution_time.comms import GetPreviousDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    found: list[tuple[Any, str]] = []
    for state in UNFINISHED:
        before = dag_run.logical_date
        while before is not None and len(found) < WAITED_FOR:
            question = GetPreviousDagRun(dag_id=dag_run.dag_id, logical_date=before, state=state)
            run = SUPERVISOR_COMMS.send(question).dag_run
            if run is not None and run_type(run) in spans.DATED_RUNS:
                found.append((run.logical_date, run.run_id))
            before = run and run.logical_date
    return [run_id for _, run_id in sorted(found, reverse=True)]
