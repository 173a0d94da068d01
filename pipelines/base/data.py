"""A project's raw data under HOME: fetched official sets, generated samples, whole or not at all.

The project's data.py writes into an empty folder; here that folder gets its name only when it is complete. No
format is known here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.base import ir, leftovers, whole
from pipelines.base.digest import source_digest
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.paths import Paths, check_name, without_password
from pipelines.base.production import MARK
from pipelines.base.project import Project
from pipelines.base.settings import Settings

SAMPLE_SEED = 7
# The rows of a project whose card names a database.
QUERY = "query.sql"
# More deliveries than these are told by their number and ends.
NAMED_SPANS = 20


def locate(project: Project, paths: Paths, settings: Settings, say: Callable[[str], None]) -> Path:
    """The raw data of a run: `--data`, else the card's query, else the official set under HOME, else a sample (made if
    need be).

    Raises ProjectError if `--data` does not exist or is empty, or if the span that was asked for is not there. Every
    run comes by here, so it also removes what killed ones left behind.
    """
    leftovers.sweep(paths)
    if settings.data:
        given = Path(settings.data).expanduser().absolute()
        if not given.exists():
            raise ProjectError(f"--data {settings.data!r} does not exist (looked for {given}).")
        check_name(given, "--data", "Rename it, or give a link to it")
        if given.is_dir() and not any(given.iterdir()):
            raise ProjectError(f"--data {given} is empty; expected the files of {project.data.title}.")
        _check_span(settings.span, str(given), spans_in(given))
        return given
    if project.data.database:
        query = str(paths.source / QUERY)
        return in_warehouse(paths, project.data.database, query, settings.span)
    if any(paths.data.glob("span-*")):
        _check_span(settings.span, str(paths.data), spans_in(paths.data))
        return paths.data
    _check_span(settings.span, "the sample", [0])
    rows = project.profile(settings.profile).sample_rows
    say(f"Data: a sample of {rows:,} rows (the official set: `viaduct data {project.name}`).")
    return sample(project, paths, rows)


def in_warehouse(paths: Paths, url: str, query: str, span: int | None) -> Path:
    """The folder that stands for a query's rows (see bridges.warehouse.pointer), looked at now.

    Raises ViaductError: no database, a query that fails, or gives no rows or a column twice.
    """
    from bridges.warehouse import pointer

    if not query:
        raise ProjectError(
            f"--data {without_password(url)} is a database; name the rows with --query FILE.sql."
        )
    return pointer.write(paths.warehouse, url, Path(query).expanduser().absolute(), span)


def spans_in(folder: Path) -> list[int]:
    """The numbers of the deliveries `span-N` in `folder`, in order; [] for a file or a folder without any."""
    numbers = (re.fullmatch(r"span-(\d+)", path.name) for path in folder.glob("span-*"))
    return sorted(int(match[1]) for match in numbers if match)


def _check_span(span: int | None, where: str, spans: list[int]) -> None:
    if span is None or span in spans:
        return
    if not spans:
        raise ProjectError(
            f"--span {span} is not in {where}: it has no spans; expected folders like span-{span}/."
        )
    if len(spans) > NAMED_SPANS:
        there = f"{len(spans)} spans, {spans[0]} to {spans[-1]}"
    elif len(spans) > 1:
        there = f"spans {', '.join(map(str, spans[:-1]))} and {spans[-1]}"
    else:
        there = f"span {spans[0]}"
    raise ProjectError(f"--span {span} is not in {where}, which has {there}.")


def sample(project: Project, paths: Paths, rows: int, seed: int = SAMPLE_SEED) -> Path:
    """A folder with span-0 made by the project's `sample(folder, rows, seed)`; made once per code, rows and seed.

    The code is data.py and all of ours that it imports, the card among it.
    """
    code = source_digest(f"pipelines.{project.name}.data")[:8]
    folder = paths.samples / f"{rows}-rows-seed-{seed}-{code}"
    with contextlib.suppress(OSError):
        os.utime(folder)  # it is in use from now on, though no run says so yet
    if not folder.exists():
        write = functools.partial(_made_up, project, rows=rows, seed=seed)
        _write_whole(project, folder, lambda aside: write(_subfolder(aside, "span-0")))
    return folder


def deliveries(project: Project, paths: Paths, rows: int, count: int, seed: int = SAMPLE_SEED) -> Path:
    """HOME/data/<project> with samples as span-0 to span-<count - 1>, each of a seed of its own.

    A span that is there already stays as it is. What is made of them is no production model (see production.py).
    """
    for span in range(count):
        if not paths.span(span).exists():
            write = functools.partial(_made_up, project, rows=rows, seed=seed + span)
            _write_whole(project, paths.span(span), write)
    return paths.data


def fetch(project: Project, paths: Paths) -> Path:
    """The official set as HOME/data/<project>/span-0; returned as it is if it is there already."""
    target = paths.span(0)
    if not target.exists():
        _write_whole(project, target, lambda aside: _module(project).fetch(aside))
    return target


def _made_up(project: Project, folder: Path, rows: int, seed: int) -> None:
    """The project's sample in `folder`, with the mark that tells it from real data wherever it goes."""
    _module(project).sample(folder, rows, seed)
    (folder / MARK).write_text(f"{rows} rows, seed {seed}\n", encoding="utf-8")


def _module(project: Project) -> Any:
    try:
        return importlib.import_module(f"pipelines.{project.name}.data")
    except Exception as error:
        raise ProjectError(f"{project.name}: data.py cannot be imported: {ir.describe(error)}") from error


def _subfolder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _write_whole(project: Project, target: Path, write: Callable[[Path], None]) -> None:
    try:
        with whole.folder(target) as aside:
            write(aside)
    except OSError as error:
        if target.exists():
            return
        raise ProjectError(f"{project.name}: data could not be written to {target}: {error}") from error
    except ViaductError:
        raise
    except Exception as error:
        raise ProjectError(f"{project.name}: data.py failed: {ir.describe(error)}") from error
