"""Builds a project's DAG from its card and its committed ir.json: no TFX, no TensorFlow, no compilation.

One task per node with the node's id, edges from the IR; schedule, retries, timeout, owner, tags and docs from the
card. What a task does is node_operator.py's.
"""

from __future__ import annotations

import datetime
import os
import traceback
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, AsyncCallback, CronDataIntervalTimetable, DeadlineAlert, DeadlineReference, Param

from dags import callbacks, code_check
from dags.deliveries import spans_asset
from dags.node_operator import NodeOperator
from pipelines.base import ir, registry, stack
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths, shown
from pipelines.base.project import FULL, ON_DATA, PROFILES, Project, Scalar

POOL_VARIABLE = "VIADUCT_HEAVY_POOL"
RETRY_DELAY = datetime.timedelta(seconds=10)
LONGEST_RETRY_DELAY = datetime.timedelta(minutes=10)
PUSHER = "Pusher"
NOT_CRON = ("@once", "@continuous")
JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

stack.import_jsonschema()


def build(project: str) -> DAG:
    """The DAG of `project`. Raises ProjectError naming file and line if its code, card or IR is broken."""
    code_check.check_once(project)
    card = _card(project)
    graph = _graph(project)
    tz = datetime.UTC
    dag = DAG(
        dag_id=project,
        description=card.question,
        doc_md=_readme(project) or card.title,
        schedule=schedule(card),
        start_date=datetime.datetime.fromisoformat(card.start).replace(tzinfo=tz),
        catchup=False,
        max_active_runs=16,
        tags=[*card.tags],
        params=params(card),
        on_failure_callback=callbacks.run_failed,
        on_success_callback=callbacks.run_succeeded,
        deadline=_deadline(card),
        default_args={"owner": card.owner},
    )
    names = [node.id for node in graph]
    tasks = {node.id: _task(card, node, names, dag) for node in graph}
    for node in graph:
        for upstream in node.upstream:
            tasks[upstream].set_downstream(tasks[node.id])
        if card.approval and node.type == PUSHER:
            _ask_before(tasks[node.id], card, dag)
    return dag


def beside(project: str) -> list[DAG]:
    """The DAGs that look after a project's pushed model, where its card asks for them."""
    card = _card(project)
    found = []
    if card.release is not None:
        from dags import release_dag

        found.append(release_dag.build(card))
    if card.watch is not None:
        from dags import retraining_dag

        found.append(retraining_dag.build(card))
    return found


def _ask_before(pusher: NodeOperator, card: Project, dag: DAG) -> None:
    from dags.approval import TASK_ID, PushApproval

    approval = PushApproval(task_id=TASK_ID, project=card.name, dag=dag)
    for upstream in list(pusher.upstream_list):
        upstream.set_downstream(approval)
    approval.set_downstream(pusher)


def _deadline(card: Project) -> DeadlineAlert | None:
    """A run is due when its day is over, which is when it is queued; a backfill's has the time from then on as well."""
    if card.deadline_hours is None:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=datetime.timedelta(hours=card.deadline_hours),
        callback=AsyncCallback(callbacks.deadline_missed),
    )


def schedule(card: Project) -> Any:
    """What starts the project's runs. A run of a day has that day for its interval, and begins when it is over."""
    if card.schedule == ON_DATA:
        return [spans_asset(card.name, watched=True)]
    if card.schedule is None or card.schedule in NOT_CRON:
        return card.schedule
    return CronDataIntervalTimetable(card.schedule, timezone="UTC")


def _graph(project: str) -> list[ir.Node]:
    file = Paths.of(project).source / "ir.json"
    try:
        graph = ir.nodes(ir.load(file))
    except (ProjectError, AttributeError, KeyError, TypeError) as error:
        raise ProjectError(f"{_shown(project, 'ir.json')}:1: {error}") from error
    if not graph:
        raise ProjectError(
            f"{_shown(project, 'ir.json')}:1: holds no nodes. Run `viaduct compile {project}`."
        )
    return graph


def _task(card: Project, node: ir.Node, names: list[str], dag: DAG) -> NodeOperator:
    heavy = node.id in card.heavy or node.type in card.heavy
    return NodeOperator(
        task_id=node.id,
        project=card.name,
        node=node.id,
        all_nodes=names,
        root=not node.upstream,
        pushes=node.type == PUSHER,
        dag=dag,
        pool=os.environ.get(POOL_VARIABLE) if heavy else None,
        retries=card.retries,
        retry_delay=RETRY_DELAY,
        retry_exponential_backoff=2.0,
        max_retry_delay=LONGEST_RETRY_DELAY,
        execution_timeout=datetime.timedelta(hours=card.node_hours),
        on_failure_callback=callbacks.task_failed,
        on_retry_callback=callbacks.task_retried,
    )


def params(card: Project) -> dict[str, Param]:
    """The typed form of the trigger page; names and meanings are those of `viaduct run`'s flags."""
    variants = [variant.name for variant in card.variants]
    known: dict[str, Scalar] = {
        k: v for variant in reversed(card.variants) for k, v in variant.parameters.items()
    }
    properties = {name: {"type": JSON_TYPES[type(value)]} for name, value in known.items()}
    defaults = ", ".join(f"{name}={value}" for name, value in known.items()) or "none"
    return {
        "variant": Param(
            variants[0], type="string", enum=variants, title="Variant", description=_about(card)
        ),
        "profile": Param(
            FULL,
            type="string",
            enum=list(PROFILES),
            title="Profile",
            description=f"How much work; {FULL} on real data with the first variant is production",
        ),
        "parameters": Param(
            {},
            type=["object", "null"],
            properties=properties,
            additionalProperties=False,
            title="Hyper-parameters",
            description=f"As JSON, only those to change. The variant's: {defaults}",
        ),
        "data": Param(
            None,
            type=["null", "string"],
            title="Data path",
            description="File or folder on the worker; empty: HOME/data/<project>",
        ),
        "sample": Param(
            False,
            type=["boolean", "null"],
            title="Sample",
            description="Where there is no data, train on a made-up sample; without this such a run does nothing",
        ),
        "span": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Span",
            description="One delivery of data; empty: the one of the run's date, else the latest",
        ),
        "beam_args": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            title="Beam arguments",
            description="One a line, e.g. --runner=FlinkRunner",
        ),
    }


def _about(card: Project) -> str:
    return "; ".join(f"{variant.name}: {variant.about}" for variant in card.variants)


def _readme(project: str) -> str:
    file = Paths.of(project).source / "README.md"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _card(project: str) -> Project:
    try:
        return registry.get(project)
    except ProjectError as error:
        raise ProjectError(f"{_where(project, error)}: {error}") from error


def _where(project: str, error: BaseException) -> str:
    """`file:line` in the project's folder where `error` began; the card's first line if it passed none there."""
    origin = error.__cause__ or error
    frames = traceback.extract_tb(origin.__traceback__)
    ours = [frame for frame in frames if f"pipelines{os.sep}{project}{os.sep}" in frame.filename]
    if not ours:
        return f"{_shown(project, 'project.py')}:1"
    return f"{shown(Path(ours[-1].filename))}:{ours[-1].lineno}"


def _shown(project: str, name: str) -> Path:
    return shown(Paths.of(project).source / name)


def broken(names: list[str]) -> dict[str, str]:
    """{project: what is wrong, beginning with file:line} for the projects whose DAG cannot be built."""
    problems: dict[str, str] = {}
    for name in names:
        try:
            build(name)
            beside(name)
        except Exception as error:
            problems[name] = (
                str(error) if isinstance(error, ProjectError) else f"{_where(name, error)}: {error!r}"
            )
    return problems


def committed() -> list[str]:
    """Names of projects that are meant to have a DAG: those with a card."""
    return registry.names()


def wanted(names: list[str], only: Any) -> list[str]:
    """In a task only that task's DAG is needed; parsing the others would delay every node."""
    return [only] if only in names else names
