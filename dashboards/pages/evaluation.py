"""Evaluation: gates, metrics with their intervals, curves and slices of a run."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

from dashboards.drawing import charts
from dashboards.pages.bars import by_metric, direction_of
from dashboards.pages.classes import evaluation_of as said_by
from dashboards.pages.classes import named_slice
from dashboards.pages.numbers import finite_number
from dashboards.pages.reports import reports
from dashboards.pages.site import Notes, Site
from dashboards.readers.evaluation import Evaluation, Slice, read_evaluation
from dashboards.readers.intervals import methods, with_intervals
from dashboards.readers.plots import DECISION, Plots, at, best, confusion, read_plots
from pipelines.base.directions import Direction
from pipelines.base.project import Evaluation as CardEvaluation
from pipelines.base.run_record import RunRecord

# Slices in one table; the worst come first.
MOST_SLICES = 150
# Metrics beside each other in that table; the chosen one is always there.
MOST_COLUMNS = 12


def evaluation(site: Site, query: dict[str, str]) -> str:
    """The evaluation of `run`; `slice` and `threshold` choose what the curves show, `metric` the slices' chart."""
    record = site.runs.record(query.get("run", ""))
    return site.render("evaluation.html", tab="evaluation", **evaluation_values(site, record, query))


def evaluation_of(site: Site, record: RunRecord, notes: Notes) -> tuple[Evaluation, dict[str, Plots]]:
    """The run's evaluation, with intervals where they can be had, and its plots; empty where there is none."""
    outputs = site.outputs(record, "ModelEvaluation")
    if not outputs:
        return Evaluation(), {}
    eval_result = notes.get(lambda: site.parsed(outputs[0]["uri"], read_evaluation), Evaluation())
    notes += [text for text in eval_result.problems if text not in notes]
    plots: dict[str, Plots] = notes.get(lambda: site.parsed(outputs[0]["uri"], read_plots), {})
    return with_intervals(eval_result, plots), plots


def evaluation_values(site: Site, record: RunRecord, query: dict[str, str]) -> dict[str, Any]:
    """All that the evaluation page shows."""
    notes = Notes()
    eval_result, plots = evaluation_of(site, record, notes)
    bars = by_metric(site.bars(record))
    names = _metric_names(eval_result, list(bars))
    slices = [s for s in eval_result.slices if s.key]
    of_slices = [name for name in names if any(name in s.metrics for s in slices)]
    metric = query["metric"] if query.get("metric") in of_slices else next(iter(of_slices), "")
    direction = direction_of(metric, site.bars(record), eval_result)
    slices = _worst_first(slices, metric, direction)
    chosen = plots.get(query.get("slice", "")) or plots.get("")
    card = site.card(record.project)
    said = said_by(card)
    task = said.task if card else ""
    overall = eval_result.overall.metrics.get(metric)
    by_words = functools.partial(named_slice, card)
    return {
        "record": record,
        "notes": notes,
        "eval_result": eval_result,
        "bars": bars,
        "names": names,
        "slice_names": of_slices,
        "columns": of_slices
        if len(of_slices) <= MOST_COLUMNS
        else [metric, *[name for name in of_slices if name != metric][: MOST_COLUMNS - 1]],
        "metric": metric,
        "direction": direction,
        "slices": slices[:MOST_SLICES],
        "slice_total": len(slices),
        "methods": methods(eval_result),
        "slice_chart": charts.by_slice(slices, metric, overall.value if overall else None, by_words)
        if len(slices) > 1
        else None,
        "plot_slices": [key for key in plots if key],
        "plots": _plot_charts(chosen, said, task, query.get("threshold") or _decision(eval_result))
        if chosen
        else {},
        "chosen": chosen.key if chosen else "",
        "task": task,
        "binary": _binary_names(said),
        "named": by_words,
        "reports": reports(site, record, notes),
        "has_evaluation": bool(site.outputs(record, "ModelEvaluation")),
    }


def _binary_names(said: CardEvaluation) -> tuple[str, str]:
    """What the class of 1 and that of 0 are called."""
    if len(said.classes) == 2:
        return said.classes[1], said.classes[0]
    label = said.label_key.replace("_", " ")
    return (label, f"not {label}") if label else ("yes", "no")


def _metric_names(eval_result: Evaluation, first: list[str]) -> list[str]:
    """Metrics of all slices, those with a bar first, counts last."""
    names = dict.fromkeys(name for s in eval_result.slices for name in s.metrics)
    counts = [name for name in names if name.endswith("example_count")]
    return [
        *[n for n in first if n in names],
        *[n for n in names if n not in first and n not in counts],
        *counts,
    ]


def _decision(eval_result: Evaluation) -> str:
    """The threshold that the metrics were measured at, so that the matrix beside them agrees with them."""
    for spec in eval_result.config.get("metricsSpecs", []):
        for metric in spec.get("metrics", []):
            given = json.loads(metric.get("config") or "{}").get("thresholds")
            if isinstance(given, int | float):
                return str(given)
    return str(DECISION)


def _worst_first(slices: list[Slice], metric: str, direction: Direction | None) -> list[Slice]:
    """The worst come first, the lowest where no direction is known; what was not measured comes last."""

    def key(one: Slice) -> tuple[bool, float]:
        value = one.metrics.get(metric)
        if value is None or math.isnan(value.value):
            return True, 0.0
        return False, -direction.badness(value.value) if direction is not None else value.value

    return sorted(slices, key=key)


def _plot_charts(plots: Plots, said: CardEvaluation, task: str, threshold: str) -> dict[str, Any]:
    drawn: dict[str, Any] = dict.fromkeys(
        ("matrix", "best", "roc", "pr", "calibration", "residuals", "confusion")
    )
    if plots.matrices:
        wanted = finite_number(threshold)
        chosen = at(plots.matrices, DECISION if wanted is None else wanted)
        drawn["matrix"], drawn["best"] = chosen, best(plots.matrices)
        drawn["roc"] = charts.roc(plots.matrices, chosen)
        drawn["pr"] = charts.precision_recall(plots.matrices, chosen)
    if plots.calibration:
        # A project of elsewhere has no card that says so: calibration alone is drawn for numbers, not classes.
        regression = task == "regression" or not (task or plots.matrices or plots.classes)
        drawn["calibration"] = charts.calibration(plots, not regression)
        if regression:
            drawn["residuals"] = charts.residuals(plots)
    if plots.classes:
        drawn["confusion"] = confusion(plots.classes, said.class_name)
    return drawn
