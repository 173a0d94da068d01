"""The committed ir.json of each project: compiled with the defaults, the same on every machine.

DAGs, dashboards and tests read it; `viaduct compile` writes it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipelines.base import ir, registry
from pipelines.base.paths import Paths
from pipelines.base.project import Settings


def text(project: str) -> str:
    """The IR of `project` with its default variant and the quick profile, in its committed form. Imports TFX."""
    with tempfile.TemporaryDirectory() as home:
        compiled = ir.compile_ir(project, Settings.of(registry.get(project)), Paths.of(project, home))
        return ir.golden_text(compiled, Path(home))


def update_all(projects: list[str], check: bool) -> dict[str, bool]:
    """`update` for each of `projects`: {name: whether it was the same already}. Runs in the warm host."""
    return {name: update(name, check=check) for name in projects}


def update(project: str, *, check: bool = False) -> bool:
    """Writes the project's ir.json if it differs (not with `check`); returns whether it was the same already."""
    file = Paths.of(project).source / "ir.json"
    fresh = text(project)
    if file.exists() and file.read_text(encoding="utf-8") == fresh:
        return True
    if not check:
        aside = file.with_name(f".ir.json.{os.getpid()}.tmp")
        aside.write_text(fresh, encoding="utf-8")
        os.replace(aside, file)
    return False
