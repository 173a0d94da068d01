"""The wheel, installed where no checkout is: an empty folder becomes a workspace, and its project is made, checked,
run, served, shown and scheduled.

The packages of the lock are this environment's, which a .pth file names: its own .pth files, and so this checkout, stay
out of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dags import installation as airflow
from tests import environments
from tests.conftest import missing
from tests.dags.test_dags import PARSE
from tests.environments import CHECKOUT, Environment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("installed")]


@dataclass(frozen=True)
class Installed:
    """An interpreter that has the wheel, and an empty folder."""

    environment: Environment
    wheel: Path
    workspace: Path

    def run(self, *command: str, code: int = 0, cwd: Path | None = None) -> str:
        """What a command of the environment prints in the workspace; it must end with `code`."""
        own = ("VIADUCT_", "PYTHON", "AIRFLOW")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        done = subprocess.run(
            self.environment.command(*command),
            cwd=cwd or self.workspace,
            env={**kept, "VIADUCT_HOST_IDLE": "60"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"[-6000:]
        return done.stdout + done.stderr


def with_wheel(folder: Path, wheel: Path, python: str, packages: str) -> Environment:
    """A virtual environment of `python` that sees the folder `packages`, and has the wheel."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=300)
    environment = Environment.__new__(Environment)
    environment.folder = folder
    [environment.packages] = folder.glob("lib/python*/site-packages")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(folder),
        "install",
        "-q",
    ]
    options = ["--no-index", "--no-deps", "--ignore-requires-python"]
    subprocess.run([*pip, *options, str(wheel)], check=True, timeout=300)
    (environment.packages / "packages.pth").write_text(f"{packages}\n")
    return environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("installed")
    wheel = environments.wheel(folder)
    environment = with_wheel(folder / "venv", wheel, sys.executable, sysconfig.get_path("purelib"))
    (folder / "mine").mkdir()
    made = Installed(environment, wheel, folder / "mine")
    yield made
    made.run("viaduct", "host", "stop")


@pytest.fixture(scope="module")
def workspace(installed: Installed) -> Path:
    """The workspace with a compiled project `churn`."""
    assert "needs a workspace, and there is none here" in installed.run("viaduct", "new", "churn", code=1)
    assert "is a workspace of tfx-viaduct" in installed.run("viaduct", "init")
    installed.run("viaduct", "new", "churn")
    assert "churn: wrote ir.json" in installed.run("viaduct", "compile")
    return installed.workspace


def test_the_code_is_the_wheels_and_the_lock_is_ours(installed: Installed, workspace: Path) -> None:
    script = "import pipelines, serving; print(serving.__file__, list(pipelines.__path__))"
    told = installed.run("python", "-c", script, cwd=workspace / "tests")
    assert str(CHECKOUT) not in told and str(workspace / "pipelines") in told
    assert str(installed.environment.packages / "serving") in told
    ours = (CHECKOUT / "requirements.lock").read_text()
    assert (workspace / "requirements.lock").read_text().endswith(ours)
    assert installed.run("viaduct", "init").count("its locks are the platform's already") == 1


def test_projects_of_the_workspace_and_of_the_platform_are_listed_and_the_own_ones_checked(
    installed: Installed, workspace: Path
) -> None:
    listed = {card["name"] for card in json.loads(installed.run("viaduct", "list", "--json"))}
    assert {"churn", "card_fraud", "digits"} <= listed
    assert installed.run("viaduct", "check").strip() == "1 projects, 0 findings"
    assert "churn: same as ir.json" in installed.run(
        "viaduct", "compile", "--check", cwd=workspace / "pipelines"
    )
    features = workspace / "pipelines" / "churn" / "features.py"
    text = features.read_text()
    features.write_text(text + "def (\n")
    assert f"churn/features.py:{text.count(chr(10)) + 1}: " in installed.run("viaduct", "check", code=1)
    features.write_text(text)


def test_a_run_is_blessed_pushed_answered_and_shown_from_the_workspace(
    installed: Installed, workspace: Path
) -> None:
    told = installed.run("viaduct", "run", "churn", "--plain", "--predict")
    assert "gRPC Predict at" in told and '"probability"' in told
    home = workspace / ".viaduct"
    assert [path.name for path in (home / "serving").iterdir()] == ["churn.sample"]
    (record,) = (home / "runs" / "churn").glob("*/run.json")
    assert json.loads(record.read_text())["blessed"] is True
    page = workspace / "run.html"
    installed.run("viaduct", "export", record.parent.name, "-o", str(page))
    assert "churn" in page.read_text()
    page.unlink()
    site = installed.environment.packages
    assert not (site / ".viaduct").exists() and not any(site.glob("pipelines/churn*"))


def test_a_project_of_the_workspace_is_a_dag(installed: Installed, workspace: Path, tmp_path: Path) -> None:
    if not os.access(airflow.python(), os.X_OK):
        missing("Airflow's environment (make airflow-setup)")
    [packages] = Path(airflow.python()).parents[1].glob("lib/python3*/site-packages")
    other = with_wheel(tmp_path / "airflow", installed.wheel, airflow.python(), str(packages))
    done = subprocess.run(
        [*other.command("python"), "-c", PARSE, str(other.packages / "dags")],
        cwd=tmp_path,
        env={
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("VIADUCT_", "PYTHON"))
            },
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "VIADUCT_HOME": str(tmp_path / "home"),
            "VIADUCT_WORKSPACE": str(workspace),
            "VIADUCT_TFX_PYTHON": installed.environment.command("python")[0],
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {} and found["heavy"] == []
    assert {"churn", "card_fraud"} <= set(found["dags"])
    assert found["dags"]["churn"]["tasks"]["Pusher"][0] == ["Evaluator", "Trainer"]
