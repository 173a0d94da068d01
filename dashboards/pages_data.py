"""Data: statistics of every feature, split beside split and beside the span before; schema, anomalies, examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dashboards import drawing, feature_stats
from dashboards.distances import distance
from dashboards.feature_stats import FeatureStats, Split
from dashboards.files import Missing
from dashboards.samples import Sample, read_sample
from dashboards.site import Notes, Site
from dashboards.words import percent, short
from pipelines.base.run_record import RunRecord
from pipelines.base.summary import anomalies

# Features on one page; projects with thousands of columns are leafed through.
PAGE = 30


def data(site: Site, query: dict[str, str]) -> str:
    """The data of `run`; `split` against the others, `q` filters features, `sort` orders, `page` leafs."""
    record = site.runs.record(query.get("run", ""))
    return site.render("data.html", tab="data", **data_values(site, record, query))


def data_values(site: Site, record: RunRecord, query: dict[str, str]) -> dict[str, Any]:
    """All that the data page shows; the export shows the same."""
    notes = Notes()
    splits, before, source = _splits(site, record, notes)
    first = next(iter(sorted(splits, key=_train_first)), "")
    chosen = query["split"] if query.get("split") in splits else first
    others = [name for name in sorted(splits, key=_train_first) if name != chosen]
    rows = _rows(splits, before, chosen, others) if chosen else []
    wanted = query.get("q", "").strip().lower()
    matching = [row for row in rows if wanted in row["name"].lower()]
    if query.get("sort") == "drift":
        matching.sort(key=lambda row: -row["furthest"])
    elif query.get("sort") == "missing":
        matching.sort(key=lambda row: -row["stats"].missing)
    pages = max(1, -(-len(matching) // PAGE))
    page = min(max(1, int(query["page"]) if query.get("page", "").isdigit() else 1), pages)
    shown = matching[(page - 1) * PAGE : page * PAGE]
    for row in shown:
        _draw(row, splits, before, chosen, others)
    return {
        "record": record,
        "notes": notes,
        "splits": splits,
        "chosen": chosen,
        "others": others,
        "before": source,
        "rows": shown,
        "found": len(matching),
        "total": len(rows),
        "page": page,
        "pages": pages,
        "q": query.get("q", ""),
        "sort": query.get("sort", ""),
        "schema": _schema(site, record, notes),
        "anomalies": _anomalies(site, record, notes),
        "drift": _drift(site, record),
        "samples": _samples(site, record, query.get("sample") or chosen, notes),
        "has_statistics": bool(site.outputs(record, "ExampleStatistics")),
    }


def _train_first(name: str) -> tuple[int, str]:
    return (0 if name == "train" else 1 if name == "eval" else 2, name)


def read_splits(folder: Path) -> dict[str, Split]:
    """All splits of a statistics artifact."""
    found = {}
    for file in sorted(folder.glob("Split-*/FeatureStats.pb")):
        split = feature_stats.read_split(file)
        found[split.name] = split
    return found


def _splits(
    site: Site, record: RunRecord, notes: Notes
) -> tuple[dict[str, Split], dict[str, Split], dict[str, Any] | None]:
    """The run's splits, the splits of the statistics before them, and which those were."""
    outputs = site.outputs(record, "ExampleStatistics")
    if not outputs:
        return {}, {}, None
    splits = notes.get(lambda: site.parsed(outputs[0]["uri"], read_splits), {})
    try:
        older = [a for a in site.metadata.project_artifacts(record.project, "ExampleStatistics")
                 if a.id < outputs[0]["id"]]  # fmt: skip
        before = site.parsed(older[-1].uri, read_splits) if older else {}
    except Missing:
        return splits, {}, None
    if not before:
        return splits, {}, None
    span = older[-1].properties.get("span")
    return splits, before, {"id": older[-1].id, "span": span, "created": older[-1].created}


def _rows(
    splits: dict[str, Split], before: dict[str, Split], chosen: str, others: list[str]
) -> list[dict[str, Any]]:
    """One row per feature, by name, V2 before V10."""
    rows = []
    for name, stats in sorted(splits[chosen].features.items(), key=lambda item: _natural(item[0])):
        distances = {other: distance(stats, splits[other].features.get(name)) for other in others}
        if chosen in before:
            distances["before"] = distance(stats, before[chosen].features.get(name))
        furthest = max((d[1] for d in distances.values() if d), default=0.0)
        rows.append(
            {
                "name": name,
                "stats": stats,
                "distances": distances,
                "furthest": furthest,
                "facts": facts(stats),
            }
        )
    return rows


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _draw(
    row: dict[str, Any], splits: dict[str, Split], before: dict[str, Split], chosen: str, others: list[str]
) -> None:
    name = row["name"]
    row["pictures"] = {chosen: drawing.histogram(row["stats"], f"{name} in {chosen}")}
    for other in others:
        row["pictures"][other] = drawing.histogram(splits[other].features.get(name), f"{name} in {other}")
    if chosen in before:
        row["pictures"]["before"] = drawing.histogram(before[chosen].features.get(name), f"{name} before")


def facts(stats: FeatureStats) -> list[tuple[str, str]]:
    """What is worth saying about a feature besides its histogram."""
    if stats.numeric:
        found = [
            ("mean", short(stats.mean)),
            ("deviation", short(stats.deviation)),
            ("zeros", percent(stats.zeros)),
            ("quantiles", " · ".join(short(q) for q in stats.quantiles)),
        ]
    elif stats.top:
        shares = [
            f"{text[:40]} ({percent(count / stats.present if stats.present else 0)})"
            for text, count in stats.top[:5]
        ]
        found = [("different", short(stats.unique)), ("most frequent", " · ".join(shares)),
                 ("mean length", short(stats.length))]  # fmt: skip
    elif stats.length is not None:
        found = [
            ("mean bytes", short(stats.length)),
            ("bytes", f"{short(stats.minimum)} … {short(stats.maximum)}"),
        ]
    else:
        found = []
    low, high = stats.values
    if high > 1:
        found.append(("values per row", f"{low} … {high}" if low != high else str(high)))
    return found


def _schema(site: Site, record: RunRecord, notes: Notes) -> list[feature_stats.SchemaFeature]:
    outputs = site.outputs(record, "Schema")
    return notes.get(lambda: site.parsed(outputs[0]["uri"], feature_stats.read_schema), []) if outputs else []


def _anomalies(site: Site, record: RunRecord, notes: Notes) -> dict[str, Any]:
    """{'checked': whether the validator spoke, 'found': [...]}."""
    outputs = site.outputs(record, "ExampleAnomalies")
    if outputs:
        found = notes.get(lambda: site.parsed(outputs[0]["uri"], anomalies), None)
        return {"checked": found is not None, "found": found or [], "error": ""}
    # A validator that stops the run leaves no artifact, but its error names what it found.
    failed = [
        n.error for name, n in record.nodes.items() if name == "ExampleValidator" and n.state == "failed"
    ]
    return {"checked": bool(failed), "found": [], "error": failed[0] if failed else ""}


def read_all_drift(folder: Path) -> list[feature_stats.Drift]:
    return [
        d for file in sorted(folder.glob("Split-*/SchemaDiff.pb")) for d in feature_stats.read_drift(file)
    ]


def _drift(site: Site, record: RunRecord) -> list[feature_stats.Drift]:
    outputs = site.outputs(record, "ExampleAnomalies")
    try:
        return site.parsed(outputs[0]["uri"], read_all_drift) if outputs else []
    except Missing:
        return []


def _samples(site: Site, record: RunRecord, split: str, notes: Notes) -> list[dict[str, Any]]:
    """Examples of a split as they came in, and as Transform left them."""
    found = []
    for output in site.outputs(record, "Examples"):
        title = "After Transform" if output["node"] == "Transform" else f"As {output['node']} wrote them"
        folder = Path(output["uri"]) / f"Split-{split}"
        if split and "/" not in split:
            sample = notes.get(lambda folder=folder: site.parsed(folder, read_sample), Sample((), ()))  # type: ignore[misc]
            if sample.rows:
                found.append({"title": title, "sample": sample, "split": split})
    return found
