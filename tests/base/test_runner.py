"""The runner's promises: cache by code, no needless repetition, kill, Ctrl-C, two at once, clear ends.

All on one project in a checkout of its own, through the command line. The tests run in file order and build on
each other's HOME, because each run costs half a minute.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.base import metadata, run_record
from pipelines.base.paths import metadata_url
from tests.base.conftest import PROJECT, Scratch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scratch")]
SHORT = ("--plain", "--set", "epochs=2")


def _start(scratch: Scratch, *arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "VIADUCT_HOME": str(scratch.home), "PYTHONPATH": str(scratch.checkout)}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=scratch.checkout,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Shells start background jobs with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


def _running(scratch: Scratch, node: str, run_id_not: str) -> bool:
    record = next(run_record.read_all(scratch.paths), None)
    return (
        record is not None
        and record.run_id != run_id_not
        and node in record.nodes
        and record.nodes[node].state == "running"
    )


def _executions(scratch: Scratch) -> list:  # type: ignore[type-arg]
    return metadata.store(metadata_url(scratch.home)).get_executions()


def _active(scratch: Scratch) -> list:  # type: ignore[type-arg]
    return [e for e in _executions(scratch) if e.last_known_state in (e.NEW, e.RUNNING)]


def test_a_new_project_runs_at_once_and_its_model_is_pushed(scratch: Scratch) -> None:
    done = scratch.run("run", PROJECT, *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    record = scratch.newest()
    assert record.state == "succeeded" and record.blessed
    assert (Path(record.pushed) / "saved_model.pb").exists()
    assert "Blessed and pushed" in done.stdout and "Served as churn.sample" in done.stdout
    assert Path(record.pushed).parent == scratch.served and not scratch.paths.serving.exists()


def test_a_run_that_nothing_would_change_is_not_repeated(scratch: Scratch) -> None:
    before = scratch.newest().run_id
    done = scratch.run("run", PROJECT, *SHORT)
    assert done.returncode == 0 and "Nothing has changed" in done.stdout
    assert scratch.newest().run_id == before


def test_an_edit_of_the_features_reruns_transform_and_what_follows_and_nothing_else(scratch: Scratch) -> None:
    file = scratch.source / "features.py"
    file.write_text(file.read_text() + "\n# another thought\n")
    done = scratch.run("run", PROJECT, *SHORT)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    states = {name: node.state for name, node in scratch.newest().nodes.items()}
    assert {states[n] for n in ("ArrowExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator")} == {
        "cached"
    }
    assert states["Transform"] == states["Trainer"] == states["Evaluator"] == "done"


def test_a_run_killed_in_training_is_resumed_and_leaves_one_model(scratch: Scratch) -> None:
    before, models = scratch.newest().run_id, _models(scratch)
    arguments = ("run", PROJECT, "--plain", "--set", "epochs=3")
    killed = _start(scratch, *arguments)
    _wait_for(lambda: _running(scratch, "Trainer", before))
    time.sleep(3)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(timeout=30)
    dead = scratch.newest()
    assert dead.state == "running" and not dead.alive()

    done = scratch.run(*arguments)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "ended without saying so" in done.stdout
    record = scratch.newest()
    assert record.state == "succeeded"
    assert {record.nodes[n].state for n in ("ArrowExampleGen", "StatisticsGen", "Transform")} == {"cached"}
    assert _active(scratch) == []
    assert _models(scratch) == models + 1
    assert run_record.read(scratch.paths.runs / dead.run_id / "run.json").state == "failed"  # type: ignore[union-attr]


def _models(scratch: Scratch) -> int:
    artifacts = metadata.store(metadata_url(scratch.home)).get_artifacts_by_type("Model")
    return sum(artifact.state == artifact.LIVE for artifact in artifacts)


def test_ctrl_c_ends_the_children_and_leaves_the_metadata_consistent(scratch: Scratch) -> None:
    before = scratch.newest().run_id
    process = _start(scratch, "run", PROJECT, "--plain", "--set", "epochs=60")
    _wait_for(lambda: _running(scratch, "Trainer", before))
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Cancelled" in output and "Traceback" not in output
    record = scratch.newest()
    assert record.state == "cancelled" and record.nodes["Trainer"].state == "cancelled"
    assert _active(scratch) == []


def test_two_runs_of_one_project_at_once_are_both_right(scratch: Scratch) -> None:
    first = _start(scratch, "run", PROJECT, "--plain", "--set", "epochs=2", "--set", "units=8")
    second = _start(scratch, "run", PROJECT, "--plain", "--set", "epochs=2", "--set", "units=12")
    outputs = [process.communicate(timeout=400)[0] for process in (first, second)]
    assert {first.returncode, second.returncode} <= {0, 3}, outputs
    newest = [r for _, r in zip(range(2), run_record.read_all(scratch.paths), strict=False)]
    assert {r.settings["parameters"]["units"] for r in newest} == {8, 12}
    assert len({r.model for r in newest}) == 2
    assert all(r.state == "succeeded" for r in newest)
    assert _active(scratch) == []


def test_a_node_whose_code_fails_is_named_with_the_cause_and_the_log(scratch: Scratch) -> None:
    file = scratch.source / "model.py"
    whole = file.read_text()
    first = "    model = build_model(run.parameters)\n"
    assert first in whole
    file.write_text(whole.replace(first, "    raise KeyError('no such thing')\n"))
    try:
        done = scratch.run("run", PROJECT, *SHORT)
    finally:
        file.write_text(whole)
    assert done.returncode == 1
    assert "Trainer failed" in done.stdout and "no such thing" in done.stdout and "model.py" in done.stdout
    log = Path(done.stdout.rsplit("log: ", 1)[1].split("\n")[0])
    assert "no such thing" in log.read_text()
    assert scratch.newest().nodes["Pusher"].state == "skipped"


def test_a_model_below_its_bar_is_kept_and_not_pushed_and_the_summary_says_by_how_much(
    scratch: Scratch,
) -> None:
    file = scratch.source / "project.py"
    whole = file.read_text()
    file.write_text(whole.replace("at_least=0.70", "at_least=0.999"))
    pushed = set(scratch.served.iterdir())
    try:
        done = scratch.run("run", PROJECT, *SHORT)
    finally:
        file.write_text(whole)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "missed by" in done.stdout and "Not blessed" in done.stdout
    record = scratch.newest()
    assert record.blessed is False and Path(record.model).is_dir()
    assert set(scratch.served.iterdir()) == pushed


@contextlib.contextmanager
def _second_variant(source: Path) -> Iterator[None]:
    """The template's card with a variant `wide` beside its own."""
    file = source / "project.py"
    whole = file.read_text()
    (dense,) = [line for line in whole.splitlines() if "variants=(" in line]
    wide = dense.replace("variants=(", "").replace('"dense"', '"wide"')
    file.write_text(whole.replace(dense, dense.removesuffix("),") + "\n" + wide))
    try:
        yield
    finally:
        file.write_text(whole)


def test_a_variant_is_compared_with_its_own_last_blessed_model_and_with_no_other_variants(
    scratch: Scratch,
) -> None:
    compared = []
    with _second_variant(scratch.source):
        for epochs in (2, 3):
            asked = ("run", PROJECT, "--plain", "--variant", "wide", "--set", f"epochs={epochs}")
            done = scratch.run(*asked)
            assert done.returncode == 0, done.stdout + done.stderr
            compared.append("auc_diff" in scratch.newest().metrics)
    assert compared == [False, True], "there were blessed models of the other variant before both"


def test_without_a_host_each_node_runs_in_a_process_of_its_own(scratch: Scratch) -> None:
    record = scratch.newest()
    run_folder = scratch.paths.runs / record.run_id
    done = scratch.run(
        "node", PROJECT, "SchemaGen", "--run-id", record.run_id, "--ir", str(run_folder / "ir.json")
    )
    assert done.returncode == 0, done.stderr
    assert '"type": "Schema"' in done.stdout


def test_runs_and_lineage_are_told_to_people_and_to_machines(scratch: Scratch) -> None:
    import json

    listed = json.loads(scratch.run("runs", PROJECT, "--json").stdout)
    assert {run["state"] for run in listed} >= {"succeeded", "failed", "cancelled"}
    version = next(Path(run["pushed"]).name for run in listed if run["pushed"])
    found = json.loads(scratch.run("lineage", version, "--json").stdout)
    assert found["version"] == version and found["data"][0]["span"] == 0
    assert found["hyperparameters"]["profile"] == "quick" and set(found["code"]) == {"Trainer", "Transform"}
    assert "<- Trainer" in scratch.run("lineage", PROJECT).stdout


def _content(folder: Path) -> str:
    """A digest of names and bytes of all files below."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    told = [f"{file.relative_to(folder)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    assert told, "there is nothing that could stay"
    return "\n".join(told)


def test_production_stays_what_it_was_after_samples_quick_runs_and_other_variants_of_two_projects(
    scratch: Scratch,
) -> None:
    other = "leavers"
    assert scratch.run("new", other).returncode == 0
    (made,) = scratch.paths.samples.glob("5000-rows-*")
    real = scratch.home / "real"
    shutil.copytree(made / "span-0", real, ignore=shutil.ignore_patterns(".*"))
    served = scratch.home / "serving"
    try:
        for project in (PROJECT, other):
            done = scratch.run("run", project, *SHORT, "--profile", "full", "--data", str(real))
            assert done.returncode == 0 and f"Served as {project}: production." in done.stdout, done.stdout
        before = {project: _content(served / project) for project in (PROJECT, other)}
        # What `make run` does, then all else.
        done = scratch.run("run", other, "--plain", "--predict")
        assert done.returncode == 0 and f"{other}.sample version" in done.stdout, done.stdout
        assert f"viaduct serve {other}.sample" in done.stdout
        runs = [("--data", str(real)), ("--variant", "wide"), ("--variant", "wide", "--data", str(real))]
        with _second_variant(scratch.source):
            for arguments in (*runs, (*runs[-1], "--profile", "full")):
                done = scratch.run("run", PROJECT, *SHORT, *arguments)
                assert done.returncode == 0 and f"{PROJECT} stays" in done.stdout, done.stdout
        assert {project: _content(served / project) for project in (PROJECT, other)} == before
        names = {path.name for path in served.glob(f"{PROJECT}*")}
        kinds = ("", ".sample", ".quick", ".wide.sample", ".wide.quick", ".wide")
        assert names == {PROJECT + kind for kind in kinds}
        # A production model is compared with the one before it, whatever came between.
        asked = ("run", PROJECT, "--plain", "--set", "epochs=3", "--profile", "full", "--data", str(real))
        assert scratch.run(*asked).returncode in (0, 3) and "auc_diff" in scratch.newest().metrics
    finally:
        shutil.rmtree(scratch.checkout / "pipelines" / other)
