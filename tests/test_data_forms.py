"""Every project takes its data as a file, a folder or spans: `--data` is read by the real ExampleGen, each way."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.base import data, registry
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings

PROJECTS = registry.names()
# Enough for every project's splits: 43 kinds of signs in three tracks each, a year of three stocks, returning visitors,
# half a year of orders before the periods; a game's rows are whole episodes, and few will do.
ROWS = {"traffic_signs": 43 * 9, "stock_prices": 2_400, "recommendations": 6_000, "book_scripts": 3_000,
        "customer_spending": 6_000, "pacman": 8}  # fmt: skip


def zipped(folder: Path, target: Path) -> Path:
    """The folder's files in one archive, for projects whose data are several files."""
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                archive.write(file, file.relative_to(folder))
    return target


def unpacked_signs(folder: Path, target: Path) -> Path:
    """One archive with the pictures of images.zip and the annotations beside it, as the official one has both."""
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(folder / "annotations.csv", "annotations.csv")
        with zipfile.ZipFile(folder / "images.zip") as pictures:
            for name in pictures.namelist():
                archive.writestr(name, pictures.read(name))
    return target


PACKED: dict[str, Callable[[Path, Path], Path]] = {
    "clothing": zipped,
    "digits": zipped,
    "shoe_bags": zipped,
    "traffic_signs": unpacked_signs,
    "vehicles": zipped,
}


def one_file(project: str, folder: Path, target: Path) -> tuple[Path, bool]:
    """A single file that somebody may name, and whether it holds all of the folder's rows."""
    if project in PACKED:
        return PACKED[project](folder, target / "all.zip"), True
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    # Under another name than the project's own: who names a file means that one.
    named = target / ("mine" + "".join(files[0].suffixes))
    shutil.copy(files[0], named)
    return named, len(files) == 1


def rows_read(project: str, home: Path, given: Path, run_id: str) -> dict[str, int]:
    """The rows that the project's ExampleGen makes of `--data given`, by split."""
    from pipelines.base import ir, jobs, node, stack

    stack.light()
    paths, card = Paths.of(project, home), registry.get(project)
    settings = Settings.of(card, data=str(given))
    target = paths.runs / run_id / "ir.json"
    target.parent.mkdir(parents=True)
    jobs.prepare(project, str(home))
    jobs.compile_to(project, settings.to_json(), str(home), str(target))
    # The first one: others make what no node waits for.
    example_gen = next(n.id for n in ir.nodes(ir.load(target)) if n.type.endswith("ExampleGen"))
    return json.loads(json.dumps(node.run_node(str(target), example_gen, run_id, str(home))["rows"]))


@pytest.mark.slow
@pytest.mark.parametrize("project", PROJECTS)
def test_a_file_a_folder_and_spans_are_read_alike(project: str, tmp_path: Path) -> None:
    card, home = registry.get(project), tmp_path / "home"
    made = data.sample(card, Paths.of(project, home), ROWS.get(project, 400))
    folder = tmp_path / "folder"
    shutil.copytree(made / "span-0", folder)
    spans = tmp_path / "spans"
    for number in (3, 12):
        shutil.copytree(folder, spans / f"span-{number}")
    file, is_whole = one_file(project, folder, tmp_path)
    read = {
        kind: rows_read(project, home, given, f"{project}-{kind}")
        for kind, given in (("folder", folder), ("spans", spans), ("file", file))
    }
    assert sum(read["folder"].values()) > 0
    assert read["spans"] == read["folder"], "the latest span alone"
    if is_whole:
        assert read["file"] == read["folder"]
    else:
        assert 0 < sum(read["file"].values()) < sum(read["folder"].values())
