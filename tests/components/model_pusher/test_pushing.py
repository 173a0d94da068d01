"""A push appears at once and whole, or not at all."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.base import whole
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


def test_equal_models_pushed_at_once_are_one_version(model: Path, tmp_path: Path) -> None:
    from components.model_pusher.pushing import push, versions

    copies = [shutil.copytree(model, tmp_path / f"copy-{number}") for number in range(4)]
    pushed: list[Path] = []
    threads = [threading.Thread(target=lambda m=m: pushed.append(push(m, tmp_path / "s"))) for m in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pushed)) == 1 and len(versions(tmp_path / "s")) == 1
    other = copies[0] / "variables" / "variables.data-00000-of-00001"
    other.write_bytes(b"y" * other.stat().st_size)
    assert push(copies[0], tmp_path / "s") != pushed[0], "the same folder and sizes, another content"


def test_a_version_number_is_higher_than_the_newest_whatever_the_clock_says(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.model_pusher import pushing

    base = tmp_path / "serving"
    (base / "9223372036854775807999").mkdir(parents=True)
    (base / "²").mkdir()
    pushed = []
    for number, clock in enumerate((2_000_000_000, 1_000, -5, 2_000_000_000)):
        monkeypatch.setattr(pushing.time, "time", lambda clock=clock: float(clock))
        (model / "saved_model.pb").write_text(str(number))
        pushed.append(int(pushing.push(model, base).name))
    assert pushed == [2_000_000_000, 2_000_000_001, 2_000_000_002, 2_000_000_003]


def test_what_killed_pushes_left_is_removed_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    base = tmp_path / "serving"
    killed = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, shutil, time; from pathlib import Path\n"
            "from components.model_pusher import pushing\n"
            "def copy(model, aside):\n    aside.mkdir(); print('copying', flush=True); time.sleep(99)\n"
            "pushing.shutil.copytree = copy\n"
            "pushing.push(Path('model'), Path(sys.argv[1]))",
            str(base),
        ],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None and killed.stdout.readline() == b"copying\n"
    (base / ".push-1-1700000000000000000").mkdir()
    whole.sweep(base)
    assert len(list(base.iterdir())) == 2, "both processes live"
    killed.kill()
    killed.wait()
    killed.stdout.close()
    (base / f".push-{killed.pid}-1700000000000000000").mkdir()
    whole.sweep(base)
    assert [path.name for path in base.iterdir()] == [".push-1-1700000000000000000"]


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


def test_under_a_plan_the_version_that_is_served_is_written_down_before_another_appears(
    model: Path, tmp_path: Path
) -> None:
    from components.model_pusher.pushing import push
    from pipelines.base.project import Release
    from serving.release.folder import Folder

    base, plan = tmp_path / "serving", Release(steps="10,100", margin=2.0)
    first = push(model, base)
    (model / "saved_model.pb").write_bytes(b"better")
    push(model, base, plan.plan())
    standing = Folder(base).standing()
    assert standing is not None
    assert standing.stable == int(first.name)
    assert (standing.plan.shares, standing.plan.margin) == ((0.1, 1.0), 2.0)
    (model / "saved_model.pb").write_bytes(b"even better")
    push(model, base, Release(steps="50,100").plan())
    again = Folder(base).standing()
    assert again is not None
    assert (again.stable, again.plan.shares) == (int(first.name), (0.5, 1.0))


def test_without_a_plan_a_cards_is_taken_away_and_a_persons_stays(model: Path, tmp_path: Path) -> None:
    from components.model_pusher.pushing import push
    from pipelines.base.project import Release
    from serving.release.folder import Folder
    from serving.release.plan import Plan

    base = tmp_path / "serving"
    push(model, base, Release().plan())
    (model / "saved_model.pb").write_bytes(b"better")
    push(model, base)
    assert Folder(base).standing() is None
    Folder(base).lay_down(Plan(), 1)
    (model / "saved_model.pb").write_bytes(b"even better")
    push(model, base)
    assert Folder(base).standing() is not None
