"""What every page shares: where HOME is, the readers, the templates. One per app; its parts are thread-safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dashboards.charts import as_json
from dashboards.files import Files, Missing
from dashboards.metadata import Metadata
from dashboards.runs import RunRow, Runs
from dashboards.servers import Servers
from dashboards.words import FILTERS, url
from pipelines.base import registry
from pipelines.base.project import Bar, Project, ProjectError
from pipelines.base.run_record import RunRecord

HERE = Path(__file__).parent
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

    def __post_init__(self) -> None:
        self.files = Files(self.home)
        self.runs = Runs(self.files, self.metadata)
        self.templates = _environment()

    def render(self, template: str, **values: Any) -> str:
        """The page as HTML; every value is escaped."""
        return self.templates.get_template(template).render(home=str(self.home), **values)

    def projects(self, rows: Iterable[RunRow] | None = None) -> list[str]:
        """All names that may have something to show: the repository's projects and those with runs here (`rows`)."""
        return sorted(
            {*registry.names(), *(row.project for row in (self.runs.rows() if rows is None else rows))}
        )

    def card(self, name: str) -> Project | None:
        """The project's card; None for a project of elsewhere, or one whose card is broken."""
        try:
            return registry.get(name) if name in registry.names() else None
        except ProjectError:
            return None

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


class Notes(list[str]):
    """What a page could not show, in words."""

    def get(self, read: Callable[[], Any], default: Any) -> Any:
        """`read()`, or `default` and a note where something is missing."""
        try:
            return read()
        except Missing as missing:
            if str(missing) not in self:
                self.append(str(missing))
            return default


def _environment() -> Any:
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
