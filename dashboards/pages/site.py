"""What every page shares: where HOME is, the readers, the templates. One per app; its parts are thread-safe."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dashboards.drawing.charts import as_json
from dashboards.drawing.words import FILTERS, duration, url
from dashboards.pages.behind import Behind
from dashboards.readers.files import Files, Missing
from dashboards.readers.metadata import Metadata
from dashboards.readers.runs import RunRow, Runs
from dashboards.readers.servers import Servers
from pipelines.base import production, registry
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.project import Bar, Project
from pipelines.base.run_record import RunRecord

HERE = Path(__file__).parents[1]
T = TypeVar("T")


@dataclass
class Site:
    """The readers of one HOME."""

    home: Path
    metadata: Metadata
    servers: Servers
    files: Files = field(init=False)
    runs: Runs = field(init=False)
    templates: Any = field(init=False)
    behind: Behind = field(default_factory=Behind, init=False)
    _cards: dict[str, Project] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.files = Files(self.home)
        self.runs = Runs(self.files, self.metadata)
        self.templates = _environment()

    def render(self, template: str, **values: Any) -> str:
        """The page as HTML; every value is escaped."""
        shared = {"home": str(self.home), "trouble": self.trouble()}
        page: str = self.templates.get_template(template).render(**shared, **values)
        return page

    def warm(self) -> None:
        """Compiles all templates, so that the first page is as quick as the next."""
        for name in self.templates.list_templates():
            self.templates.get_template(name)

    def trouble(self) -> str:
        """What is to be said above every page while ML Metadata does not answer."""
        waited = self.metadata.trouble()
        if waited is None:
            return ""
        shown = "" if waited[1] is None else f" What is shown of it is {duration(waited[1])} old."
        return f"ML Metadata has not answered for {duration(waited[0])}; another process may hold its lock.{shown}"

    def projects(self, rows: Iterable[RunRow] | None = None) -> list[str]:
        """All names that may have something to show: the repository's projects and those with runs here (`rows`)."""
        return sorted(
            {*registry.names(), *(row.project for row in (self.runs.rows() if rows is None else rows))}
        )

    def served_names(self, projects: Iterable[str]) -> list[str]:
        """The names that models of `projects` may be served under: the projects' own, and what else is pushed here."""
        wanted = set(projects)
        try:
            pushed = {path.name for path in self.files.inside(self.home / "serving").iterdir()}
        except Missing:
            pushed = set()
        return sorted(wanted | {name for name in pushed if production.project_of(name) in wanted})

    def card(self, name: str) -> Project | None:
        """The project's card; None for a project of elsewhere, or one whose card is broken."""
        # A card that was imported once stays what it is; looking for its folder for each of a page's runs is slow.
        if name not in self._cards:
            try:
                if name not in registry.names():
                    return None
                self._cards[name] = registry.get(name)
            except ProjectError:
                return None
        return self._cards[name]

    def bars(self, record: Any) -> tuple[Bar, ...]:
        """The bars that a run (row or record) was held to; () where nobody knows."""
        settings = record.settings if isinstance(record, RunRecord) else vars(record)
        card = self.card(record.project)
        if card is None or settings.get("profile") not in ("quick", "full"):
            return ()
        try:
            return card.bars(settings["profile"], settings.get("variant") or None)
        except ProjectError:
            return ()

    def outputs(self, record: RunRecord, kind: str) -> list[dict[str, Any]]:
        """The run's output artifacts of a type, with the node that made them: {node, key, type, id, uri}."""
        return [
            {**output, "node": name}
            for name, node in record.nodes.items()
            for output in node.summary.get("outputs", [])
            if isinstance(output, dict) and output.get("type") == kind
        ]

    def parsed(self, path: str | Path, parse: Callable[[Path], T], *key: Any) -> T:
        return self.files.parsed(path, parse, *key)


def readable_home(path: Path) -> Path:
    """`path` in full, if it is a folder that may be listed or is not there yet. Raises ViaductError."""
    home = path.expanduser().absolute()
    try:
        if home.exists():
            os.listdir(home)
    except OSError as error:
        raise ViaductError(
            f"HOME is {str(home)!r}, which cannot be read: {error.strerror}. Name a folder with --home or VIADUCT_HOME."
        ) from error
    return home


class Notes(list[str]):
    """What a page could not show, in words."""

    def get(self, read: Callable[[], T], default: T) -> T:
        """`read()`, or `default` and a note where something is missing."""
        try:
            return read()
        except Missing as missing:
            if str(missing) not in self:
                self.append(str(missing))
            return default


@functools.cache
def _environment() -> Any:
    """One for the process: it keeps the compiled templates."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(url=url, chart_json=as_json)
    return environment
