"""Where things live under HOME. Names only: nothing here creates, reads or deletes a file below it.

HOME/data/<project>/span-N/...          raw data (seam 1)
HOME/samples/<project>/...              made-up data, where there is none of its own
HOME/pipelines/<project>/<node>/...     artifacts (TFX's pipeline root; a second metadata store's: store-*/)
HOME/runs/<project>/<run_id>/           run.json, ir.json, one log and progress file per node
HOME/serving/<project>/<version>/       pushed SavedModels (seam 2)
HOME/serving/<project>.<kind>/...       the same of what is no production model: samples, variants (production.py)
HOME/request-logs/                      what served models were asked (sampled), where a server is told to log there
HOME/watch/<served name>/                what `viaduct watch` has seen of them
HOME/tuning/<project>/                  journals of searches, and what each trial came to, by its key
HOME/warehouse/<project>/<query>/       what runs on a query know of it: its text, the number and the digest of its rows
HOME/data-states/                       what content the files of raw data have, so that none is read twice for it
HOME/metadata.sqlite                    ML Metadata, unless VIADUCT_METADATA names a server
HOME/trash/<date>/                      what `viaduct gc` took away, for a week
HOME/host/                              sockets and logs of warm node hosts
"""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from pipelines.base import alias
from pipelines.base.errors import ProjectError

CHECKOUT = Path(__file__).resolve().parents[2]
ROOMS = CHECKOUT / "pipelines"


def default_home() -> Path:
    """VIADUCT_HOME; else `.viaduct` in a checkout of the repository; else `~/.viaduct`."""
    configured = os.environ.get("VIADUCT_HOME")
    if configured:
        return alias.plain(Path(configured).expanduser().absolute())
    return alias.plain(
        CHECKOUT / ".viaduct" if (CHECKOUT / "setup.py").exists() else Path.home() / ".viaduct"
    )


def metadata_url(home: Path) -> str:
    """VIADUCT_METADATA (postgresql://, mysql://, sqlite:///file), else SQLite under HOME."""
    return os.environ.get("VIADUCT_METADATA") or sqlite_url(home / "metadata.sqlite")


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file, whatever characters its path has: they stand percent-encoded in it."""
    return f"sqlite://{urllib.parse.quote(str(file.absolute()))}"


def sqlite_file(url: str) -> Path | None:
    """The file that a `sqlite:///FILE` URL names; None for any other URL, also for one that names no file.

    A `#`, `?` or `%` of the file's name has to stand percent-encoded, or it would cut the name short.
    """
    start, _, path = url.partition("sqlite:///")
    if start or not path or "?" in path or "#" in path:
        return None
    return Path("/" + urllib.parse.unquote(path).lstrip("/"))


def without_password(url: str) -> str:
    """The URL for people's eyes and for digests: what stands between its user and its last `@` is left out."""
    return re.sub(r"^([^:]*://[^:@/]*):.*@", r"\1@", url, flags=re.DOTALL)


def check_name(path: Path, owner: str, do: str) -> None:
    """Raises ProjectError for a path that is no UTF-8: neither the compiled pipeline nor ML Metadata can hold it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ProjectError(
            f"{owner} {os.fsencode(path)!r} is no UTF-8, expected a name in UTF-8. {do}."
        ) from error


@dataclass(frozen=True)
class Paths:
    """Folders of one project under one HOME."""

    project: str
    home: Path

    @classmethod
    def of(cls, project: str, home: Path | str | None = None) -> Paths:
        """Paths of `project` under `home`, or the default HOME. Raises ProjectError for a HOME that cannot be used."""
        folder = Path(home).absolute() if home is not None else default_home()
        check_name(folder, "HOME", "Set VIADUCT_HOME to another folder")
        return cls(project, alias.plain(folder))

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
        """Production's models."""
        return self.home / "serving" / self.project

    def served(self, name: str) -> Path:
        """The models served under `name`, which production.py makes of a run's settings."""
        return self.home / "serving" / name

    @property
    def request_logs(self) -> Path:
        """Where servers log requests; files of all models lie there, each begins with its model's name."""
        return self.home / "request-logs"

    def watch(self, name: str) -> Path:
        """What the watch over the model served under `name` remembers."""
        return self.home / "watch" / name

    @property
    def samples(self) -> Path:
        """Data made up by the project's `sample`, a folder for each size, seed and code."""
        return self.home / "samples" / self.project

    @property
    def warehouse(self) -> Path:
        """What is known of queries that runs read instead of files, a folder for each."""
        return self.home / "warehouse" / self.project

    @property
    def schema(self) -> Path:
        """The reviewed schema; a project without one lets SchemaGen infer it."""
        return self.source / "schema.pbtxt"

    def span(self, number: int) -> Path:
        """The folder of one delivery of data."""
        return self.data / f"span-{number}"
