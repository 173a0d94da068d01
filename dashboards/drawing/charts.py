"""Charts that people zoom into, as data for plotly in the page; colours, fonts and sizes are the page's.

A chart is {'data': plotly traces, 'layout': axes}. The page writes it as JSON that cannot end its script element.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dashboards.drawing.words import when
from dashboards.readers.evaluation import Slice
from dashboards.readers.plots import Matrix, Plots
from dashboards.readers.searches import Found

Chart = dict[str, Any]
# Colours of the style sheet, --c1 and on.
COLOURS = 6


def as_json(chart: Chart) -> Markup:
    """JSON for a script element: no '<' and no NaN."""
    text = json.dumps(_finite(chart), separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.6g}")
    if isinstance(value, str):
        # plotly reads a little HTML in its texts; names are no HTML.
        return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if isinstance(value, dict):
        return {key: v if key == "hovertemplate" else _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def _axes(x: str, y: str, **more: Any) -> dict[str, Any]:
    layout = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    for axis, values in more.items():
        layout.setdefault(axis, {}).update(values)
    return layout


def curves(
    writers: Mapping[str, Sequence[tuple[int, float]]], x: str = "epoch or step", names: str = ""
) -> Chart:
    """One line per writer (train, validation) or per run."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(points) < 40 else "lines",
            "name": writer,
            "x": [step for step, _ in points],
            "y": [value for _, value in points],
        }
        for writer, points in writers.items()
    ]
    return {"data": data, "layout": _axes(x, names)}


@dataclass(frozen=True)
class Happened:
    """A run in the history of a metric. `value` is NaN where it came to none, `kind` what colours it."""

    at: float
    value: float
    kind: str
    run: str
    href: str
    bars: tuple[float, ...]
    verdict: str


def history(events: Sequence[Happened], name: str) -> Chart:
    """A metric over runs, oldest first: points by kind, each with its own bars as dashes; crosses came to nothing.

    What is chosen opens its run.
    """
    data: list[dict[str, Any]] = []
    for at, kind in enumerate(dict.fromkeys(e.kind for e in events if math.isfinite(e.value))):
        colour = f"--c{1 + at % COLOURS}"
        of_kind = [e for e in events if e.kind == kind and math.isfinite(e.value)]
        # Refused models are rings, so that colour is left for the kind.
        symbols = ["circle" if e.verdict == "blessed" else "circle-open" for e in of_kind]
        data.append({"type": "scatter", "mode": "lines+markers", "name": kind, "legendgroup": kind,
                     **_of_runs(of_kind, [e.value for e in of_kind]),
                     "line": {"color": colour, "width": 1}, "marker": {"color": colour, "symbol": symbols, "size": 8},
                     "hovertemplate": "%{y:.4g} %{text}<extra></extra>"})  # fmt: skip
        held = [(e, bound) for e in of_kind for bound in e.bars]
        if held:
            data.append({"type": "scatter", "mode": "markers", "name": f"bar of {kind}", "legendgroup": kind,
                         **_of_runs([e for e, _ in held], [bound for _, bound in held]), "showlegend": False,
                         "marker": {"color": colour, "symbol": "line-ew-open", "size": 14, "line": {"width": 2}},
                         "hovertemplate": "bar %{y:.4g} of %{text}<extra></extra>"})  # fmt: skip
    nothing = [e for e in events if not math.isfinite(e.value)]
    drawn = [y for trace in data for y in trace["y"]]
    if nothing and drawn:
        data.append({"type": "scatter", "mode": "markers", "name": "no result",
                     **_of_runs(nothing, [min(drawn) - 0.08 * (max(drawn) - min(drawn))] * len(nothing)),
                     "marker": {"color": "--bad", "symbol": "x", "size": 8},
                     "hovertemplate": "%{text}<extra></extra>"})  # fmt: skip
    return {"data": data, "layout": _axes("", name, xaxis={"type": "date"})}


def _of_runs(events: Sequence[Happened], values: Sequence[float]) -> dict[str, Any]:
    return {
        "x": [when(e.at) for e in events],
        "y": list(values),
        "text": [f"{e.run}, {e.kind}: {e.verdict}" for e in events],
        "customdata": [e.href for e in events],
    }


def roc(matrices: Sequence[Matrix], chosen: Matrix | None) -> Chart:
    """Recall against fall-out, the chosen threshold marked."""
    points = [m for m in matrices if math.isfinite(m.recall) and math.isfinite(m.fall_out)]
    points = sorted(points, key=lambda m: (m.fall_out, m.recall))
    data = [
        _line(
            "model", [m.fall_out for m in points], [m.recall for m in points], [m.threshold for m in points]
        ),
        {
            "type": "scatter",
            "mode": "lines",
            "name": "chance",
            "x": [0, 1],
            "y": [0, 1],
            "line": {"dash": "dot"},
        },
    ]
    if chosen is not None:
        data.append(_mark(chosen.fall_out, chosen.recall, chosen.threshold))
    limits = {"range": [-0.01, 1.01]}
    return {"data": data, "layout": _axes("false positive rate (fall-out)", "true positive rate (recall)",
                                          xaxis=limits, yaxis=limits)}  # fmt: skip


def precision_recall(matrices: Sequence[Matrix], chosen: Matrix | None) -> Chart:
    """Precision against recall; the dotted line is the share of positives."""
    points = sorted(
        (m for m in matrices if math.isfinite(m.recall) and math.isfinite(m.precision)),
        key=lambda m: m.recall,
    )
    data = [
        _line(
            "model", [m.recall for m in points], [m.precision for m in points], [m.threshold for m in points]
        )
    ]
    if points:
        m = points[0]
        share = (m.tp + m.fn) / max(1.0, m.tp + m.fp + m.tn + m.fn)
        data.append({"type": "scatter", "mode": "lines", "name": "chance", "x": [0, 1], "y": [share, share],
                     "line": {"dash": "dot"}})  # fmt: skip
    if chosen is not None and math.isfinite(chosen.precision):
        data.append(_mark(chosen.recall, chosen.precision, chosen.threshold))
    limits = {"range": [-0.01, 1.01]}
    return {"data": data, "layout": _axes("recall", "precision", xaxis=limits, yaxis=limits)}


def _line(name: str, x: list[float], y: list[float], thresholds: list[float]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "customdata": thresholds,
            "hovertemplate": "%{x:.4f}, %{y:.4f}<br>threshold %{customdata:.4g}<extra></extra>"}  # fmt: skip


def _mark(x: float, y: float, threshold: float) -> dict[str, Any]:
    return {"type": "scatter", "mode": "markers", "name": f"threshold {threshold:.4g}", "x": [x], "y": [y],
            "marker": {"size": 11, "symbol": "diamond"}}  # fmt: skip


def calibration(plots: Plots, binary: bool) -> Chart:
    """Mean label against mean prediction in buckets of about equal size."""
    points = plots.calibration
    low = min(min(p, y) for p, y, _ in points)
    high = max(max(p, y) for p, y, _ in points)
    data = [
        {"type": "scatter", "mode": "lines+markers", "name": "model", "x": [p for p, _, _ in points],
         "y": [y for _, y, _ in points], "customdata": [n for _, _, n in points],
         "hovertemplate": "predicted %{x:.4g}, was %{y:.4g}<br>%{customdata:,.0f} rows<extra></extra>"},
        {"type": "scatter", "mode": "lines", "name": "perfect", "x": [low, high], "y": [low, high],
         "line": {"dash": "dot"}},
    ]  # fmt: skip
    what = "share of positives" if binary else "mean label"
    return {"data": data, "layout": _axes("mean prediction", what)}


def residuals(plots: Plots) -> Chart:
    """Prediction minus label by size of the prediction."""
    points = plots.calibration
    data = [
        {"type": "bar", "name": "residual", "x": [p for p, _, _ in points], "y": [p - y for p, y, _ in points],
         "customdata": [n for _, _, n in points],
         "hovertemplate": "predicted %{x:.4g}: off by %{y:.4g}<br>%{customdata:,.0f} rows<extra></extra>"}
    ]  # fmt: skip
    return {"data": data, "layout": _axes("mean prediction", "prediction − label (mean)")}


def by_slice(
    slices: Sequence[Slice], metric: str, overall: float | None, name: Callable[[str], str] = str
) -> Chart:
    """A metric in each slice, called by `name`, with its interval; the dashed line is the whole."""
    rows = [(name(s.key), s.metrics[metric]) for s in slices if s.key and metric in s.metrics][:40][::-1]
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "name": metric, "x": [v.value for _, v in rows],
        "y": [key for key, _ in rows], "marker": {"size": 9},
    }  # fmt: skip
    if any(v.low is not None for _, v in rows):
        trace["error_x"] = {
            "type": "data", "symmetric": False,
            "array": [(v.high or v.value) - v.value for _, v in rows],
            "arrayminus": [v.value - (v.low if v.low is not None else v.value) for _, v in rows],
        }  # fmt: skip
    data = [trace]
    if overall is not None and rows:
        data.append({"type": "scatter", "mode": "lines", "name": "all rows", "x": [overall, overall],
                     "y": [rows[0][0], rows[-1][0]], "line": {"dash": "dash"}})  # fmt: skip
    return {
        "data": data,
        "layout": _axes(metric, "", yaxis={"type": "category", "automargin": True}),
        "rows": len(rows),
    }


def trials(found: Found) -> Chart:
    """The value of every trial that came to one, and the best until then."""
    valued = [one for one in found.trials if one["value"] is not None]
    best = found.best_so_far
    data = [
        {"type": "scatter", "mode": "markers", "name": "trial", "x": [one["number"] for one in valued],
         "y": [one["value"] for one in valued]},
        {"type": "scatter", "mode": "lines", "name": "best so far", "x": [number for number, _ in best],
         "y": [value for _, value in best], "line": {"shape": "hv"}},
    ]  # fmt: skip
    return {"data": data, "layout": _axes("trial (0: the card's values)", found.metric)}


def seeds(found: Found) -> Chart:
    """Mean and standard error of the best trials over other seeds."""
    finals = found.finals
    names = ["the card's" if one["trial"] == 0 else f"trial {one['trial']}" for one in finals]
    data = [
        {"type": "scatter", "mode": "markers", "name": "mean, standard error", "x": names,
         "y": [one["mean"] for one in finals], "marker": {"size": 10},
         "error_y": {"type": "data", "array": [one["error"] for one in finals]}},
        {"type": "scatter", "mode": "markers", "name": "one seed", "marker": {"size": 5},
         "x": [name for name, one in zip(names, finals, strict=True) for _ in one["values"]],
         "y": [value for one in finals for value in one["values"]]},
    ]  # fmt: skip
    return {"data": data, "layout": _axes("", found.metric, xaxis={"type": "category"})}


def shares(importances: Mapping[str, float]) -> Chart:
    """Each parameter's share of what the metric varies by."""
    ordered = sorted(importances.items(), key=lambda item: item[1])
    data = [{"type": "bar", "orientation": "h", "name": "share of the variance",
             "x": [share for _, share in ordered], "y": [name for name, _ in ordered]}]  # fmt: skip
    layout = _axes("share of the variance", "", yaxis={"type": "category", "automargin": True})
    return {"data": data, "layout": layout}
