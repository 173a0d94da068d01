"""Run by Airflow's interpreter: builds the DAGs beside a project's own, and follows a release through its files.

Prints one JSON object. The releases are written as a server's controller writes them.
"""

import asyncio
import dataclasses
import json
import sys
from types import SimpleNamespace

from airflow.exceptions import TaskDeferred
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags import release_dag, retraining_dag
from dags.release_trigger import ReleaseTrigger, stand
from pipelines.base import registry
from pipelines.base.paths import Paths
from pipelines.base.project import Release, Watch
from serving.release import plan, record
from serving.release.folder import Folder

told = {}
card = dataclasses.replace(
    registry.get("card_fraud"), release=Release(steps="shadow,5,50,100", approve=True), watch=Watch()
)
dag, retraining = release_dag.build(card), retraining_dag.build(card)
told["tasks"] = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
told["retraining"] = {task.task_id: sorted(task.upstream_task_ids) for task in retraining.tasks}
told["ids"] = [dag.dag_id, retraining.dag_id]
told["schedules"] = [type(d.timetable).__name__ for d in (dag, retraining)]
told["deferrable"] = retraining.get_task("train").deferrable

served = Paths.of("card_fraud").serving
for version in ("1", "2", "3"):
    (served / version).mkdir(parents=True)
place = Folder(served)
release = record.begun(
    1, 1, 2, plan.Plan(shares=plan.shares("shadow,5,50,100")), "controller", "it was pushed"
)
event = SimpleNamespace(extra={"version": "2"})
context = {"params": {"version": None}, "triggering_asset_events": {"a": [event]}}


def execute(task_id):
    """What a task does now."""
    try:
        return dag.get_task(task_id).execute(context)["state"]
    except TaskDeferred as deferred:
        return f"deferred for {type(deferred.trigger).__name__}"
    except (AirflowFailException, AirflowSkipException) as error:
        return f"{type(error).__name__}: {error}"


told["before"] = execute("begun")
place.save(release)
told["begun"] = [execute("begun"), execute("shadow")]
place.save(release.moved("held", "not enough data", step=1))
told["held"] = [execute("shadow"), execute("share_5")]


async def fires():
    """The trigger of a step, while the controller ends the release."""
    trigger = ReleaseTrigger(str(served), 2, 2, poll_s=0.05)
    module, kwargs = trigger.serialize()
    waiting = asyncio.ensure_future(anext(ReleaseTrigger(**kwargs).run()))
    await asyncio.sleep(0.3)
    early = waiting.done()
    place.save(release.moved("promoted", "it is good", step=3))
    return [module, early, (await asyncio.wait_for(waiting, 30)).payload]


told["trigger"] = asyncio.run(fires())
told["promoted"] = [execute(task) for task in ("begun", "shadow", "share_5", "share_50")]
place.save(release.moved("rolled_back", "errors: 9 of 10", step=1))
told["rolled_back"] = execute("share_5")
place.save(record.begun(2, 1, 3, plan.Plan(), "controller", "it was pushed"))
context["params"]["version"] = 1
told["superseded"] = execute("begun")
context["params"]["version"] = 3
release_dag.told("card_fraud", "approve", "ann", "yes in Airflow's run r")
now = place.newest()
told["approved"] = [now.approved, now.journal[-1]["who"], stand(str(served), 3).state]
release_dag.told("card_fraud", "rollback", "ann", "no in Airflow's run r")
told["refused"] = place.newest().state
told["look"] = retraining_dag.read(
    3, 'noise\n{"said": [], "reason": "drift: a", "held": "", "due": true}\n', ""
)["reason"]
try:
    retraining_dag.read(1, "", "viaduct: no such project")
except Exception as error:
    told["failed"] = str(error)
told["heavy"] = sorted(
    {name.partition(".")[0] for name in sys.modules} & {"tensorflow", "tfx", "ml_metadata"}
)
print(json.dumps(told, default=str))
