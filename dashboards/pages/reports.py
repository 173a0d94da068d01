"""The pictures and pages that a run's own report holds, and which of its files a browser may have."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from dashboards.pages.numbers import whole_number
from dashboards.pages.site import Notes, Site
from dashboards.readers.files import Missing
from pipelines.base.run_record import RunRecord

PICTURES = (".png", ".jpg", ".svg", ".gif")
SHOWN_REPORT = (*PICTURES, ".html", ".txt")


def report_files(folder: Path) -> list[str]:
    """Names of what a browser can show in a report, at any depth, as relative paths."""
    return sorted(
        str(f.relative_to(folder))
        for f in folder.rglob("*")
        if f.is_file() and f.suffix.lower() in SHOWN_REPORT
    )


def reports(site: Site, record: RunRecord, notes: Notes) -> list[dict[str, Any]]:
    """The project's own pictures and pages."""
    listed = []
    for output in site.outputs(record, "Report"):
        files: list[str] = notes.get(functools.partial(_listed, site, output["uri"]), [])
        listed += [
            {"artifact": output["id"], "file": f, "picture": f.lower().endswith(PICTURES)} for f in files
        ]
    return listed


def _listed(site: Site, uri: str) -> list[str]:
    return report_files(site.files.inside(uri))


def report_file(site: Site, artifact: str, name: str) -> Path:
    """A file of a Report artifact. Raises Missing for any other file."""
    number = whole_number(artifact)
    if number is None:
        raise Missing("No report was named.")
    report = site.metadata.artifacts([number]).get(number)
    if report is None or report.type != "Report":
        raise Missing(f"There is no report {artifact}.")
    folder = site.files.inside(report.uri)
    file = site.files.inside(folder / name)
    if not file.is_relative_to(folder) or not file.is_file() or file.suffix.lower() not in SHOWN_REPORT:
        raise Missing(f"The report has no file {name!r}.")
    return file
