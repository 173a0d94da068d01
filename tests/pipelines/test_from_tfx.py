"""The page that ports TFX's penguin template: its blocks are the files of a project that checks, and no others.

That the project also runs was tried by hand with the page's own commands; its figures stand there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base import check, scaffold
from pipelines.base.paths import CHECKOUT
from pipelines.base.workspace import making

PAGE = CHECKOUT / "pipelines" / "FROM_TFX.md"
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Steps 1 to 6 of the page."""
    monkeypatch.setattr(making, "version", lambda: "0")
    making.make(tmp_path)
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    folder = scaffold.create("penguin")
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        assert (folder / name).exists(), f"{name} is no file of a new project"
        (folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_file_of_a_new_project_is_replaced_but_two() -> None:
    named = {name for name, _ in BLOCK.findall(PAGE.read_text(encoding="utf-8"))}
    made = {file.name.removesuffix(".tmpl") for file in scaffold.TEMPLATE.glob("*.tmpl")}
    assert made - named == {"__init__.py", "README.md"}


def test_the_ported_project_passes_the_linter_and_the_check(workspace: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=workspace,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    # In a process of its own: the card of another workspace's penguin is none of this one's.
    program = "from pipelines.base import check; print(*check.project('penguin'), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=workspace, capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.stdout.strip() == "penguin/ir.json: missing; `viaduct compile penguin` writes it"


def test_what_the_page_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (PAGE.parent / link).exists(), link
    assert "FROM_TFX.md" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert check.REQUIRED.keys() <= {name for name, _ in BLOCK.findall(text)}
