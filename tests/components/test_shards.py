"""What the ExampleGens share: the runner they name, tasks on Beam, what is published."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.progress import Counter
from components.shards import LOCAL_RUNNER


def test_beam_arguments_that_name_no_runner_get_one() -> None:
    from components.shards import with_runner

    assert with_runner(["--temp_location=x"]) == ["--temp_location=x", *LOCAL_RUNNER]
    assert with_runner(["--runner=PortableRunner"]) == ["--runner=PortableRunner"]


def test_the_rows_of_all_tasks_are_counted_together_and_anew_for_each_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import apache_beam as beam

    from components import progress, shards

    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.json"))
    monkeypatch.setattr(progress, "MIN_INTERVAL_S", 0.0)
    for _ in range(2):
        shards.run_tasks(
            lambda: beam.Pipeline(argv=LOCAL_RUNNER),
            [1, 2, 3],
            count_ten,
            None,
            str(tmp_path),
            functools.partial(progress.Counter, "rows", 100),
        )
        assert json.loads((tmp_path / "progress.json").read_text())["done"] == 30


def test_what_killed_executions_left_beside_the_artifact_is_removed(tmp_path: Path) -> None:
    from components.shards import folder_aside
    from pipelines.base import whole

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    name = whole.aside_of(tmp_path / "writing").name
    gone = [
        tmp_path / "1" / name.replace(f"~{os.getpid()}~", f"~{dead.pid}~") / "0.gz",
        tmp_path / "1" / ".writing-0123abcd" / "0.gz",
        tmp_path / "2" / "Split-train" / f".data_tfrecord-00000-of-00001.gz.{dead.pid}.tmp",
        tmp_path / "2" / "columns" / name.replace(f"~{os.getpid()}~", f"~{dead.pid}~"),
    ]
    kept = [
        tmp_path / "2" / name / "0.gz",
        tmp_path / "1" / "Split-train" / "data_tfrecord-00000-of-00001.gz",
    ]
    for file in (*gone, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with pytest.raises(RuntimeError), folder_aside(str(tmp_path / "3")) as folder:
        assert Path(folder).parent == tmp_path / "3"
        raise RuntimeError
    assert [file for file in gone if file.parent.exists() and file.exists()] == []
    assert all(file.exists() for file in kept) and list((tmp_path / "3").iterdir()) == []


def count_ten(task: int, plan: None, rows: Counter) -> dict[str, Any]:
    rows.add(10, 30)
    return {"task": task, "errors": []}
