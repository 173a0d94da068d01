"""Compare: two runs side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dashboards.drawing import charts
from dashboards.drawing.words import needs
from dashboards.pages.bars import by_metric, direction_of
from dashboards.pages.classes import named_slice
from dashboards.pages.evaluation import MOST_SLICES, evaluation_of
from dashboards.pages.site import Notes, Site
from dashboards.pages.training import training_of
from dashboards.readers.evaluation import Evaluation, Value
from dashboards.readers.metadata import Execution
from pipelines.base.directions import Direction, Measured, verdict
from pipelines.base.project import Bar
from pipelines.base.run_record import RunRecord


def compare(site: Site, query: dict[str, str]) -> str:
    """Runs `a` and `b` side by side; without them, a form to choose."""
    rows = site.runs.rows()
    a, b = query.get("a", ""), query.get("b", "")
    if not (a and b):
        return site.render("compare.html", both=None, rows=rows[:300], a=a, b=b, notes=Notes())
    notes = Notes()
    return site.render("compare.html", both=_both(site, a, b, notes), rows=rows[:300], a=a, b=b, notes=notes)


@dataclass(frozen=True)
class Side:
    """A run that is compared, with its evaluation and its own bars."""

    record: RunRecord
    evaluation: Evaluation
    bars: dict[str, tuple[Bar, ...]]

    def direction(self, metric: str) -> Direction | None:
        return direction_of(metric, self.bars.get(metric, ()), self.evaluation)

    def metrics(self, key: str = "") -> dict[str, Value]:
        """Of one slice; of all rows those of the record where there is no evaluation."""
        measured = next((s.metrics for s in self.evaluation.slices if s.key == key), {})
        if measured or key:
            return measured
        return {name: Value(value) for name, value in self.record.metrics.items()}


def _side(site: Site, run_id: str, notes: Notes) -> Side:
    record = site.runs.record(run_id)
    return Side(record, evaluation_of(site, record, notes)[0], by_metric(site.bars(record)))


def _both(site: Site, a: str, b: str, notes: Notes) -> dict[str, Any]:
    one, other = _side(site, a, notes), _side(site, b, notes)
    metrics = _pairs(one, other)
    keys = [
        s.key for s in one.evaluation.slices if s.key and any(t.key == s.key for t in other.evaluation.slices)
    ]
    of_slices = {
        name for s in (*one.evaluation.slices, *other.evaluation.slices) if s.key for name in s.metrics
    }
    names = [
        m["name"] for m in metrics if m["name"] in of_slices and not m["name"].endswith("example_count")
    ][:4]
    card = site.card(one.record.project)
    slices = [
        {"key": named_slice(card, key), "cells": _pairs(one, other, key, names)} for key in keys[:MOST_SLICES]
    ]
    return {
        "one": one.record,
        "other": other.record,
        "metrics": metrics,
        "slices": slices,
        "slice_names": names,
        "changes": _changes(site, one.record, other.record, notes),
        "curves": _curves(site, one.record, other.record, notes),
    }


def _pairs(one: Side, other: Side, key: str = "", names: list[str] | None = None) -> list[dict[str, Any]]:
    """Each metric of either side in slice `key`, with the difference b - a and what that is."""
    left, right = one.metrics(key), other.metrics(key)
    pairs = []
    for name in names if names is not None else dict.fromkeys([*one.bars, *other.bars, *left, *right]):
        x, y = left.get(name), right.get(name)
        if x is None and y is None and names is None:
            continue
        bars = dict.fromkeys(needs(side.bars[name]) for side in (one, other) if name in side.bars)
        pairs.append(
            {
                "name": name,
                "a": x,
                "b": y,
                "difference": y.value - x.value if x and y else None,
                "verdict": _verdict(one.direction(name), other.direction(name), x, y) if x and y else "",
                "bar": ", ".join(bars),
            }
        )
    return pairs


def _verdict(one: Direction | None, other: Direction | None, a: Value, b: Value) -> str:
    """By the directions of both runs' cards; where these say different things, nothing is said."""
    old, new = Measured(a.value, a.low, a.high), Measured(b.value, b.low, b.high)
    said = {verdict(way, old, new) for way in (one, other) if way is not None}
    return said.pop() if len(said) == 1 else verdict(None, old, new)


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
    ingredients = {
        "variant": row.variant,
        "profile": row.profile,
        "data": str(record.settings.get("data", "")),
        "data span": "" if row.span is None else str(row.span),
        "rows": f"{row.rows:,}" if row.rows else "",
    }
    for kind, label in (("Examples", "examples"), ("Schema", "schema")):
        outputs = site.outputs(record, kind)
        if outputs:
            ingredients[label] = f"artifact {outputs[0]['id']}"
    ids = [
        n.summary["execution"] for n in record.nodes.values() if isinstance(n.summary.get("execution"), int)
    ]
    executions: dict[int, Execution] = notes.get(lambda: site.metadata.executions(ids), {})
    for execution in sorted(executions.values(), key=lambda e: e.id):
        try:
            digest = json.loads(execution.properties.get("custom_config") or "{}").get("code")
        except (ValueError, AttributeError, TypeError):
            digest = None
        if digest:
            ingredients[f"code of {execution.type}"] = str(digest)
    for name, value in sorted(record.settings.get("parameters", {}).items()):
        ingredients[f"parameter {name}"] = str(value)
    return {name: value for name, value in ingredients.items() if value}


def _curves(site: Site, one: RunRecord, other: RunRecord, notes: Notes) -> list[dict[str, Any]]:
    """The epoch curves that both runs have, over each other."""
    both = [training_of(site, record, notes) for record in (one, other)]
    curves = []
    for tag in [t for t in both[0].curves if t in both[1].curves and t.startswith("epoch_")][:4]:
        lines = {f"{label} {writer}": points for label, side in zip("ab", both, strict=True)
                 for writer, points in side.curves[tag].items()}  # fmt: skip
        curves.append({"title": tag.removeprefix("epoch_").replace("_", " "), "chart": charts.curves(lines)})
    return curves
