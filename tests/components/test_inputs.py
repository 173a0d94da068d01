"""Which files a pattern means: names are never patterns, and what is no file is never opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components import inputs
from components.shards import InputError

STRANGE_NAMES = (
    "day[1].csv",
    "a*b?.csv",
    "{SPAN}.csv",
    "{YYYY}-{MM}-{DD}.csv",
    "-x.csv",
    "a b#c.csv",
    "[!a].csv",
    "]^.csv",
)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_name_as_a_pattern_matches_itself_only(tmp_path: Path, name: str) -> None:
    for other in (*STRANGE_NAMES, "day1.csv", "aXbY.csv", "7.csv", "b.csv", "1970-01-01.csv"):
        (tmp_path / other).touch()
    assert inputs.data_files(str(tmp_path), inputs.as_pattern(name)) == [str(tmp_path / name)]


@pytest.mark.parametrize("name", ["d[1]", "d*", "d?", "{SPAN}", "a b", "-d", os.fsdecode(b"\xff")])
def test_a_folder_is_no_pattern_whatever_its_name(tmp_path: Path, name: str) -> None:
    for folder in (name, "d1", "dX"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").touch()
    assert inputs.data_files(str(tmp_path / name), "*.csv") == [str(tmp_path / name / "x.csv")]


def test_hidden_files_and_folders_are_passed_over_and_deep_patterns_give_each_file_once(
    tmp_path: Path,
) -> None:
    for name in ("a.csv", ".b.csv", "_SUCCESS", "in/c.csv", "in/deep/d.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "x.csv").mkdir()
    (tmp_path / "in" / "back").symlink_to(tmp_path)
    names = {
        pattern: [os.path.relpath(p, tmp_path) for p in inputs.data_files(str(tmp_path), pattern)]
        for pattern in ("*", "*.csv", "**/*.csv")
    }
    assert names == {"*": ["a.csv"], "*.csv": ["a.csv"], "**/*.csv": ["a.csv", "in/c.csv", "in/deep/d.csv"]}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: os.mkfifo(path), "is a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to("nowhere"), r"is a link to nothing \(to 'nowhere'\)"),
        (lambda path: path.symlink_to(path.name), "is a link in a circle"),
    ],
)
def test_what_is_no_file_is_named_and_refused(tmp_path: Path, make, words: str) -> None:
    (tmp_path / "a.csv").touch()
    make(tmp_path / "b.csv")
    with pytest.raises(InputError, match=rf"/b\.csv {words}.*Remove it"):
        inputs.data_files(str(tmp_path), "*.csv")
    assert inputs.data_files(str(tmp_path), "a*") == [str(tmp_path / "a.csv")]


def test_where_nothing_matches_the_folder_or_the_files_deeper_down_are_named(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "a.csv").touch()
    words = str(inputs.nothing_matches(str(tmp_path), "*", "data file", "CSV"))
    assert "there is 'sub/deep/a.csv'" in words and "'**/*' to any depth" in words
    missing = str(inputs.nothing_matches(str(tmp_path / "no"), "*", "data file", "CSV"))
    assert f"The folder {str(tmp_path / 'no')!r} does not exist" in missing
