"""What happens when a task or a run ends badly or late: record, ML Metadata, log, webhook, mail. Airflow calls these.

They run in the task, or in the DAG processor for a task whose process was lost; a missed deadline's in the triggerer.
Nothing here may raise: a callback that fails must not hide what it was to report.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import os
import urllib.request
from types import SimpleNamespace
from typing import Any

from dags import links, node_call, spans
from pipelines.base import registry
from pipelines.base.paths import Paths
from pipelines.base.run_folder import run_id_for

WEBHOOK_VARIABLE = "VIADUCT_WEBHOOK"
MAIL_VARIABLE = "VIADUCT_MAIL_TO"
TIMEOUT_S = 10

log = logging.getLogger(__name__)


def task_retried(context: Any) -> None:
    """The attempt failed and Airflow will make another."""
    _record(context, again=True)


def task_failed(context: Any) -> None:
    """The last attempt failed: tell whoever wants to know."""
    _record(context, again=False)
    _tell(describe(context))


def release_failed(context: Any) -> None:
    """A task beside the projects' runs failed, as one of a release: there is no run folder to write to."""
    _tell(describe(context))


async def deadline_missed(context: Any) -> None:
    """The run has not ended in time; `context` holds the run as the REST API tells it."""
    try:
        # Files and servers may be slow, and the triggerer waits for many things at once.
        await asyncio.to_thread(lambda: _tell(describe_late(context["dag_run"])))
    except Exception:
        log.exception("A missed deadline could not be reported")


def describe_late(dag_run: dict[str, Any]) -> dict[str, str]:
    """Project, run and cause of a run that is late, as `describe` tells a task: with the span it waits for."""
    from dags.node_operator import span_of

    card = registry.get(dag_run["dag_id"])
    dates = ("data_interval_start", "logical_date", "run_after")
    run = SimpleNamespace(run_type=dag_run["run_type"], **{name: _date(dag_run.get(name)) for name in dates})
    params = dag_run.get("conf") or {}
    span = span_of(card, {"dag_run": run, "params": params})
    folder = spans.folder(Paths.of(card.name), params.get("data") or "", span) if span is not None else None
    late = folder is not None and not folder.is_dir()
    cause = f"it has not ended {card.deadline_hours:g} h after it was due"
    cause += f": {folder} has not arrived" if late else ""
    run_id = dag_run["dag_run_id"]
    page = links.url("run", id=run_id_for(card.name, run_id))
    report = {"project": card.name, "run": run_id, "node": "", "attempt": "", "cause": cause, "log": page}
    return {**report, "text": f"{card.name}: {run_id} is late: {cause}"}


def _date(text: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def run_failed(context: Any) -> None:
    """The DAG run as a whole failed."""
    _end(context, "failed")


def run_succeeded(context: Any) -> None:
    """The DAG run succeeded, perhaps by skipping late data."""
    _end(context, "succeeded")


def describe(context: Any) -> dict[str, str]:
    """Project, run, node, cause and log link of a failed task; `text` says it in one line."""
    instance = context["task_instance"]
    cause = " ".join(str(context.get("exception") or "its process was lost").split())
    return {
        "project": instance.dag_id,
        "run": instance.run_id,
        "node": instance.task_id,
        "attempt": str(instance.try_number),
        "cause": cause,
        "log": instance.log_url,
        "text": f"{instance.dag_id}: {instance.task_id} failed in {instance.run_id}: {cause} Log: {instance.log_url}",
    }


def _tell(report: dict[str, str]) -> None:
    """Everyone who wants to know."""
    log.error("%s", report["text"])
    for send in (_webhook, _mail):
        try:
            send(report)
        except Exception:
            log.exception("%s: this could not be reported by %s", report["project"], send.__name__.strip("_"))


def _record(context: Any, *, again: bool) -> None:
    from dags.node_operator import run_folder

    try:
        report, run = describe(context), run_folder(context)
        run.node_failed(report["node"], report["cause"], again=again)
        # A process of its own tells ML Metadata, in a second: a fork server may be just what was lost.
        untold = node_call.caller_of(run, with_host=False).settle(report["cause"], report["node"])
        if untold:
            log.error("ML Metadata could not be told: %s", untold)
    except Exception:
        log.exception("The run's record could not be written")


def _end(context: Any, state: str) -> None:
    from dags.node_operator import run_folder

    try:
        run_folder(context).ended(state)
    except Exception:
        log.exception("The run's record could not be written")


def _webhook(report: dict[str, str]) -> None:
    url = os.environ.get(WEBHOOK_VARIABLE, "")
    if not url:
        return
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{WEBHOOK_VARIABLE} is {url!r}; expected an http:// or https:// URL.")
    body = json.dumps(report).encode()
    sent = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=TIMEOUT_S):
        pass


def _mail(report: dict[str, str]) -> None:
    to = [address.strip() for address in os.environ.get(MAIL_VARIABLE, "").split(",") if address.strip()]
    if not to:
        return
    import html

    from airflow.utils.email import send_email

    body = f"<p>{html.escape(report['cause'])}</p><p><a href='{html.escape(report['log'])}'>Log</a></p>"
    what = f"{report['node']} failed" if report["node"] else "a run is late"
    send_email(to=to, subject=f"{report['project']}: {what}", html_content=body)
