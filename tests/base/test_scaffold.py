"""`viaduct new`: what the template makes."""

import subprocess
import sys

import pytest

from pipelines.base import scaffold
from pipelines.base.paths import CHECKOUT


@pytest.mark.parametrize("name", ["a_b", "base_rates", "churn", "a_project_with_quite_a_long_name"])
def test_a_new_project_passes_the_linter_whatever_its_name(tmp_path, monkeypatch, name):
    rooms = tmp_path / "pipelines"
    rooms.mkdir()
    (tmp_path / "pyproject.toml").symlink_to(CHECKOUT / "pyproject.toml")
    for package in ("pipelines/__init__.py", "pipelines/base/__init__.py", "components/__init__.py"):
        (tmp_path / package).parent.mkdir(exist_ok=True)
        (tmp_path / package).touch()
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(scaffold.registry, "names", list)
    made = scaffold.create(name)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", made],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
