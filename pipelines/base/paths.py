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

# The folder that holds our packages: a checkout of the repository, or an interpreter's site-packages.
CHECKOUT = Path(__file__).resolve().parents[2]
INSTALLED = CHECKOUT.name in ("site-packages", "dist-packages")
ROOMS = CHECKOUT / "pipelines"
# A folder of projects of a user's own, and the file that marks it (pipelines/__init__.py finds it).
WORKSPACE_VARIABLE, MARKER = "VIADUCT_WORKSPACE", "viaduct.toml"


def workspace() -> Path | None:
    """The folder whose `pipelines/` gets new projects: VIADUCT_WORKSPACE, else the checkout; None where there is
    neither."""
    given = os.environ.get(WORKSPACE_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    return None if INSTALLED else CHECKOUT


def code_folders() -> list[Path]:
    """Where modules of ours and of users are found, the workspace first."""
    own = workspace()
    return list(dict.fromkeys([*([own] if own is not None else []), CHECKOUT]))


def project_folder(name: str) -> Path:
    """The folder with the code of project `name`; of one that is nowhere, where it would be made."""
    rooms = [folder / "pipelines" for folder in code_folders()]
    return next((room / name for room in rooms if (room / name).is_dir()), rooms[0] / name)


def shown(file: Path) -> Path:
    """`file` as people are told of it: below the workspace or the checkout where it lies there."""
    below = [file.relative_to(folder) for folder in code_folders() if file.is_relative_to(folder)]
    # An environment in a workspace holds the platform.
    return min(below, key=lambda path: len(path.parts), default=file)


def working_folder() -> Path:
    """Where processes of ours run: the workspace, the checkout, else where the user stands."""
    return workspace() or Path.cwd()


def python_path() -> str:
    """PYTHONPATH of child processes: a checkout first. An installed package is found by the child's own interpreter,
    which may be another one with packages of its own."""
    own = [] if INSTALLED else [str(CHECKOUT)]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])


def lock(name: str = "requirements.lock") -> Path:
    """A lock of the platform: in the checkout's root, or where the wheel has it."""
    file = CHECKOUT / name
    return file if file.exists() else ROOMS / "base" / "locks" / name


def default_home() -> Path:
    """VIADUCT_HOME; else `.viaduct` in the workspace or in a checkout of the repository; else `~/.viaduct`."""
    configured = os.environ.get("VIADUCT_HOME")
    if configured:
        return alias.plain(Path(configured).expanduser().absolute())
    own = workspace() if os.environ.get(WORKSPACE_VARIABLE) or (CHECKOUT / "setup.py").exists() else None
    return alias.plain((own or Path.home()) / ".viaduct")


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
        return project_folder(self.project)

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
