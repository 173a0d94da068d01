"""Training curves, the evaluation with its gates, and two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards import charts, events
from dashboards.evaluation import Evaluation, Slice, Value, read_evaluation
from dashboards.files import Missing
from dashboards.intervals import methods, with_intervals
from dashboards.plots import DECISION, Plots, at, best, read_plots
from dashboards.site import Notes, Site
from pipelines.base.run_record import RunRecord

PICTURES = (".png", ".jpg", ".svg", ".gif")
SHOWN_REPORT = (*PICTURES, ".html", ".txt")
# Slices in one table; the worst come first.
MOST_SLICES = 150
# Metrics beside each other in that table; the chosen one is always there.
MOST_COLUMNS = 12
# Words in a metric's name that tell which way is better where no bar does.
GOOD_WHEN_HIGH = {"accuracy", "recall", "precision", "auc", "f1", "ndcg", "hit", "specificity"}
GOOD_WHEN_LOW = {"loss", "error", "entropy", "crossentropy", "fall", "perplexity", "false", "distance", "nll", "brier",
                 "ece", "mse", "mae", "rmse"}  # fmt: skip


def training(site: Site, query: dict[str, str]) -> str:
    """The training of `run`."""
    record = site.runs.record(query.get("run", ""))
    return site.render("training.html", tab="training", **training_values(site, record))


def training_values(site: Site, record: RunRecord) -> dict[str, Any]:
    """Curves, layers and hyper-parameters of a run."""
    notes = Notes()
    found = events.Training()
    outputs = site.outputs(record, "ModelRun")
    if outputs:
        found = notes.get(
            lambda: site.parsed(
                outputs[0]["uri"], events.read_training, *_event_stamp(site, outputs[0]["uri"])
            ),
            found,
        )
    shown = [
        {"title": tag.removeprefix("epoch_").replace("_", " "), "chart": charts.curves(writers),
         "last": {w: events.last(points) for w, points in writers.items()}}
        for tag, writers in sorted(found.curves.items(), key=lambda item: (not item[0].startswith("epoch_"), item[0]))
    ]  # fmt: skip
    return {
        "record": record,
        "notes": notes,
        "charts": shown,
        "layers": found.layers,
        "thinned": found.thinned,
        "parameters": record.settings.get("parameters", {}),
        "has_run": bool(outputs),
    }


def _event_stamp(site: Site, uri: str) -> tuple[Any, ...]:
    return events.stamp(site.files.inside(uri))


def evaluation(site: Site, query: dict[str, str]) -> str:
    """The evaluation of `run`; `slice` and `threshold` choose what the curves show, `metric` the slices' chart."""
    record = site.runs.record(query.get("run", ""))
    return site.render("evaluation.html", tab="evaluation", **evaluation_values(site, record, query))


def evaluation_of(site: Site, record: RunRecord, notes: Notes) -> tuple[Evaluation, dict[str, Plots]]:
    """The run's evaluation, with intervals where they can be had, and its plots; empty where there is none."""
    outputs = site.outputs(record, "ModelEvaluation")
    if not outputs:
        return Evaluation(), {}
    found = notes.get(lambda: site.parsed(outputs[0]["uri"], read_evaluation), Evaluation())
    notes += [text for text in found.problems if text not in notes]
    plots = notes.get(lambda: site.parsed(outputs[0]["uri"], read_plots), {})
    return with_intervals(found, plots), plots


def evaluation_values(site: Site, record: RunRecord, query: dict[str, str]) -> dict[str, Any]:
    """All that the evaluation page shows."""
    notes = Notes()
    found, plots = evaluation_of(site, record, notes)
    bars = {bar.metric: bar for bar in site.bars(record)}
    names = _metric_names(found, list(bars))
    slices = [s for s in found.slices if s.key]
    of_slices = [name for name in names if any(name in s.metrics for s in slices)]
    metric = query["metric"] if query.get("metric") in of_slices else next(iter(of_slices), "")
    higher = _higher_is_better(metric, bars)
    slices = _worst_first(slices, metric, higher is not False)
    chosen = plots.get(query.get("slice", "")) or plots.get("")
    card = site.card(record.project)
    task = card.evaluation.task if card else ""
    overall = found.overall.metrics.get(metric)
    return {
        "record": record,
        "notes": notes,
        "found": found,
        "bars": bars,
        "names": names,
        "slice_names": of_slices,
        "columns": of_slices
        if len(of_slices) <= MOST_COLUMNS
        else [metric, *[name for name in of_slices if name != metric][: MOST_COLUMNS - 1]],
        "metric": metric,
        "higher": higher,
        "slices": slices[:MOST_SLICES],
        "slice_total": len(slices),
        "methods": methods(found),
        "slice_chart": charts.by_slice(slices, metric, overall.value if overall else None)
        if len(slices) > 1
        else None,
        "plot_slices": [key for key in plots if key],
        "plots": _plot_charts(chosen, task, query.get("threshold") or _decision(found)) if chosen else {},
        "chosen": chosen.key if chosen else "",
        "task": task,
        "reports": reports(site, record, notes),
        "has_evaluation": bool(site.outputs(record, "ModelEvaluation")),
    }


def _metric_names(found: Evaluation, first: list[str]) -> list[str]:
    """Metrics of all slices, those with a bar first, counts last."""
    names = dict.fromkeys(name for s in found.slices for name in s.metrics)
    counts = [name for name in names if name.endswith("example_count")]
    return [
        *[n for n in first if n in names],
        *[n for n in names if n not in first and n not in counts],
        *counts,
    ]


def _higher_is_better(metric: str, bars: dict[str, Any]) -> bool | None:
    """By the bar, else by the words of its name; None where they do not tell."""
    if metric in bars:
        return bars[metric].at_least is not None
    words = set(metric.split("_"))
    high, low = bool(words & GOOD_WHEN_HIGH), bool(words & GOOD_WHEN_LOW)
    return high if high != low else None


def _decision(found: Evaluation) -> str:
    """The threshold that the metrics were measured at, so that the matrix beside them agrees with them."""
    for spec in found.config.get("metricsSpecs", []):
        for metric in spec.get("metrics", []):
            given = json.loads(metric.get("config") or "{}").get("thresholds")
            if isinstance(given, int | float):
                return str(given)
    return str(DECISION)


def _worst_first(slices: list[Slice], metric: str, higher: bool) -> list[Slice]:
    def key(one: Slice) -> tuple[bool, float]:
        value = one.metrics.get(metric)
        if value is None or value.value != value.value:
            return True, 0.0
        return False, value.value if higher else -value.value

    return sorted(slices, key=key)


def _plot_charts(plots: Plots, task: str, threshold: str) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        ("matrix", "best", "roc", "pr", "calibration", "residuals", "confusion")
    )
    if plots.matrices:
        try:
            chosen = at(plots.matrices, float(threshold))
        except ValueError:
            chosen = at(plots.matrices, DECISION)
        found["matrix"], found["best"] = chosen, best(plots.matrices)
        found["roc"] = charts.roc(plots.matrices, chosen)
        found["pr"] = charts.precision_recall(plots.matrices, chosen)
    if plots.calibration:
        # A project of elsewhere has no card that says so: calibration alone is drawn for numbers, not classes.
        regression = task == "regression" or not (task or plots.matrices or plots.classes)
        found["calibration"] = charts.calibration(plots, not regression)
        if regression:
            found["residuals"] = charts.residuals(plots)
    if plots.classes:
        found["confusion"] = charts.confusion(plots)
    return found


def report_files(folder: Path) -> list[str]:
    """Names of what a browser can show in a report, at any depth, as relative paths."""
    return sorted(
        str(f.relative_to(folder))
        for f in folder.rglob("*")
        if f.is_file() and f.suffix.lower() in SHOWN_REPORT
    )


def reports(site: Site, record: RunRecord, notes: Notes) -> list[dict[str, Any]]:
    """The project's own pictures and pages."""
    found = []
    for output in site.outputs(record, "Report"):
        files = notes.get(lambda o=output: report_files(site.files.inside(o["uri"])), [])  # type: ignore[misc]
        found += [
            {"artifact": output["id"], "file": f, "picture": f.lower().endswith(PICTURES)} for f in files
        ]
    return found


def report_file(site: Site, artifact: str, name: str) -> Path:
    """A file of a Report artifact. Raises Missing for any other file."""
    if not artifact.isdigit():
        raise Missing("No report was named.")
    found = site.metadata.artifacts([int(artifact)]).get(int(artifact))
    if found is None or found.type != "Report":
        raise Missing(f"There is no report {artifact}.")
    folder = site.files.inside(found.uri)
    file = site.files.inside(folder / name)
    if not file.is_relative_to(folder) or not file.is_file() or file.suffix.lower() not in SHOWN_REPORT:
        raise Missing(f"The report has no file {name!r}.")
    return file


# ---- compare ----------------------------------------------------------------------------------------------


def compare(site: Site, query: dict[str, str]) -> str:
    """Runs `a` and `b` side by side; without them, a form to choose."""
    rows = site.runs.rows()
    a, b = query.get("a", ""), query.get("b", "")
    if not (a and b):
        return site.render("compare.html", both=None, rows=rows[:300], a=a, b=b, notes=Notes())
    notes = Notes()
    return site.render("compare.html", both=_both(site, a, b, notes), rows=rows[:300], a=a, b=b, notes=notes)


def _both(site: Site, a: str, b: str, notes: Notes) -> dict[str, Any]:
    one, other = site.runs.record(a), site.runs.record(b)
    (left, _), (right, _) = evaluation_of(site, one, notes), evaluation_of(site, other, notes)
    bars = {bar.metric: bar for bar in (*site.bars(one), *site.bars(other))}
    metrics = _pairs(_plain(left, one), _plain(right, other), bars)
    keys = [s.key for s in left.slices if s.key and any(t.key == s.key for t in right.slices)]
    of_slices = {name for s in (*left.slices, *right.slices) if s.key for name in s.metrics}
    names = [
        m["name"] for m in metrics if m["name"] in of_slices and not m["name"].endswith("example_count")
    ][:4]
    slices = [
        {"key": key, "cells": _pairs(_slice(left, key), _slice(right, key), bars, names)}
        for key in keys[:MOST_SLICES]
    ]
    return {
        "one": one,
        "other": other,
        "metrics": metrics,
        "slices": slices,
        "slice_names": names,
        "changes": _changes(site, one, other, notes),
        "curves": _curves(site, one, other, notes),
    }


def _plain(found: Evaluation, record: RunRecord) -> dict[str, Value]:
    return found.overall.metrics or {name: Value(value) for name, value in record.metrics.items()}


def _slice(found: Evaluation, key: str) -> dict[str, Value]:
    return next((s.metrics for s in found.slices if s.key == key), {})


def _pairs(
    left: dict[str, Value], right: dict[str, Value], bars: dict[str, Any], names: list[str] | None = None
) -> list[dict[str, Any]]:
    """Each metric of either side with the difference b - a, and whether b is better."""
    found = []
    for name in names if names is not None else dict.fromkeys([*bars, *left, *right]):
        x, y = left.get(name), right.get(name)
        if x is None and y is None and names is None:
            continue
        difference = y.value - x.value if x and y else None
        better = None
        higher = _higher_is_better(name, bars)
        if difference and higher is not None and not name.endswith("example_count"):
            better = (difference > 0) == higher
        found.append(
            {"name": name, "a": x, "b": y, "difference": difference, "better": better, "bar": bars.get(name)}
        )
    return found


def _changes(site: Site, one: RunRecord, other: RunRecord, notes: Notes) -> list[dict[str, Any]]:
    """What the two runs were made of, line by line; equal lines too, so that one sees what was not changed."""
    left, right = (_ingredients(site, record, notes) for record in (one, other))
    names = dict.fromkeys([*left, *right])
    return [
        {
            "name": name,
            "a": left.get(name, "–"),
            "b": right.get(name, "–"),
            "same": left.get(name) == right.get(name),
        }
        for name in names
    ]


def _ingredients(site: Site, record: RunRecord, notes: Notes) -> dict[str, str]:
    row = site.runs.find(record.run_id)
    found = {
        "variant": row.variant,
        "profile": row.profile,
        "data": str(record.settings.get("data", "")),
        "data span": "" if row.span is None else str(row.span),
        "rows": f"{row.rows:,}" if row.rows else "",
    }
    for kind, label in (("Examples", "examples"), ("Schema", "schema")):
        outputs = site.outputs(record, kind)
        if outputs:
            found[label] = f"artifact {outputs[0]['id']}"
    ids = [
        n.summary["execution"] for n in record.nodes.values() if isinstance(n.summary.get("execution"), int)
    ]
    executions = notes.get(lambda: site.metadata.executions(ids), {}) if ids else {}
    for execution in sorted(executions.values(), key=lambda e: e.id):
        try:
            digest = json.loads(execution.properties.get("custom_config") or "{}").get("code")
        except (ValueError, AttributeError, TypeError):
            digest = None
        if digest:
            found[f"code of {execution.type}"] = str(digest)
    for name, value in sorted(record.settings.get("parameters", {}).items()):
        found[f"parameter {name}"] = str(value)
    return {name: value for name, value in found.items() if value}


def _curves(site: Site, one: RunRecord, other: RunRecord, notes: Notes) -> list[dict[str, Any]]:
    """The epoch curves that both runs have, over each other."""
    both = []
    for record in (one, other):
        outputs = site.outputs(record, "ModelRun")
        both.append(
            notes.get(
                lambda o=outputs: site.parsed(
                    o[0]["uri"], events.read_training, *_event_stamp(site, o[0]["uri"])
                ),  # type: ignore[misc]
                events.Training(),
            )
            if outputs
            else events.Training()
        )
    found = []
    for tag in [t for t in both[0].curves if t in both[1].curves and t.startswith("epoch_")][:4]:
        lines = {f"{label} {writer}": points for label, side in zip("ab", both, strict=True)
                 for writer, points in side.curves[tag].items()}  # fmt: skip
        found.append({"title": tag.removeprefix("epoch_").replace("_", " "), "chart": charts.curves(lines)})
    return found
