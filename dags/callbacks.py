"""What happens when a task or a run ends badly: the run's record, the log, a webhook, a mail. Airflow calls these.

They run in the task, or in the DAG processor for a task whose process was lost. Nothing here may raise: a callback
that fails must not hide what it was to report.
"""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from typing import Any

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
    report = describe(context)
    log.error("%s", report["text"])
    for send in (_webhook, _mail):
        try:
            send(report)
        except Exception:
            log.exception(
                "%s: the failure could not be reported by %s", report["project"], send.__name__.strip("_")
            )


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


def _record(context: Any, *, again: bool) -> None:
    from dags.node_operator import run_folder

    try:
        report = describe(context)
        run_folder(context).node_failed(report["node"], report["cause"], again=again)
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
    send_email(to=to, subject=f"{report['project']}: {report['node']} failed", html_content=body)
