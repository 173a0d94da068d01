"""Tuning: the trials of a search, the best of them with other seeds, what was chosen and what the metric depends on."""

from __future__ import annotations

from dashboards.drawing import charts
from dashboards.pages.site import Notes, Site
from dashboards.readers import searches
from dashboards.readers.files import Missing


def tuning(site: Site, query: dict[str, str]) -> str:
    """The search that was `run`."""
    record = site.runs.record(query.get("run", ""))
    outputs = site.outputs(record, "TunerResults")
    if not outputs:
        raise Missing(f"Run {record.run_id} has searched nothing, or its search has not ended.")
    notes = Notes()
    uri = outputs[0]["uri"]
    found = notes.get(lambda: site.parsed(uri, searches.read_results), None)
    return site.render("tuning.html", tab="tuning", record=record, notes=notes, found=found, **drawn(found))


def drawn(found: searches.Found | None) -> dict[str, charts.Chart | None]:
    """The charts of a search; None for what it has not."""
    if found is None:
        return {"curve": None, "seeds": None, "shares": None}
    return {
        "curve": charts.trials(found),
        "seeds": charts.seeds(found),
        "shares": charts.shares(found.importances) if found.importances else None,
    }
