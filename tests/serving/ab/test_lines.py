"""Files of lines: what was promised to be there is there after a kill, and half a line is no line."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from serving.ab import lines
from serving.ab.lines import Lines, Reader, line
from tests.serving.processes import ROOT

KILLED = """
import os, signal, sys
from pathlib import Path
from serving.ab.lines import Lines, line
folder, writer = Path(sys.argv[1]), Lines()
writer.put(folder, "kind", [{"n": 1}], durable=True).result()
# The second write stops in the middle, and the process with it.
file = next(iter(writer._files.values())).file
file.write(line({"n": 2})[:-5])
file.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_between_two_writes_leaves_the_first_and_half_a_line_that_is_counted(
    tmp_path,
):
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    reader = Reader(tmp_path, "kind")
    assert list(reader.fresh()) == [{"n": 1}]
    assert reader.torn == 1
    # The next process has a file of its own.
    after = Lines()
    after.put(tmp_path, "kind", [{"n": 2}, {"n": 3}], durable=True).result()
    after.close()
    assert list(reader.fresh()) == [{"n": 2}, {"n": 3}]
    assert reader.torn == 1


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(tmp_path):
    text, reader = line({"n": "ä"}), Reader(tmp_path, "kind")
    file = tmp_path / "kind-x-0.log"
    file.write_bytes(text[:7])
    assert list(reader.fresh()) == [] and reader.torn == 1
    file.write_bytes(text)
    assert list(reader.fresh()) == [{"n": "ä"}] and reader.torn == 0
    assert list(reader.fresh()) == []


@pytest.mark.parametrize("damage", [b"\n", b"no line\n", b"00000000 {}\n", b"\0" * 40 + b"\n"])
def test_a_damaged_line_is_passed_over_and_counted(tmp_path, damage):
    (tmp_path / "kind-x-0.log").write_bytes(line({"n": 1}) + damage + line({"n": 2}))
    reader = Reader(tmp_path, "kind")
    assert list(reader.fresh()) == [{"n": 1}, {"n": 2}] and reader.torn == 1


def test_lines_of_many_threads_are_all_there_and_kinds_and_folders_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST_BYTES", 500)
    writer = Lines()

    def write(number):
        for n in range(20):
            writer.put(tmp_path / "a", "seen", [{"n": 20 * number + n}], durable=n % 2 == 0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Threads may all have been written at once; who waits for the disk is written alone, and files fill.
    for n in range(80, 100):
        writer.put(tmp_path / "a", "seen", [{"n": n}], durable=True).result()
    writer.put(tmp_path / "b", "told", [{"n": -1}], durable=True).result()
    writer.close()
    assert sorted(value["n"] for value in Reader(tmp_path / "a", "seen").fresh()) == list(range(100))
    assert list(Reader(tmp_path / "a", "told").fresh()) == []
    assert list(Reader(tmp_path / "b", "told").fresh()) == [{"n": -1}]
    assert len(list((tmp_path / "a").iterdir())) > 1


def test_who_waits_for_the_disk_hears_that_it_failed(tmp_path):
    (tmp_path / "file").touch()
    writer = Lines()
    with pytest.raises(OSError):
        writer.put(tmp_path / "file" / "below", "kind", [{"n": 1}], durable=True).result(timeout=60)
    writer.close()
    with pytest.raises(OSError, match="stopping"):
        writer.put(tmp_path, "kind", [{"n": 1}], durable=True).result()
    assert writer.dropped == 2 and os.listdir(tmp_path) == ["file"]


def test_a_file_that_is_taken_away_costs_a_writer_no_line(tmp_path, monkeypatch):
    """`viaduct gc` renames old files, between writes or in the middle of one."""
    trash = tmp_path / "trash"
    trash.mkdir()

    def take_away():
        for file in (tmp_path / "f").glob("*.log"):
            file.rename(trash / file.name)

    def told():
        return sorted({value["n"] for value in Reader(tmp_path / "f", "kind").fresh()})

    writer = Lines()
    writer.put(tmp_path / "f", "kind", [{"n": 1}], durable=True).result(60)
    take_away()
    writer.put(tmp_path / "f", "kind", [{"n": 2}], durable=True).result(60)
    assert told() == [2]
    fsync = os.fsync

    def taken(number, left=[1]):  # noqa: B006 - counts down
        fsync(number)
        if left and left.pop():
            take_away()

    monkeypatch.setattr(lines.os, "fsync", taken)
    writer.put(tmp_path / "f", "kind", [{"n": 3}], durable=True).result(60)
    writer.close()
    assert told() == [3]
    assert sorted(value["n"] for value in Reader(trash, "kind").fresh()) == [1, 2, 3]
