"""A project's raw data under HOME: fetched official sets, generated samples, whole or not at all.

The project's data.py writes into an empty folder; here that folder gets its name only when it is complete. No
format is known here.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.base.paths import Paths
from pipelines.base.project import Project, ProjectError, Settings

SAMPLE_SEED = 7


def locate(project: Project, paths: Paths, settings: Settings, say: Callable[[str], None]) -> Path:
    """The raw data of a run: `--data`, else the official set under HOME, else a sample (made if need be).

    Raises ProjectError if `--data` does not exist or is empty.
    """
    if settings.data:
        given = Path(settings.data).expanduser().absolute()
        if not given.exists():
            raise ProjectError(f"--data {settings.data!r} does not exist (looked for {given}).")
        if given.is_dir() and not any(given.iterdir()):
            raise ProjectError(f"--data {given} is empty; expected the files of {project.data.title}.")
        return given
    if any(paths.data.glob("span-*")):
        return paths.data
    rows = project.profile(settings.profile).sample_rows
    say(f"Data: a sample of {rows:,} rows (the official set: `viaduct data {project.name}`).")
    return sample(project, paths, rows)


def sample(project: Project, paths: Paths, rows: int, seed: int = SAMPLE_SEED) -> Path:
    """A folder with span-0 made by the project's `sample(folder, rows, seed)`; made once per code, rows and seed."""
    digest = hashlib.sha256((paths.source / "data.py").read_bytes()).hexdigest()[:8]
    folder = paths.home / "samples" / project.name / f"{rows}-rows-seed-{seed}-{digest}"
    if not folder.exists():
        _write_whole(
            project, folder, lambda aside: _module(project).sample(_subfolder(aside, "span-0"), rows, seed)
        )
    return folder


def deliveries(project: Project, paths: Paths, rows: int, count: int, seed: int = SAMPLE_SEED) -> Path:
    """HOME/data/<project> with samples as span-0 to span-<count - 1>, each of a seed of its own.

    A span that is there already stays as it is.
    """
    module = _module(project)
    for span in range(count):
        if not paths.span(span).exists():
            write = functools.partial(module.sample, rows=rows, seed=seed + span)
            _write_whole(project, paths.span(span), write)
    return paths.data


def fetch(project: Project, paths: Paths) -> Path:
    """The official set as HOME/data/<project>/span-0; returned as it is if it is there already."""
    target = paths.span(0)
    if not target.exists():
        _write_whole(project, target, lambda aside: _module(project).fetch(aside))
    return target


def _module(project: Project) -> Any:
    return importlib.import_module(f"pipelines.{project.name}.data")


def _subfolder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _write_whole(project: Project, target: Path, write: Callable[[Path], None]) -> None:
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        write(aside)
        os.rename(aside, target)
    except ProjectError:
        raise
    except OSError as error:
        if target.exists():
            return
        raise ProjectError(f"{project.name}: data could not be written to {target}: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
