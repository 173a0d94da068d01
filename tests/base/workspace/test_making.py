"""`viaduct init`: what is written, what is kept, what an upgrade renews."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT
from pipelines.base.workspace import making


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "version", lambda: "7.1")


def test_an_empty_folder_becomes_a_workspace_whose_lock_is_the_platforms(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    made = making.make(folder)
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert there == {*made.written} and made.kept == made.renewed == ()
    assert {".gitignore", ".github/workflows/check.yml", "tests/test_model.py", "viaduct.toml"} <= there
    assert not (folder / "pipelines" / "__init__.py").exists()
    lines = (folder / "requirements.lock").read_text().splitlines()
    ours = (CHECKOUT / "requirements.lock").read_text().splitlines()
    assert lines[1] == "tfx-viaduct==7.1" and lines[2:] == ours
    assert tomllib.loads((folder / "viaduct.toml").read_text()) == {"made_with": "7.1"}


def test_what_is_written_passes_the_linter_and_parses(tmp_path: Path) -> None:
    making.make(tmp_path)
    tomllib.loads((tmp_path / "pyproject.toml").read_text())
    for file in tmp_path.rglob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text())), file
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_files_that_are_there_stay_and_are_told(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Mine.\n")
    (tmp_path / "pipelines").mkdir()
    made = making.make(tmp_path)
    assert made.kept == ("README.md",) and (tmp_path / "README.md").read_text() == "Mine.\n"


def test_an_upgrade_renews_the_locks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.make(tmp_path)
    (tmp_path / "tests" / "test_model.py").unlink()
    (tmp_path / "README.md").write_text("Mine.\n")
    before = making.make(tmp_path)
    assert (before.written, before.renewed) == ((), ())
    monkeypatch.setattr(making, "version", lambda: "7.2")
    made = making.make(tmp_path)
    assert made.written == () and made.renewed == ("requirements.lock", "requirements-airflow.lock")
    assert "tfx-viaduct==7.2\n" in (tmp_path / "requirements.lock").read_text()
    assert not (tmp_path / "tests" / "test_model.py").exists()
    assert (tmp_path / "README.md").read_text() == "Mine.\n"


def test_what_was_interrupted_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, count = making._write, [0]

    def stopping(file: Path, text: str) -> bool:
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt
        return write(file, text)

    monkeypatch.setattr(making, "_write", stopping)
    with pytest.raises(KeyboardInterrupt):
        making.make(tmp_path)
    assert not (tmp_path / "viaduct.toml").exists()
    monkeypatch.setattr(making, "_write", write)
    making.make(tmp_path)
    assert (tmp_path / "tests" / "test_model.py").exists() and (tmp_path / "viaduct.toml").exists()


def test_folders_that_cannot_be_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="is a checkout of Viaduct"):
        making.make(CHECKOUT)
    (tmp_path / "file").touch()
    with pytest.raises(ProjectError, match="is a file"):
        making.make(tmp_path / "file")
    (tmp_path / "other" / "pipelines").mkdir(parents=True)
    (tmp_path / "other" / "pipelines" / "__init__.py").touch()
    with pytest.raises(ProjectError, match="would hide the platform's"):
        making.make(tmp_path / "other")
    making.make(tmp_path / "mine")
    with pytest.raises(ProjectError, match="lies in the workspace"):
        making.make(tmp_path / "mine" / "inner")
