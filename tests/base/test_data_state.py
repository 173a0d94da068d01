"""The state of raw data: any change of names or content is seen, however it is made; content is read once."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.base import data_state


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n")
    (folder / "inner" / "b.csv").write_text("x\n2\n")
    return folder


def state(data: Path, memo: Path | None = None) -> str:
    return data_state.of(data, memo or data.parent / "memo")


def in_place(data: Path) -> None:
    """Other content of the same size under the same time, written into the same file."""
    before = (data / "a.csv").stat()
    (data / "a.csv").write_text("x\n7\n")
    os.utime(data / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(data: Path) -> None:
    """As rsync -t and tar do it: another file takes the name, and the old one's time."""
    before = (data / "a.csv").stat()
    (data / "new").write_text("x\n7\n")
    os.utime(data / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(data / "new", data / "a.csv")


def renamed(data: Path) -> None:
    os.rename(data / "a.csv", data / "c.csv")


def moved_between_folders(data: Path) -> None:
    os.rename(data / "a.csv", data / "inner" / "a.csv")


def swapped(data: Path) -> None:
    os.rename(data / "a.csv", data / "t")
    os.rename(data / "inner" / "b.csv", data / "a.csv")
    os.rename(data / "t", data / "inner" / "b.csv")


def a_pipe_more(data: Path) -> None:
    os.mkfifo(data / "pipe.csv")


@pytest.mark.parametrize("change", [in_place, replaced, renamed, moved_between_folders, swapped, a_pipe_more])
def test_a_change_is_seen(data: Path, change: Callable[[Path], None]) -> None:
    before = state(data)
    assert state(data) == before
    change(data)
    assert state(data) != before


def test_a_change_right_after_the_look_is_seen_although_size_and_inode_stay(data: Path) -> None:
    for digit in range(9):
        (data / "a.csv").write_text(f"x\n{digit}\n")
        before = state(data)
        (data / "a.csv").write_text(f"x\n{digit + 1}\n")
        assert state(data) != before


def test_a_changed_folder_behind_a_link_is_seen(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "c.csv").write_text("x\n3\n")
    (data / "linked").symlink_to(elsewhere)
    (tmp_path / "current").symlink_to(data)
    before = state(tmp_path / "current")
    (elsewhere / "c.csv").write_text("x\n4\n")
    changed = state(tmp_path / "current")
    assert changed != before
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(elsewhere)
    assert state(tmp_path / "current") not in (before, changed)


def test_equal_content_is_equal_wherever_and_whenever_it_was_written(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "a.csv")
    assert state(tmp_path / "copy") == state(data)


def test_content_is_read_once_by_whoever_asks(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = data.parent / "memo"
    whole_folder = state(data)
    one_file = state(data / "a.csv", memo)

    def never(path: str, learnt: data_state.Known | None) -> str:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(data_state, "_hashed", never)
    assert (state(data), state(data / "a.csv", memo)) == (whole_folder, one_file)


def test_a_memo_that_is_damaged_or_cannot_be_written_changes_nothing(data: Path, tmp_path: Path) -> None:
    expected = data_state.of(data, None)
    memo = tmp_path / "memo"
    assert data_state.of(data, memo) == expected
    for number, file in enumerate(memo.iterdir()):
        file.write_text(["{", '{"files": [1]}'][number % 2])
    assert data_state.of(data, memo) == expected
    (tmp_path / "file").write_text("")
    assert data_state.of(data, tmp_path / "file" / "memo") == expected


def test_the_memo_forgets_files_that_are_gone(data: Path, tmp_path: Path) -> None:
    for number in range(3):
        (data / f"{number}.csv").write_text(str(number))
        state(data)
        (data / f"{number}.csv").unlink()
    (data / "a.csv").write_text("other")
    state(data)
    assert not any('"0.csv"' in file.read_text() for file in (tmp_path / "memo").iterdir())


def test_what_is_no_file_is_named_and_never_opened(data: Path) -> None:
    os.mkfifo(data / "pipe")
    (data / "broken").symlink_to("nowhere")
    (data / "loop").symlink_to("loop")
    (data / "back").symlink_to(data)
    (data / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.getcwd()
        os.chdir(data)
        try:
            listener.bind("socket")
        finally:
            os.chdir(folder)
    names = ("pipe", "broken", "loop", "back", "device", "socket", "inner", "a.csv")
    assert {name: data_state.kind(data / name).partition(" (")[0] for name in names} == {
        "pipe": "a named pipe",
        "broken": "a link to nothing",
        "loop": "a link in a circle",
        "back": "folder",
        "device": "a device",
        "socket": "a socket",
        "inner": "folder",
        "a.csv": "file",
    }
    assert [name for name, _ in data_state.files_below(data)].count("back") == 1
    assert state(data) == state(data)


def test_names_that_are_no_utf_8_count_like_others(data: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(data) + b"/\xff.csv"))
    strange.write_text("1")
    before = state(data)
    assert state(data) == before
    os.rename(strange, os.fsdecode(os.fsencode(data) + b"/\xfe.csv"))
    assert state(data) != before


def test_the_digest_of_content_is_sha_256(data: Path) -> None:
    state(data)
    expected = hashlib.sha256((data / "a.csv").read_bytes()).hexdigest()
    assert any(expected in file.read_text() for file in (data.parent / "memo").iterdir())
