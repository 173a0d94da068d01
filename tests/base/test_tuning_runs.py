"""`viaduct tune` and `viaduct run --tuned` on a project of their own: killed, gone on, used, and said by lineage.

One small project in the scratch checkout, through the command line. The tests run in file order and build on each
other's HOME.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.base import metadata, run_record
from pipelines.base.lineage import lineage, text
from pipelines.base.paths import Paths, metadata_url
from tests.base.conftest import Scratch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("scratch")]
PROJECT = "movers"
TUNE = ("tune", PROJECT, "--trials", "3", "--parallel", "1", "--plain", "--set", "epochs=1")


@pytest.fixture(scope="module")
def paths(scratch: Scratch) -> Paths:
    """`movers`: the template's project, of few rows, with a search over two sizes of its layers."""
    done = scratch.run("new", PROJECT)
    assert done.returncode == 0, done.stderr
    card = scratch.checkout / "pipelines" / PROJECT / "project.py"
    changed = (
        card.read_text()
        .replace('"epochs": 8}', '"epochs": 8}, SEARCH')
        .replace("sample_rows=5_000", "sample_rows=600")
    )
    search = 'SEARCH = Search("auc", {"units": OneOf((4, 16))}, watch="val_auc")\n\nPROJECT ='
    changed = changed.replace("PROJECT =", search, 1)
    changed = changed.replace("\nSEARCH", "\nfrom pipelines.base.search import OneOf, Search\n\nSEARCH", 1)
    card.write_text(changed)
    return Paths.of(PROJECT, scratch.home)


def test_a_project_without_a_tune_split_is_refused_in_words(scratch: Scratch, paths: Paths) -> None:
    done = scratch.run(*TUNE)
    assert done.returncode == 1
    assert "movers has no tune split: its Trainer looks at 'eval'" in done.stderr, done.stderr
    pipeline = scratch.checkout / "pipelines" / PROJECT / "pipeline.py"
    code = pipeline.read_text()
    assert "split_config(train=4, eval=1)" in code and "example_gen)" in code
    code = code.replace("split_config(train=4, eval=1)", "split_config(train=3, tune=1, eval=1)")
    pipeline.write_text(code.replace("example_gen)", 'example_gen, tune_split="tune")', 1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--variant", "dens"), "Did you mean 'dense'?"),
        (("--set", "unit=4"), "Did you mean 'units'?"),
        (("--set", "units=a..b"), "'a' is no int"),
        (("--set", "units=4"), "fixes every parameter of the search"),
        (("--set", "units=4,8"), "the default of 'units' is 16, outside of its search 4, 8"),
        (("--trials", "0"), "expected a positive whole number of trials"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_runs(
    scratch: Scratch, paths: Paths, arguments: tuple[str, ...], told: str
) -> None:
    done = scratch.run("tune", PROJECT, *arguments)
    assert done.returncode in (1, 2) and told in done.stderr, done.stderr
    assert not (paths.home / "tuning" / PROJECT).exists()


def test_parameters_that_were_never_tuned_are_refused_with_what_to_do(scratch: Scratch, paths: Paths) -> None:
    done = scratch.run("run", PROJECT, "--plain", "--tuned")
    assert done.returncode == 1
    assert "movers.sample was never tuned" in done.stderr and "viaduct tune movers" in done.stderr


def _results(paths: Paths) -> dict[str, float]:
    """When each training that has ended did so, by its key."""
    return {
        file.parent.name: file.stat().st_mtime
        for file in (paths.home / "tuning" / PROJECT).glob("trials/*/result.json")
    }


def test_a_search_that_is_killed_goes_on_and_trains_nothing_twice(scratch: Scratch, paths: Paths) -> None:
    env = {**os.environ, "VIADUCT_HOME": str(scratch.home), "PYTHONPATH": str(scratch.checkout)}
    command = [sys.executable, "-m", "pipelines", *TUNE]
    killed = subprocess.Popen(
        command, cwd=scratch.checkout, env=env, stdout=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 600
    while not _results(paths):
        assert time.monotonic() < end and killed.poll() is None
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(timeout=30)
    before = _results(paths)

    done = scratch.run(*TUNE)
    assert done.returncode == 0, done.stdout + done.stderr
    after = _results(paths)
    assert before.items() <= after.items()
    # Two sizes, and each with three seeds; the third trial is a size that was tried.
    assert len(after) == 2 + 2 * 3
    record = next(run_record.read_all(paths))
    assert (
        list(record.nodes)[-1] == "Tuner"
        and "Trainer" not in record.nodes
        and "Evaluator" not in record.nodes
    )
    assert "3 trials (3 complete)" in done.stdout and "chosen" in done.stdout
    with contextlib.suppress(StopIteration):
        assert all(node.state in ("done", "cached") for node in record.nodes.values())


def test_a_search_is_recorded_with_what_it_read_and_chose(scratch: Scratch, paths: Paths) -> None:
    store = metadata.store(metadata_url(paths.home))
    kinds = {kind.id: kind.name.rpartition(".")[2] for kind in store.get_execution_types()}
    finished = [
        e for e in store.get_executions() if kinds[e.type_id] == "Tuner" and e.last_known_state == e.COMPLETE
    ]
    assert len(finished) == 1
    [best] = [a for a in store.get_artifacts_by_type("HyperParameters") if a.state == a.LIVE]
    [found] = [a for a in store.get_artifacts_by_type("TunerResults") if a.state == a.LIVE]
    assert best.custom_properties["served"].string_value == "movers.sample"
    results = json.loads(Path(found.uri, "results.json").read_text())
    chosen = json.loads(Path(best.uri, "best_hyperparameters.txt").read_text())
    assert chosen == results["chosen"]["parameters"] and set(chosen) == {"units"}
    assert (Path(found.uri) / "tuning.png").read_bytes().startswith(b"\x89PNG")


def test_a_tuned_run_uses_the_choice_and_lineage_says_so(scratch: Scratch, paths: Paths) -> None:
    done = scratch.run("run", PROJECT, "--plain", "--tuned", "--set", "epochs=2")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    record = next(run_record.read_all(paths))
    chosen = json.loads(Path(record.settings["tuned"], "best_hyperparameters.txt").read_text())
    assert record.settings["parameters"]["units"] == chosen["units"] and "Tuned: units=" in done.stdout
    assert record.settings["parameters"]["epochs"] == 2
    assert record.nodes["Transform"].state == "cached"
    ancestry = lineage(paths)
    assert ancestry["run"] == record.run_id and ancestry["tuned"]["uri"] == record.settings["tuned"]
    assert "on the tune split, best of 3 trials" in text(ancestry)
    searched = next(r for r in run_record.read_all(paths) if r.settings["search"])
    assert ancestry["tuned"]["run"] == searched.run_id
