"""`viaduct new NAME`: a working project made from the template folder beside this file.

The new project runs at once on its own sample data; its owner then replaces data, features and model. Nothing of
an existing project is overwritten.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from pipelines.base import registry, whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import MARKER, WORKSPACE_VARIABLE, project_folder, workspace

TEMPLATE = Path(__file__).with_name("template")
PLACEHOLDER = "PROJECT_NAME"
SUFFIX = ".tmpl"


def check_free(name: str) -> None:
    """Raises ProjectError for a bad or taken name, and where there is no workspace."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,62}", name) or keyword.iskeyword(name):
        raise ProjectError(
            f"{name!r} is no project name; expected lower_snake_case like 'churn' or 'late_trains'."
        )
    own = workspace()
    if own is None:
        raise ProjectError(
            f"A new project needs a workspace, and there is none here: no {MARKER} in this folder or above it. Make "
            f"one: viaduct init (in an empty folder), or name one in {WORKSPACE_VARIABLE}."
        )
    if (own / "pipelines" / name).exists() or name in registry.names():
        raise ProjectError(f"pipelines/{name} exists already; choose another name or edit that one.")


def create(name: str) -> Path:
    """Makes `pipelines/<name>` and returns it. Raises ProjectError for a bad or taken name."""
    check_free(name)
    target = project_folder(name)
    try:
        with whole.folder(target) as aside:
            for source in sorted(TEMPLATE.glob(f"*{SUFFIX}")):
                text = source.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
                (aside / source.name.removesuffix(SUFFIX)).write_text(_sorted_imports(text), encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"pipelines/{name} could not be written: {error}") from error
    return target


def _sorted_imports(text: str) -> str:
    """Where `pipelines.<name>` stands among the imports of `pipelines` depends on the name."""
    return re.sub(
        r"(?:^from pipelines\..*\n)+",
        lambda block: "".join(sorted(block[0].splitlines(True), key=lambda line: line.split()[1])),
        text,
        flags=re.MULTILINE,
    )
