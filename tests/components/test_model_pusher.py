"""A push appears at once and whole, or not at all."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.base.paths import CHECKOUT


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(b"x" * 300_000)
    return folder


def test_pushes_are_numbered_upwards_whole_and_not_repeated(model: Path, tmp_path: Path) -> None:
    from components.model_pusher.pushing import push, versions

    base = tmp_path / "serving"
    first = push(model, base)
    assert push(model, base) == first, "the newest version is this model already"
    other = tmp_path / "other"
    other.mkdir()
    (other / "saved_model.pb").write_bytes(b"another")
    second = push(other, base)
    assert int(second.name) > int(first.name)
    third = push(model, base)
    assert int(third.name) > int(second.name), "an older model pushed again is a new version"
    assert sorted(versions(base)) == [int(p.name) for p in (first, second, third)]
    assert not list(base.glob(".push-*"))

    pushed: list[Path] = []
    models = []
    for index in range(4):
        models.append(tmp_path / f"m{index}")
        models[-1].mkdir()
        (models[-1] / "saved_model.pb").write_bytes(b"%d" % index)
    threads = [threading.Thread(target=lambda m=m: pushed.append(push(m, base))) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pushed)) == 4


def test_a_full_disk_leaves_what_was_served_and_nothing_half_written(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "serving"
    (base / "7").mkdir(parents=True)
    program = (
        "import sys; from pathlib import Path\n"
        "from components.model_pusher.pushing import PushError, push\n"
        "try:\n    push(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except PushError as error:\n    print(error); sys.exit(9)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-c", program, str(model), str(base)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    assert "Nothing was pushed" in done.stdout and str(base) in done.stdout
    assert [path.name for path in base.iterdir()] == ["7"]
