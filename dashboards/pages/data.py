"""Data: what changed, statistics of every feature over all splits and the span before, schema, anomalies, examples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dashboards.drawing import svg
from dashboards.drawing.words import percent, short
from dashboards.pages import changes
from dashboards.pages.changes import Comparison, Features, Row, Unmeasured
from dashboards.pages.classes import label_keys, named
from dashboards.pages.numbers import whole_number
from dashboards.pages.site import Notes, Site
from dashboards.readers import feature_stats
from dashboards.readers.feature_stats import FeatureStats, Split
from dashboards.readers.files import Missing
from dashboards.readers.samples import Sample, read_sample
from dashboards.readers.shared_bins import shared
from pipelines.base.project import Project
from pipelines.base.run_record import RunRecord
from pipelines.base.summary import anomalies

# Features on one page; projects with thousands of columns are leafed through.
PAGE = 30
# Features of all series together that are compared while the page waits.
FEW = 3_000
# What all features may be sorted by: its words, its value (None comes last), and whether the largest comes first.
SORTS: dict[str, tuple[str, Callable[[Row | Unmeasured], float | None], bool]] = {
    "missing": ("missing", lambda row: row.stats.missing, True),
    "drift": ("distance", lambda row: row.furthest, True),
    "least": ("least", lambda row: row.stats.minimum if row.stats.numeric else None, False),
    "median": ("median", lambda row: row.stats.median if row.stats.numeric else None, True),
    "most": ("most", lambda row: row.stats.maximum if row.stats.numeric else None, True),
}


def data(site: Site, query: dict[str, str]) -> str:
    """The data of `run`: `split` against the others; `q` filters all features, `sort` and `order` (up, down) order
    them, `page` leafs; `scale=log` and `bins=quantiles` change how they are drawn.
    """
    record = site.runs.record(query.get("run", ""))
    return site.render("data.html", tab="data", **data_values(site, record, query, 0.0))


def live(site: Site, query: dict[str, str]) -> str:
    """Whether the comparison of `run`'s `split` is there; the page asks for it until it is, and is then made anew."""
    record = site.runs.record(query.get("run", ""))
    series, source = _series(site, record, query, Notes())
    pending = bool(series) and _compared(site, record, source, series, 0.0) is None
    return site.render("_comparing.html", record=record, pending=pending, chosen=next(iter(series), ""))


def data_values(
    site: Site, record: RunRecord, query: dict[str, str], wait_s: float | None = None
) -> dict[str, Any]:
    """All that the data page shows; the export shows the same. What changed may be missing after `wait_s` seconds."""
    notes = Notes()
    splits = _splits(site, record, notes)
    series, source = _series(site, record, query, notes)
    chosen = next(iter(series), "")
    noted, comparison = len(notes), None
    if series:
        comparison = notes.get(lambda: _compared(site, record, source, series, wait_s), None)
    pending = bool(series) and comparison is None and len(notes) == noted
    features = series.get(chosen, {})
    rows: Sequence[Row | Unmeasured] = comparison.rows if comparison else changes.unmeasured(features)
    changed = comparison.changes if comparison else ()
    card = site.card(record.project)
    by_name = {row.name: row for row in rows}
    label = next((by_name[key] for key in label_keys(card) if key in by_name), None)
    drawn = functools.partial(
        _drawn, series, card, quantiles=query.get("bins") == "quantiles", log=query.get("scale") == "log"
    )
    by_words = functools.partial(named, card)
    schema = _schema(site, record, notes)
    return {
        "record": record,
        "notes": notes,
        "splits": splits,
        "chosen": chosen,
        "series": list(series),
        "before": source,
        "pending": pending,
        **_leaf(rows, query, drawn),
        "total": len(rows),
        "changes": [
            {"change": c, "numbers": changes.in_numbers(c, by_words)} for c in changed[: changes.LISTED]
        ],
        "more_changes": max(0, len(changed) - changes.LISTED),
        "label": drawn(label) if label else None,
        "named": by_words,
        "q": query.get("q", ""),
        "log": query.get("scale") == "log",
        "quantiles": query.get("bins") == "quantiles",
        "schema": schema,
        "anomalies": anomalies_of(site, record, notes),
        "drift": _drift(site, record),
        "samples": _samples(site, record, query.get("sample") or chosen, [f.name for f in schema], notes),
        "has_statistics": bool(site.outputs(record, "ExampleStatistics")),
    }


def _leaf(
    rows: Sequence[Row | Unmeasured],
    query: dict[str, str],
    drawn: Callable[[Row | Unmeasured], dict[str, Any]],
) -> dict[str, Any]:
    """One page of all features that match, in the order asked for."""
    wanted = query.get("q", "").strip().lower()
    matching = [row for row in rows if wanted in row.name.lower()]
    sort = query["sort"] if query.get("sort") in SORTS else ""
    down = {"up": False, "down": True}.get(query.get("order", ""), bool(sort) and SORTS[sort][2])
    if sort:
        value = SORTS[sort][1]
        valued = [(number, row) for row in matching if (number := value(row)) is not None]
        valued.sort(key=lambda pair: pair[0], reverse=down)
        matching = [row for _, row in valued] + [row for row in matching if value(row) is None]
    elif down:
        matching.reverse()
    pages = max(1, -(-len(matching) // PAGE))
    page = min(max(1, whole_number(query.get("page")) or 1), pages)
    return {
        "rows": [drawn(row) for row in matching[(page - 1) * PAGE : page * PAGE]],
        "matching": len(matching),
        "page": page,
        "pages": pages,
        "sort": sort,
        "order": "down" if down else "up",
        "sorts": {key: (words, "down" if first else "up") for key, (words, _, first) in SORTS.items()},
    }


def _train_first(name: str) -> tuple[int, str]:
    return (0 if name == "train" else 1 if name == "eval" else 2, name)


def read_splits(folder: Path) -> dict[str, Split]:
    """All splits of a statistics artifact."""
    splits = {}
    for file in sorted(folder.glob("Split-*/FeatureStats.pb")):
        split = feature_stats.read_split(file)
        splits[split.name] = split
    return splits


def _splits(site: Site, record: RunRecord, notes: Notes) -> dict[str, Split]:
    outputs = site.outputs(record, "ExampleStatistics")
    if not outputs:
        return {}
    splits: dict[str, Split] = notes.get(lambda: site.parsed(outputs[0]["uri"], read_splits), {})
    return splits


def _series(
    site: Site, record: RunRecord, query: dict[str, str], notes: Notes
) -> tuple[dict[str, Features], dict[str, Any] | None]:
    """The chosen split, the same one of the span before, the other splits; and which statistics those before are."""
    splits = _splits(site, record, notes)
    names = sorted(splits, key=_train_first)
    chosen = query["split"] if query.get("split") in splits else next(iter(names), "")
    if not chosen:
        return {}, None
    before, source = _before(site, record, chosen)
    against = {"before": before.features} if before else {}
    against |= {name: splits[name].features for name in names if name != chosen}
    return {chosen: splits[chosen].features, **against}, source


def _before(site: Site, record: RunRecord, chosen: str) -> tuple[Split | None, dict[str, Any] | None]:
    """The split `chosen` of the statistics before the run's, if they have it, and which those are."""
    own = site.outputs(record, "ExampleStatistics")[0]["id"]
    try:
        known = site.metadata.project_artifacts(record.project, "ExampleStatistics")
        spans = {a.id: a.properties.get("span") for a in known}
        older = [a for a in known if a.id < own]
        # Statistics of the same span again, after a change of code, are no span before.
        different = [a for a in older if spans[a.id] != spans.get(own)] or older
        if not different:
            return None, None
        last = different[-1]
        folder = site.files.inside(last.uri)
        file = folder / f"Split-{chosen}" / "FeatureStats.pb"
        split = site.parsed(file, feature_stats.read_split) if file.is_file() else None
    except Missing:
        return None, None
    return split, {"id": last.id, "span": spans[last.id], "created": last.created}


def _compared(
    site: Site,
    record: RunRecord,
    source: dict[str, Any] | None,
    series: dict[str, Features],
    wait_s: float | None,
) -> Comparison | None:
    """Kept like what was read: thousands of features take their time, and are compared behind the page."""
    chosen, *others = series
    uri = site.outputs(record, "ExampleStatistics")[0]["uri"]
    written = site.files.inside(uri).stat().st_mtime_ns
    rest = {name: series[name] for name in others}
    few = sum(map(len, series.values())) <= FEW
    return site.behind.get(
        (uri, written, tuple(series), source and source["id"]),
        lambda: changes.compared(series[chosen], rest),
        None if few else wait_s,
    )


def _drawn(
    series: dict[str, Features], card: Project | None, row: Row | Unmeasured, quantiles: bool, log: bool
) -> dict[str, Any]:
    """What the page shows of a feature: its shares over common bins as a picture and as a table."""
    of_series = {name: features.get(row.name) for name, features in series.items()}
    bins = shared(of_series, quantiles)
    title = f"Shares of {row.name} in {', '.join(of_series)}"
    labels = [named(card, row.name, text) for text in svg.bin_labels(bins)] if bins else []
    return {
        "name": row.name,
        "stats": row.stats,
        "distances": row.distances,
        "furthest": row.furthest,
        "facts": facts(row.stats),
        "picture": svg.overlay(bins, title, log, labels),
        # What the switches of the page would ask for, for a file that cannot ask.
        "others": lambda: [
            (
                f"{'log' if tall else 'linear'}-{'quantiles' if full else 'even'}",
                svg.overlay(shared(of_series, full), title, tall, hover=False),
            )
            for tall in (False, True)
            for full in (False, True)
            if (tall, full) != (log, quantiles)
        ],
        "bins": bins,
        "bin_labels": labels,
    }


def facts(stats: FeatureStats) -> list[tuple[str, str]]:
    """What is worth saying about a feature besides its histogram."""
    if stats.numeric:
        entries = [
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
        entries = [("different", short(stats.unique)), ("most frequent", " · ".join(shares)),
                   ("mean length", short(stats.length))]  # fmt: skip
    elif stats.length is not None:
        entries = [
            ("mean bytes", short(stats.length)),
            ("bytes", f"{short(stats.minimum)} … {short(stats.maximum)}"),
        ]
    else:
        entries = []
    low, high = stats.values
    if high > 1:
        entries.append(("values per row", f"{low} … {high}" if low != high else str(high)))
    return entries


def _schema(site: Site, record: RunRecord, notes: Notes) -> list[feature_stats.SchemaFeature]:
    outputs = site.outputs(record, "Schema")
    return notes.get(lambda: site.parsed(outputs[0]["uri"], feature_stats.read_schema), []) if outputs else []


def anomalies_of(site: Site, record: RunRecord, notes: Notes) -> dict[str, Any]:
    """{'checked': whether the validator spoke, 'anomaly_info': [...]}."""
    outputs = site.outputs(record, "ExampleAnomalies")
    if outputs:
        anomaly_info = notes.get(lambda: site.parsed(outputs[0]["uri"], anomalies), None)
        return {"checked": anomaly_info is not None, "anomaly_info": anomaly_info or [], "error": ""}
    # A validator that stops the run leaves no artifact, but its error names what it found.
    failed = [
        n.error for name, n in record.nodes.items() if name == "ExampleValidator" and n.state == "failed"
    ]
    return {"checked": bool(failed), "anomaly_info": [], "error": failed[0] if failed else ""}


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


def _samples(
    site: Site, record: RunRecord, split: str, order: list[str], notes: Notes
) -> list[dict[str, Any]]:
    """Examples of a split as they came in, and as Transform left them; columns in the schema's `order`."""
    samples = []
    for output in site.outputs(record, "Examples"):
        title = "After Transform" if output["node"] == "Transform" else f"As {output['node']} wrote them"
        folder = Path(output["uri"]) / f"Split-{split}"
        if split and "/" not in split:
            sample = notes.get(functools.partial(site.parsed, folder, read_sample), Sample((), ()))
            if sample.rows:
                columns = in_order(sample.columns, order)
                samples.append({"title": title, "sample": Sample(columns, sample.rows), "split": split})
    return samples


def in_order(columns: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """Columns as the schema lists them, transformed ones (`_xf`) where their raw ones stand, others at the end."""
    places = {name: at for at, name in enumerate(order)}
    return tuple(sorted(columns, key=lambda c: places.get(c, places.get(c.removesuffix("_xf"), len(places)))))
