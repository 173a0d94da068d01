"""One Airflow on this machine: its secrets, ports and settings under HOME/airflow, and the environment they make.

What is written here is enough to start it, to call its API and to run `airflow` by hand. Starting and stopping is
services.py's. The files that hold passwords can be read by their owner alone (0600).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dags.cluster import Cluster, data_folder, free_port
from pipelines.base.paths import CHECKOUT, default_home
from pipelines.base.project import ProjectError

HEAVY_POOL = "viaduct_heavy"
ADMIN = "admin"
SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__PARALLELISM": "8",
    "CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    "API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,"
    "airflow.providers.fab.auth_manager.api.auth.backend.session",
    # A new project or an edited card shows within half a minute.
    "SCHEDULER__DAG_DIR_LIST_INTERVAL": "30",
    "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "30",
    "SCHEDULER__PARSING_PROCESSES": "1",
    # The scheduler looks for finished tasks often: its pauses are all that a node waits for.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # What a dead scheduler or task left is taken over within half a minute instead of five.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "5",
    "SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "60",
    "WEBSERVER__WORKERS": "1",
    "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
    "WEBSERVER__SHOW_TRIGGER_FORM_IF_NO_PARAMS": "True",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}


@dataclass
class Installation:
    """HOME/airflow: `values` are ports and secrets, kept in installation.json (0600)."""

    home: Path
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path | None = None) -> Installation:
        """The installation under `home`; its values are empty if `make airflow` has not run there."""
        found = cls(home or default_home())
        if found.file.exists():
            found.values = json.loads(found.file.read_text(encoding="utf-8"))
        return found

    @property
    def folder(self) -> Path:
        return self.home / "airflow"

    @property
    def file(self) -> Path:
        return self.folder / "installation.json"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.values['web_port']}"

    @property
    def cluster(self) -> Cluster:
        return Cluster(Path(self.values["postgres_folder"]), self.values["postgres_port"])

    def require(self) -> Installation:
        """Itself, or a ProjectError that says how to get one."""
        if not self.values:
            raise ProjectError(f"There is no Airflow under {self.folder}. Start one: make airflow")
        return self

    def complete(self) -> None:
        """Fills in what is missing; what is there stays, so a second start changes nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # PostgreSQL's user must pass through; the secrets in it are 0600.
        self.folder.chmod(0o711)
        defaults = {
            "postgres_folder": str(data_folder(self.folder / "postgres")),
            "postgres_port": free_port(),
            "web_port": free_port(),
            "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "web_secret": secrets.token_hex(16),
            **{
                f"{name}_password": secrets.token_urlsafe(18)
                for name in ("postgres", "airflow", "viaduct", ADMIN)
            },
        }
        self.values = {**defaults, **self.values}
        self.save()

    def save(self) -> None:
        """Writes the values, readable by the owner alone from the first byte on."""
        write_private(self.file, json.dumps(self.values, indent=1) + "\n")
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.settings().items()]
        write_private(
            self.folder / "env.sh", "\n".join([*lines, f'export PATH={shlex.quote(_bin())}:"$PATH"', ""])
        )

    def metadata_url(self) -> str:
        """ML Metadata's database: VIADUCT_METADATA if somebody chose one, else ours."""
        own = self.cluster.url("viaduct", self.values["viaduct_password"], "viaduct")
        return os.environ.get("VIADUCT_METADATA") or own

    def settings(self) -> dict[str, str]:
        """Everything that Airflow and its tasks must find in the environment."""
        airflow = {
            "CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
            "DATABASE__SQL_ALCHEMY_CONN": self.cluster.url(
                "airflow", self.values["airflow_password"], "airflow", "postgresql+psycopg2"
            ),
            "CORE__FERNET_KEY": self.values["fernet_key"],
            "WEBSERVER__SECRET_KEY": self.values["web_secret"],
            "WEBSERVER__BASE_URL": self.url,
            "WEBSERVER__WEB_SERVER_PORT": str(self.values["web_port"]),
            **SETTINGS,
        }
        # What the user has set about Airflow (mail server, time zone) wins over our defaults.
        chosen = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW__")}
        ours = {f"AIRFLOW__{name}": value for name, value in airflow.items()}
        return {
            **ours,
            **{name: value for name, value in chosen.items() if name.removeprefix("AIRFLOW__") not in FIXED},
            "AIRFLOW_HOME": str(self.folder),
            "VIADUCT_HOME": str(self.home),
            "VIADUCT_METADATA": self.metadata_url(),
            "VIADUCT_HEAVY_POOL": HEAVY_POOL,
            "PYTHONPATH": os.pathsep.join(
                [str(CHECKOUT), *filter(None, [_without(os.environ.get("PYTHONPATH", ""))])]
            ),
        }

    def environment(self) -> dict[str, str]:
        """The current environment with the settings, and this Python's commands first on PATH."""
        path = os.pathsep.join([_bin(), os.environ.get("PATH", os.defpath)])
        return {**os.environ, **self.settings(), "PATH": path, "PYTHONUNBUFFERED": "1"}


# What another installation's env.sh may have left in this shell must not leak into this one.
FIXED = (
    "CORE__DAGS_FOLDER",
    "CORE__FERNET_KEY",
    "DATABASE__SQL_ALCHEMY_CONN",
    "WEBSERVER__BASE_URL",
    "WEBSERVER__SECRET_KEY",
    "WEBSERVER__WEB_SERVER_PORT",
)


def _bin() -> str:
    return str(Path(sys.executable).parent)


def _without(path: str) -> str:
    return os.pathsep.join(part for part in path.split(os.pathsep) if part and part != str(CHECKOUT))


def write_private(file: Path, text: str) -> None:
    """Replaces `file` by one with mode 0600."""
    aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)
    os.replace(aside, file)
