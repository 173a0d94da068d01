"""The assets of a project: its spans, whose arrival starts it where the card says "@data", and its pushed model.

An asset watcher looks for renamed-in span folders every two seconds (span_trigger.NewSpanTrigger). Where something
else delivers data, `viaduct airflow deliver PROJECT SPAN` says the same.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from dags.span_trigger import NewSpanTrigger


def spans_asset(project: str, *, watched: bool = False) -> Asset:
    """The asset that says a new span of `project` has arrived; its events carry {'span': N}."""
    watchers = [AssetWatcher(name=f"{project}_spans", trigger=NewSpanTrigger(project))] if watched else []
    return Asset(name=f"{project}_spans", uri=f"viaduct://{project}/spans", watchers=watchers)


def model_asset(project: str) -> Asset:
    """The asset that says a model of `project` was pushed; its events carry version, folder, blessing, run, metrics.

    DAGs of others start on it with `schedule=[Asset(name="<project>_model", uri="viaduct://<project>/model")]`.
    """
    return Asset(name=f"{project}_model", uri=f"viaduct://{project}/model")


def model_alias(project: str) -> AssetAlias:
    """What the pushing task has for an outlet: it says for itself, after its work, whether there is an event."""
    return AssetAlias(name=f"{project}_pushes")
