"""What killed processes leave is removed by the next run, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.base import leftovers, whole
from pipelines.base.forkserver import server
from pipelines.base.paths import CHECKOUT, Paths


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_run_removes_what_no_living_process_owns(tmp_path: Path, dead: int) -> None:
    paths = Paths.of("card_fraud", tmp_path)
    run = paths.runs / "card_fraud-1"
    samples = tmp_path / "samples" / "card_fraud"
    gone = [
        run / f".run.json.{dead}.tmp",
        run / f"Trainer.result.json.{dead}.tmp",
        samples / f".9-rows-seed-7-0.{dead}.tmp" / "span-0",
        paths.data / f".span-0.{dead}.tmp" / "x",
        paths.serving / f".push-{dead}-1700000000000000000" / "x",
        run / whole.aside_of(run / "run.json").name.replace(f"~{os.getpid()}~", f"~{dead}~"),
    ]
    kept = [
        run / "run.json",
        run / f".run.json.{os.getpid()}.tmp",
        whole.aside_of(samples / "span-0"),
        samples / "9-rows" / "span-0" / f".x.{dead}.tmp",
        paths.serving / "17" / "saved_model.pb",
        paths.serving / ".push-1-17",
    ]
    for file in (*gone, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    leftovers.sweep(paths)
    assert [file for file in gone if file.exists()] == []
    assert [file for file in kept if not file.exists()] == []


def leave_files(size: int) -> int:
    """What a node calls: it leaves files where TensorFlow and Beam leave theirs."""
    for number in range(size):
        handle, _ = tempfile.mkstemp(prefix="__autograph_generated_file", suffix=f"{number}.py")
        os.close(handle)
    tempfile.mkdtemp(prefix="beam-pipeline-temp")
    return len(os.listdir(tempfile.gettempdir()))


def test_a_nodes_temporary_files_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setitem(sys.modules, "leaving", sys.modules[__name__])
    result = tmp_path / "result.json"
    assert server.invoke("leaving:leave_files", {"size": 3}, str(result)) == 0
    assert json.loads(result.read_text()) == {"value": 4}
    assert tempfile.gettempdir() == str(tmp_path) == os.environ["TMPDIR"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json"]
    assert server.invoke("leaving:no_such", {}, str(result)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_temporary_folder_of_a_killed_node_goes_with_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    program = (
        "import os, signal, tempfile\nfrom pipelines.base import leftovers\n"
        "with leftovers.temporary_folder():\n"
        "    tempfile.mkdtemp(prefix='beam-pipeline-temp')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False)
    (tmp_path / "mine.1.tmp").touch()
    assert len(list(tmp_path.iterdir())) == 2
    with leftovers.temporary_folder() as living:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert len(leftovers.sweep_temporary()) == 1
        assert living.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.1.tmp"]


def test_sockets_fit_into_the_temporary_folder() -> None:
    with leftovers.temporary_folder() as folder:
        assert len(str(folder / "pymp-12345678" / "listener-12345678")) < 108
