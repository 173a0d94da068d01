"""`<project>.release`: a pushed model's way to all traffic as a DAG, for projects whose card has a `release`.

A task for each step of the plan, deferred until the server's controller has left that step, so no worker is held while
time passes; a person's approval before all traffic where the card asks for one (`Release(approve=True)`). The server
decides; this shows it, asks, and fails where a version was rolled back. Nothing here runs TFX.
"""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, BaseOperator, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags import callbacks, links
from dags.deliveries import model_asset
from dags.release_trigger import BEGUN, ROLLED_BACK, SUPERSEDED, ReleaseTrigger, Stand, stand
from pipelines.base.paths import Paths
from pipelines.base.project import Project

SUFFIX = "release"
# A server that does not run begins no release; someone will have noticed by then.
LONGEST = datetime.timedelta(days=30)
ANSWER_S = 60.0


def build(card: Project) -> DAG:
    """The DAG of a card with a `release`."""
    assert card.release is not None
    shares = card.release.shares()
    dag = DAG(
        dag_id=f"{card.name}.{SUFFIX}",
        description=f"A pushed model's way to all traffic: {card.question}",
        doc_md=__doc__,
        schedule=[model_asset(card.name)],
        start_date=datetime.datetime.fromisoformat(card.start).replace(tzinfo=datetime.UTC),
        catchup=False,
        max_active_runs=1,
        tags=[*card.tags, SUFFIX],
        params={
            "version": Param(
                None, type=["null", "integer"], title="Version", description="Empty: the one that was pushed"
            )
        },
        default_args={"owner": card.owner, "on_failure_callback": callbacks.release_failed},
    )
    tasks: list[BaseOperator] = [ReleaseStep(task_id="begun", project=card.name, step=BEGUN, dag=dag)]
    for step in range(len(shares) - 1):
        if card.release.approve and step == len(shares) - 2:
            tasks.append(ReleaseApproval(task_id="approval", project=card.name, dag=dag))
        tasks.append(ReleaseStep(task_id=step_name(shares[step]), project=card.name, step=step, dag=dag))
    for one, other in itertools.pairwise(tasks):
        one.set_downstream(other)
    return dag


def step_name(share: float) -> str:
    """'shadow', 'share_5', 'share_0_5': what a step's task is called."""
    return "shadow" if share == 0 else f"share_{100 * share:g}".replace(".", "_")


class ReleaseStep(BaseOperator):
    """Waits until the release has left `step`. Its XCom is {'version', 'state', 'step', 'why'}."""

    ui_color = "#e3e6f3"

    def __init__(self, *, project: str, step: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project, self.step = project, step

    def execute(self, context: Any) -> dict[str, Any]:
        version = version_of(self.project, context)
        served = str(Paths.of(self.project).serving)
        now = stand(served, version)
        if not now.past(self.step):
            self.log.info("Version %d of %s: %s; waiting", version, self.project, now.state or "not begun")
            self.defer(
                trigger=ReleaseTrigger(served, version, self.step), method_name="resume", timeout=LONGEST
            )
        return self._ended(version, now)

    def resume(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Airflow calls this when the step is over."""
        return self._ended(version_of(self.project, context), Stand(**event))

    def _ended(self, version: int, now: Stand) -> dict[str, Any]:
        if now.state == ROLLED_BACK:
            raise AirflowFailException(f"Version {version} of {self.project} was rolled back: {now.why}")
        if now.state == SUPERSEDED:
            raise AirflowSkipException(f"Version {version} of {self.project} is not released: {now.why}")
        self.log.info("Version %d of %s: %s: %s", version, self.project, now.state, now.why)
        return {"version": version, **now._asdict()}


class ReleaseApproval(ApprovalOperator):
    """Asks a person whether all traffic may go to the version; the answer is told to the server.

    A yes lets the plan's last step end when the judge says so; a no rolls the version back at once.
    """

    ui_color = "#f4ecd8"

    def __init__(self, *, project: str, **kwargs: Any) -> None:
        super().__init__(subject=f"May {project}'s new version get all traffic?", **kwargs)
        self.project = project

    def execute(self, context: Any) -> Any:
        version = version_of(self.project, context)
        now = stand(str(Paths.of(self.project).serving), version)
        if now.past(len(_shares(self.project)) - 1):
            self.log.info("The release has ended (%s); there is nothing to approve.", now.state)
            return None
        self.body = (
            f"Version {version}: {now.state}, {now.why}.\n\n`viaduct release {self.project} --status` tells "
            f"the judge's numbers. [Serving page]({links.url('serving')})"
        )
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        answer = super().execute_complete(context, event)
        approved = answer["chosen_options"][0] == self.APPROVE
        person = event.get("responded_by_user")
        name = person.get("name") if isinstance(person, dict) else person
        told(
            self.project, "approve" if approved else "rollback", str(name or "Airflow"),
            f"{'yes' if approved else 'no'} in Airflow's run {context['dag_run'].run_id}",
        )  # fmt: skip
        return answer


def told(project: str, what: str, who: str, why: str) -> None:
    """Gives a command to the release's controller. Raises AirflowFailException where it was not done."""
    from serving.release.command import asked
    from serving.release.folder import Folder

    done, text = asked(Folder(Paths.of(project).serving), {"what": what, "who": who, "why": why}, ANSWER_S)
    if not done:
        raise AirflowFailException(f"{project}: {what} was not done: {text}")


def version_of(project: str, context: Any) -> int:
    """The version that the DAG run is about: the param, else the pushed one of its event, else the newest there is."""
    asked_for = context["params"].get("version")
    if asked_for is not None:
        return int(asked_for)
    events = context.get("triggering_asset_events") or {}
    pushed = [
        int(event.extra["version"])
        for batch in events.values()
        for event in batch
        if str((event.extra or {}).get("version", "")).isdecimal()
    ]
    if pushed:
        return max(pushed)
    folder: Path = Paths.of(project).serving
    there = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()] if folder.is_dir() else []
    if not there:
        raise AirflowFailException(f"{project}: there is no version in {folder} to release.")
    return max(there)


def _shares(project: str) -> tuple[float, ...]:
    from pipelines.base import registry

    release = registry.get(project).release
    assert release is not None
    return release.shares()
