"""A person's yes before a model is pushed, for projects whose card asks for it (`approval=True`).

The task waits without a worker or triggerer; the question shows bars and metrics, on the run's page in Airflow and
under "Required Actions". A no skips the Pusher and what waits for it: the run has then succeeded without a push. Nobody
is asked about a model that was not blessed.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from dags import links
from dags.node_operator import run_folder
from pipelines.base import production, registry
from pipelines.base.paths import Paths
from pipelines.base.run_record import RunRecord

TASK_ID = "approval"


class PushApproval(ApprovalOperator):
    """Asks whether the model of `project`'s run may be pushed; done at once where there is nothing to push."""

    ui_color = "#f4ecd8"

    def __init__(self, *, project: str, **kwargs: Any) -> None:
        super().__init__(subject=f"Push this model of {project}?", **kwargs)
        self.project = project

    def execute(self, context: Any) -> Any:
        record = run_folder(context).read()
        if record is not None and record.blessed is False:
            self.log.info("The model is below its bar; there is nothing to approve.")
            return None
        self.body = describe(self.project, record)
        return super().execute(context)


def describe(project: str, record: RunRecord | None) -> str:
    """What a person needs to decide, in Markdown."""
    if record is None:
        return "The run left no record."
    settings = record.settings
    card = registry.get(project)
    name = production.name_of_settings(card, Paths.of(project), settings)
    lines = [
        f"Variant {settings['variant']}, profile {settings['profile']}, data `{settings['data']}`.",
        production.describe(name),
        "",
    ]
    for bar in card.bars(settings["profile"], settings["variant"]):
        value = record.metrics.get(bar.metric)
        if value is None:
            lines.append(f"- {bar}: not measured")
        else:
            lines.append(f"- {bar}: {'met' if bar.met_by(value) else 'NOT met'}, it is {value:.4g}")
    return "\n".join([*lines, "", f"[Run page]({links.url('run', id=record.run_id)})"])
