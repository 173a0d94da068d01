"""`viaduct export RUN -o run.html`: a run as one file that opens without a server or a network.

The same sections as the pages, with style, script and plotly (packed) inside. Links to other pages lead nowhere in a
file and are taken out; HTML reports are left out, pictures are kept.
"""

from __future__ import annotations

import argparse
import base64
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dashboards.pages import assets, data, evaluation, models, reports, runs, training
from dashboards.pages.site import HERE, Notes, Site, readable_home
from dashboards.readers import ancestry
from dashboards.readers.files import Missing
from dashboards.readers.metadata import Metadata
from dashboards.readers.servers import Servers
from pipelines.base import whole
from pipelines.base.errors import ProjectError, ViaductError, close_match
from pipelines.base.paths import default_home, metadata_url

LINK = re.compile(r'<a href="/[^"]*"([^>]*)>')


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file and prints its name. Raises ProjectError for an unknown run, ViaductError for files."""
    parser = argparse.ArgumentParser(
        prog="viaduct export", description="One run as a self-contained HTML file."
    )
    parser.add_argument("run", help="a run's id (`viaduct runs`), or a project for its newest run")
    parser.add_argument("-o", "--output", type=Path, help="the file (RUN.html)")
    parser.add_argument("--home", type=Path, default=default_home(), help="HOME (VIADUCT_HOME, %(default)s)")
    options = parser.parse_args(argv)
    home = readable_home(options.home)
    site = Site(home, Metadata(metadata_url(home)), Servers(()))
    run_id = _chosen(site, options.run)
    target = options.output or Path(f"{run_id}.html")
    page = export_page(site, run_id)
    try:
        whole.write(target, page)
    except OSError as error:
        raise ViaductError(
            f"{target} cannot be written: {error.strerror}. Name another file with -o."
        ) from error
    print(target)
    return 0


def _chosen(site: Site, name: str) -> str:
    rows = site.runs.rows()
    known = {row.run_id for row in rows}
    if name in known:
        return name
    of_project = [row.run_id for row in rows if row.project == name]
    if not of_project:
        raise ProjectError(close_match("Run", name, known or {"(none yet)"}))
    return of_project[0]


def export_page(site: Site, run_id: str) -> str:
    """The HTML of a run. Raises Missing if there is no such run."""
    record = site.runs.record(run_id)
    card = site.card(record.project)
    sections = [
        (key, title, Markup(LINK.sub(r"<a\1>", body))) for key, title, body in _sections(site, record)
    ]
    charts = any('type="application/json"' in body for _, _, body in sections)
    return site.render(
        "export.html",
        record=record,
        question=card.question if card else "",
        now=time.time(),
        sections=sections,
        style=Markup((HERE / "static" / "style.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "static" / "app.js").read_text(encoding="utf-8")),
        plotly=assets.plotly_packed() if charts else "",
    )


def _sections(site: Site, record: Any) -> list[tuple[str, str, str]]:
    notes = Notes()
    overview = site.render("_run_export.html", notes=notes, **runs.overview(site, record, notes))
    values = evaluation.evaluation_values(site, record, {})
    judged = site.render("_evaluation.html", interactive=False, **values)
    judged += site.render("_report_export.html", pictures=_pictures(site, values["reports"]))
    return [
        ("run", "Run", overview.replace("data-live=", "data-was-live=")),
        ("data", "Data", site.render("_data.html", interactive=False, **data.data_values(site, record, {}))),
        ("training", "Training", site.render("_training.html", **training.training_values(site, record))),
        ("evaluation", "Evaluation", judged),
        ("lineage", "Lineage", _lineage(site, record)),
    ]


def _lineage(site: Site, record: Any) -> str:
    outputs = site.outputs(record, "Model") or site.outputs(record, "Examples")
    try:
        graph = ancestry.around(site.metadata, outputs[0]["id"]) if outputs else None
    except Missing as missing:
        return site.render("_lineage_export.html", picture="", text=str(missing))
    if graph is None:
        return site.render("_lineage_export.html", picture="", text="This run made no data and no model.")
    picture = models.lineage_picture(graph, links=False)
    return site.render("_lineage_export.html", picture=picture, text=ancestry.text(graph))


def _pictures(site: Site, listed: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The pictures among a run's reports as data URLs; what has been deleted since is left out."""
    pictures = []
    for report in listed:
        if report["picture"]:
            try:
                file = reports.report_file(site, str(report["artifact"]), report["file"])
            except Missing:
                continue
            source = f"data:{assets.MEDIA[file.suffix.lower()]};base64,{base64.b64encode(file.read_bytes()).decode()}"
            pictures.append({"file": report["file"], "source": source})
    return pictures


if __name__ == "__main__":
    sys.exit(main())
