"""The committed ir.json of each project: compiled with the defaults, the same on every machine.

DAGs, dashboards and tests read it; `viaduct compile` writes it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipelines.base import ir, registry, whole
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings


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
        whole.write(file, fresh)
    return False
