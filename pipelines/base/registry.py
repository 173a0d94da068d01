"""Finds projects by their folders: a folder of `pipelines/` with a project.py is a project.

Standard library only, and nothing is registered by hand: `names()` reads the folder, `get(name)` imports one
card. It never imports a project's features, model or pipeline.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from pipelines.base.errors import ProjectError, close_match
from pipelines.base.paths import ROOMS
from pipelines.base.project import Project


def names() -> list[str]:
    """All project names, sorted."""
    return sorted(path.parent.name for path in ROOMS.glob("*/project.py") if path.parent.name != "base")


def known(name: str) -> str:
    """`name`, if there is such a project. Raises ProjectError with a close match for an unknown one."""
    if name not in names():
        raise ProjectError(close_match("Project", name, names()))
    return name


def get(name: str) -> Project:
    """The card of project `name`. Raises ProjectError with a close match for an unknown name."""
    known(name)
    try:
        card = importlib.import_module(f"pipelines.{name}.project").PROJECT
    except ProjectError:
        raise
    except SyntaxError as error:
        file = Path(error.filename or f"{name}/project.py")
        raise ProjectError(f"{file.parent.name}/{file.name}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ProjectError(
            f"{name}: project.py cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(card, Project) or card.name != name:
        raise ProjectError(
            f"{name}: project.py must define PROJECT = Project(name={name!r}, ...); got {card!r}"
        )
    return card
