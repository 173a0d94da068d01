"""Training: curves, layers and hyper-parameters of a run."""

from __future__ import annotations

from typing import Any

from dashboards.drawing import charts
from dashboards.pages.site import Notes, Site
from dashboards.pages.tensorboard import choices
from dashboards.readers import events
from pipelines.base.run_record import RunRecord


def training(site: Site, query: dict[str, str]) -> str:
    """The training of `run`."""
    record = site.runs.record(query.get("run", ""))
    values = training_values(site, record)
    return site.render("training.html", tab="training", others=choices(site, record), **values)


def training_of(site: Site, record: RunRecord, notes: Notes) -> events.Training:
    """The run's curves and layers as far as they are written; empty where there are none."""
    outputs = site.outputs(record, "ModelRun")
    if not outputs:
        return events.Training()
    uri = outputs[0]["uri"]
    return notes.get(
        lambda: site.parsed(uri, events.read_training, *events.stamp(site.files.inside(uri))),
        events.Training(),
    )


def training_values(site: Site, record: RunRecord) -> dict[str, Any]:
    """Curves, layers and hyper-parameters of a run."""
    notes = Notes()
    history = training_of(site, record, notes)
    shown = [
        {"title": tag.removeprefix("epoch_").replace("_", " "), "chart": charts.curves(writers),
         "last": {w: events.last(points) for w, points in writers.items()}}
        for tag, writers in sorted(history.curves.items(), key=lambda item: (not item[0].startswith("epoch_"), item[0]))
    ]  # fmt: skip
    return {
        "record": record,
        "notes": notes,
        "charts": shown,
        "layers": history.layers,
        "thinned": history.thinned,
        "parameters": record.settings.get("parameters", {}),
        "has_run": bool(site.outputs(record, "ModelRun")),
    }
