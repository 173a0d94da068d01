"""Finds projects by their folders: a folder of `pipelines/` with a project.py is a project, in the workspace and in the
platform.

Standard library only, and nothing is registered by hand: `names()` reads the folder, `get(name)` imports one
card. It never imports a project's features, model or pipeline.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from pipelines.base.errors import ProjectError, close_match
from pipelines.base.paths import CHECKOUT, MARKER, ROOMS, WORKSPACE_VARIABLE, workspace
from pipelines.base.project import Project


def names() -> list[str]:
    """All project names, sorted. Raises ProjectError for a workspace that is none, or that hides the platform."""
    return sorted({*own_names(), *_in(ROOMS)})


def own_names() -> list[str]:
    """The names of the workspace's projects, sorted; in a checkout without one the platform's."""
    own = workspace()
    if own is None:
        return []
    if own != CHECKOUT:
        _check(own)
    return sorted(_in(own / "pipelines"))


def _in(room: Path) -> set[str]:
    return {file.parent.name for file in room.glob("*/project.py") if file.parent.name != "base"}


def _check(own: Path) -> None:
    if not (own / MARKER).is_file():
        raise ProjectError(
            f"{WORKSPACE_VARIABLE} is {str(own)!r}, which is no workspace: it has no {MARKER}. `viaduct init` "
            "makes one."
        )
    same = [file.name for file in (own / "pipelines").glob("*") if (ROOMS / file.name).exists()]
    hiding = [name for name in same if name != "__pycache__" and name not in _in(ROOMS)]
    if hiding:
        raise ProjectError(
            f"{own / 'pipelines' / hiding[0]} has the name of a part of the platform, so it cannot be found; a "
            "workspace's pipelines/ holds folders of projects. Rename it, or remove it."
        )


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
