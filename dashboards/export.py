"""`viaduct export RUN -o run.html`: a run as one file that opens without a server or a network.

The same sections as the pages, with style, script and plotly inside. Links to other pages lead nowhere in a file
and are taken out; HTML reports are left out, pictures are kept.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dashboards.files import Missing
from dashboards.site import HERE, Notes, Site
from pipelines.base.paths import default_home, metadata_url
from pipelines.base.project import ProjectError, close_match

LINK = re.compile(r'<a href="/[^"]*"([^>]*)>')


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file and prints its name. Raises ProjectError for an unknown run."""
    parser = argparse.ArgumentParser(
        prog="viaduct export", description="One run as a self-contained HTML file."
    )
    parser.add_argument("run", help="a run's id (`viaduct runs`), or a project for its newest run")
    parser.add_argument("-o", "--output", type=Path, help="the file (RUN.html)")
    parser.add_argument("--home", type=Path, default=default_home(), help="HOME (VIADUCT_HOME, %(default)s)")
    options = parser.parse_args(argv)
    from dashboards.metadata import Metadata
    from dashboards.servers import Servers

    home = options.home.expanduser().absolute()
    site = Site(home, Metadata(metadata_url(home)), Servers(()))
    run_id = _chosen(site, options.run)
    target = options.output or Path(f"{run_id}.html")
    page = export_page(site, run_id)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        aside.write_text(page, encoding="utf-8")
        os.replace(aside, target)
    except OSError as error:
        raise ProjectError(f"{target} cannot be written: {error}") from error
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
        plotly=_inline(_plotly()) if charts else "",
    )


def _plotly() -> str:
    from dashboards.app import plotly_file

    return plotly_file().read_text(encoding="utf-8")


def _inline(script: str) -> Markup:
    """A script inside a page may not hold what ends its element."""
    return Markup(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _sections(site: Site, record: Any) -> list[tuple[str, str, str]]:
    from dashboards import pages_data, pages_quality, pages_runs

    notes = Notes()
    run = site.render("_run_export.html", notes=notes, **pages_runs.overview(site, record, notes))
    data = site.render("_data.html", interactive=False, **pages_data.data_values(site, record, {}))
    training = site.render("_training.html", **pages_quality.training_values(site, record))
    values = pages_quality.evaluation_values(site, record, {})
    evaluation = site.render("_evaluation.html", interactive=False, **values)
    evaluation += site.render("_report_export.html", pictures=_pictures(site, values["reports"]))
    return [
        ("run", "Run", run.replace("data-live=", "data-was-live=")),
        ("data", "Data", data),
        ("training", "Training", training),
        ("evaluation", "Evaluation", evaluation),
        ("lineage", "Lineage", _lineage(site, record)),
    ]


def _lineage(site: Site, record: Any) -> str:
    from dashboards import ancestry, pages_models

    outputs = site.outputs(record, "Model") or site.outputs(record, "Examples")
    try:
        found = ancestry.around(site.metadata, outputs[0]["id"]) if outputs else None
    except Missing as missing:
        return site.render("_lineage_export.html", picture="", text=str(missing))
    if found is None:
        return site.render("_lineage_export.html", picture="", text="This run made no data and no model.")
    picture = pages_models.lineage_picture(found, links=False)
    return site.render("_lineage_export.html", picture=picture, text=ancestry.text(found))


def _pictures(site: Site, reports: list[dict[str, Any]]) -> list[dict[str, str]]:
    from dashboards.app import MEDIA
    from dashboards.pages_quality import report_file

    found = []
    for report in reports:
        if report["picture"]:
            try:
                file = report_file(site, str(report["artifact"]), report["file"])
            except Missing:
                continue
            data = base64.b64encode(file.read_bytes()).decode()
            found.append(
                {"file": report["file"], "source": f"data:{MEDIA[file.suffix.lower()]};base64,{data}"}
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
