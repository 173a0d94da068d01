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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dags.cluster import Cluster, data_folder, free_port
from pipelines.base import home as home_folder
from pipelines.base import whole
from pipelines.base.errors import ViaductError
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import CHECKOUT, INSTALLED, WORKSPACE_VARIABLE, default_home, working_folder

HEAVY_POOL = "viaduct_heavy"
ADMIN = "admin"
PYTHON_VARIABLE = "VIADUCT_AIRFLOW_PYTHON"
SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__PARALLELISM": "8",
    "CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    # One user, its password in a file that its owner alone can read; a deployment takes FAB (deploy/).
    "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:ADMIN",
    # A new project or an edited card shows within half a minute.
    "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # The scheduler looks for finished tasks often: its pauses are all that a node waits for.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # What a dead scheduler or task left is taken over within half a minute instead of five.
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "API__WORKERS": "1",
    "API__HOST": "127.0.0.1",
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
        installation = cls(home or default_home())
        if installation.file.exists():
            installation.values = json.loads(installation.file.read_text(encoding="utf-8"))
        return installation

    @property
    def folder(self) -> Path:
        return self.home / "airflow"

    @property
    def file(self) -> Path:
        return self.folder / "installation.json"

    @property
    def passwords(self) -> Path:
        """What Airflow compares passwords with."""
        return self.folder / "passwords.json"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.values['web_port']}"

    @property
    def cluster(self) -> Cluster:
        return Cluster(Path(self.values["postgres_folder"]), self.values["postgres_port"])

    def require(self) -> Installation:
        """Itself, or a ViaductError that says how to get one."""
        if not self.values:
            raise ViaductError(f"There is no Airflow under {self.folder}. Start one: make airflow")
        return self

    def complete(self) -> None:
        """Fills in what is missing; what is there stays, so a second start changes nothing."""
        home_folder.make(self.home, self.folder)
        # PostgreSQL's user must pass through; the secrets in it are 0600.
        self.folder.chmod(0o711)
        whole.sweep(self.folder)
        defaults = {
            "postgres_folder": str(data_folder(self.folder / "postgres")),
            "postgres_port": free_port(),
            "web_port": free_port(),
            "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "web_secret": secrets.token_hex(16),
            "jwt_secret": secrets.token_hex(32),
            **{
                f"{name}_password": secrets.token_urlsafe(18)
                for name in ("postgres", "airflow", "viaduct", ADMIN)
            },
        }
        self.values = {**defaults, **self.values}
        self.save()

    def save(self) -> None:
        """Writes the values, readable by the owner alone from the first byte on."""
        whole.write(self.file, json.dumps(self.values, indent=1) + "\n", private=True)
        passwords = {ADMIN: self.values[f"{ADMIN}_password"]}
        whole.write(self.passwords, json.dumps(passwords) + "\n", private=True)
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.settings().items()]
        lines += [f'export PATH={shlex.quote(_bin())}:"$PATH"', ""]
        whole.write(self.folder / "env.sh", "\n".join(lines), private=True)

    def metadata_url(self) -> str:
        """ML Metadata's database: VIADUCT_METADATA if somebody chose one, else ours."""
        own = self.cluster.url("viaduct", self.values["viaduct_password"], "viaduct")
        return os.environ.get("VIADUCT_METADATA") or own

    def settings(self) -> dict[str, str]:
        """Everything that Airflow and its tasks must find in the environment."""
        airflow = {
            "CORE__DAGS_FOLDER": str(_code() / "dags"),
            "CORE__PLUGINS_FOLDER": str(_code() / "dags" / "plugins"),
            "DATABASE__SQL_ALCHEMY_CONN": self.cluster.url(
                "airflow", self.values["airflow_password"], "airflow", "postgresql+psycopg2"
            ),
            "CORE__FERNET_KEY": self.values["fernet_key"],
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__SECRET_KEY": self.values["web_secret"],
            "API__BASE_URL": self.url,
            "API__PORT": str(self.values["web_port"]),
            "API_AUTH__JWT_SECRET": self.values["jwt_secret"],
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
            "VIADUCT_TFX_PYTHON": forkserver.interpreter(),
            "VIADUCT_METADATA": self.metadata_url(),
            "VIADUCT_HEAVY_POOL": HEAVY_POOL,
            "PYTHONPATH": os.pathsep.join(
                [
                    *([] if INSTALLED else [str(CHECKOUT)]),
                    *filter(None, [_without(os.environ.get("PYTHONPATH", ""))]),
                ]
            ),
            **({WORKSPACE_VARIABLE: own} if (own := os.environ.get(WORKSPACE_VARIABLE)) else {}),
        }

    def environment(self) -> dict[str, str]:
        """The current environment with the settings, and the commands of Airflow's Python first on PATH."""
        path = os.pathsep.join([_bin(), os.environ.get("PATH", os.defpath)])
        return {**os.environ, **self.settings(), "PATH": path, "PYTHONUNBUFFERED": "1"}


# What another installation's env.sh may have left in this shell must not leak into this one.
FIXED = (
    "CORE__DAGS_FOLDER",
    "CORE__PLUGINS_FOLDER",
    "CORE__FERNET_KEY",
    "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "CORE__EXECUTION_API_SERVER_URL",
    "DATABASE__SQL_ALCHEMY_CONN",
    "API__BASE_URL",
    "API__PORT",
    "API__SECRET_KEY",
    "API_AUTH__JWT_SECRET",
)


def python() -> str:
    """Airflow's own Python: VIADUCT_AIRFLOW_PYTHON, else that of `.airflow-venv` in the workspace or the checkout."""
    here = next((f for f in (working_folder(), CHECKOUT) if (f / ".airflow-venv").exists()), working_folder())
    return os.environ.get(PYTHON_VARIABLE) or str(here / ".airflow-venv" / "bin" / "python")


def require_python() -> str:
    """`python()`, or a ViaductError that says how to get one."""
    if not os.access(python(), os.X_OK):
        raise ViaductError(
            f"Airflow's environment is not there: {python()} cannot be run. Make it: make airflow (in the "
            f"checkout; a workspace's README says how there), or name its Python in {PYTHON_VARIABLE}."
        )
    if not (_code() / "dags").is_dir():
        raise ViaductError(
            f"tfx-viaduct is not installed for Airflow's Python {python()}, which finds the DAG files there. Do: "
            f"{python()} -m pip install --no-deps --ignore-requires-python tfx-viaduct (or its wheel)."
        )
    return python()


def _code() -> Path:
    """The folder that has our packages for Airflow's Python: a checkout serves both, a wheel is installed in each."""
    if not INSTALLED:
        return CHECKOUT
    sites = sorted(Path(python()).parents[1].glob("lib/python3*/site-packages"))
    return next((site for site in sites if (site / "dags").is_dir()), Path(python()).parents[1])


def _bin() -> str:
    return str(Path(python()).parent)


def _without(path: str) -> str:
    return os.pathsep.join(part for part in path.split(os.pathsep) if part and part != str(CHECKOUT))
