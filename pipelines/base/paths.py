"""Where things live under HOME. Names only: nothing here creates, reads or deletes a file.

HOME/data/<project>/span-N/...          raw data (seam 1)
HOME/pipelines/<project>/<node>/...     artifacts (TFX's pipeline root)
HOME/runs/<project>/<run_id>/           run.json, ir.json, one log and progress file per node
HOME/serving/<project>/<version>/       pushed SavedModels (seam 2)
HOME/metadata.sqlite                    ML Metadata, unless VIADUCT_METADATA names a server
HOME/host/                              sockets and logs of warm node hosts
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOMS = CHECKOUT / "pipelines"


def default_home() -> Path:
    """VIADUCT_HOME; else `.viaduct` in a checkout of the repository; else `~/.viaduct`."""
    configured = os.environ.get("VIADUCT_HOME")
    if configured:
        return Path(configured).expanduser().absolute()
    return CHECKOUT / ".viaduct" if (CHECKOUT / "setup.py").exists() else Path.home() / ".viaduct"


def metadata_url(home: Path) -> str:
    """VIADUCT_METADATA (postgresql://, mysql://, sqlite:///file), else SQLite under HOME."""
    return os.environ.get("VIADUCT_METADATA") or f"sqlite:///{home / 'metadata.sqlite'}"


@dataclass(frozen=True)
class Paths:
    """Folders of one project under one HOME."""

    project: str
    home: Path

    @classmethod
    def of(cls, project: str, home: Path | str | None = None) -> Paths:
        """Paths of `project` under `home`, or under the default HOME."""
        return cls(project, Path(home).absolute() if home is not None else default_home())

    @property
    def source(self) -> Path:
        """The project's own folder in the code."""
        return ROOMS / self.project

    @property
    def data(self) -> Path:
        return self.home / "data" / self.project

    @property
    def pipeline_root(self) -> Path:
        return self.home / "pipelines" / self.project

    @property
    def runs(self) -> Path:
        return self.home / "runs" / self.project

    @property
    def serving(self) -> Path:
        return self.home / "serving" / self.project

    @property
    def schema(self) -> Path:
        """The reviewed schema; a project without one lets SchemaGen infer it."""
        return self.source / "schema.pbtxt"

    def span(self, number: int) -> Path:
        """The folder of one delivery of data."""
        return self.data / f"span-{number}"
