"""A named runner does the work; rows, statistics, vocabularies, metrics and blessing are the in-process run's.

Beam's portable job service and two worker pools run as processes of their own. Each node's in-process executor gets
what the node got in that run, so that a training that is repeated does not blur the comparison.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import node_calls, nodes_equal
from pipelines.base import data, registry, run_record
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import CHECKOUT, Paths
from tests.conftest import viaduct
from tests.pipelines.beam_services import Services, services

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ROWS = {"card_fraud": 2_000, "sentiment": 400}
EXAMPLE_GENS = {"card_fraud": "ArrowExampleGen", "sentiment": "FunctionExampleGen"}


@pytest.fixture(scope="module")
def beam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    forkserver.stop(tmp_path / "home")


def command(project: str, home: Path, beam: Services) -> list[str]:
    raw = data.sample(registry.get(project), Paths.of(project, home), ROWS[project])
    return ["run", project, "--plain", "--data", str(raw), *(f"--beam-arg={a}" for a in beam.arguments())]


def rows_of(uri: Path) -> dict[str, list[Any]]:
    """Decoded rows per file of records, in their order: how features are ordered in a message is no part of it."""
    import tensorflow as tf

    from components.columns.reading import records_of

    return {
        str(file.relative_to(uri)): [
            tf.train.Example.FromString(record) for batch in records_of(str(file), 1000) for record in batch
        ]
        for file in sorted(uri.glob("Split-*/*.gz"))
    }


@pytest.mark.parametrize("project", list(ROWS))
def test_every_node_makes_on_the_named_runner_what_it_makes_in_process(
    project: str, home: Path, beam: Services, tmp_path: Path
) -> None:
    done = viaduct(*command(project, home, beam), home=home)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    record = next(run_record.read_all(Paths.of(project, home)))
    outputs = {
        name: {o["key"]: Path(o["uri"]) for o in n.summary["outputs"]} for name, n in record.nodes.items()
    }
    for name in (EXAMPLE_GENS[project], "StatisticsGen", "Transform"):
        assert record.nodes[name].summary["engine"] == "Beam (PortableRunner is named)"

    def again(name: str) -> Path:
        node_calls.of_run(home, project, name, tmp_path / name, beam_args=[]).run()
        return tmp_path / name

    example_gen = EXAMPLE_GENS[project]
    assert rows_of(again(example_gen) / "examples") == rows_of(outputs[example_gen]["examples"])
    compared = [("StatisticsGen", nodes_equal.statistics), ("Transform", nodes_equal.transform)]
    # A project's own evaluation function runs on no engine.
    by_rows = not registry.get(project).evaluation.function
    for name, compare in [*compared, ("Evaluator", nodes_equal.evaluator)] if by_rows else compared:
        theirs = tmp_path / f"{name}-on-beam"
        theirs.mkdir()
        for key, uri in outputs[name].items():
            (theirs / key).symlink_to(uri)
        assert compare(again(name), theirs) == []
    if by_rows:
        assert (tmp_path / "Evaluator" / "blessing" / "BLESSED").exists() is record.blessed


def test_both_pools_work_and_the_rows_of_one_file_are_read_by_two_processes(
    beam: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import apache_beam as beam_package

    from components import shards
    from components.arrow_example_gen import planning
    from components.arrow_example_gen.options import Options
    from components.arrow_example_gen.reading.files import find_files

    # By the name under which the workers find it.
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    spreading = importlib.import_module("spreading")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(20_000)))
    options = Options(piece_bytes=10_000)
    files = [find_files(str(tmp_path / "data"), "*.csv")]
    plan = planning.make_plan(files, options, {}, [], [1], None, str(tmp_path))
    results = shards.run_tasks(
        lambda: beam_package.Pipeline(argv=beam.arguments()),
        plan.tasks,
        spreading.write,
        plan,
        str(tmp_path),
        spreading.counter,
        spreading.infer,
        spreading.merge,
    )
    assert len(results) > 4 and sum(sum(result["rows"]) for result in results) == 20_000
    assert len({result["pid"] for result in results}) == 2
    assert all("Starting worker" in beam.log(name) for name in ("pool-1", "pool-2"))


def test_a_pool_that_is_killed_is_an_error_of_the_node_and_the_next_run_is_right(
    home: Path, beam: Services, tmp_path: Path
) -> None:
    arguments = command("card_fraud", home, beam)
    paths = Paths.of("card_fraud", home)
    environment = {**os.environ, "VIADUCT_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    with open(tmp_path / "output.txt", "wb") as output:
        run = subprocess.Popen(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=CHECKOUT,
            env=environment,
            stdout=output,
            stderr=output,
        )
        node = _wait_for_work(paths, beam)
        beam.kill("pool-1")
        assert run.wait(900) == 1
    told = (tmp_path / "output.txt").read_text()
    assert f"{node} failed" in told and "a Beam worker" in told, told
    beam.start()
    done = viaduct(*arguments, home=home)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    record = next(run_record.read_all(paths))
    assert record.state == "succeeded"
    assert sum(record.nodes["ArrowExampleGen"].summary["rows"].values()) == 2_000


def _wait_for_work(paths: Paths, beam: Services) -> str:
    """The node that has workers in pool-1 now."""
    before = beam.log("pool-1").count("Starting worker")
    end = time.monotonic() + 900
    while time.monotonic() < end:
        if beam.log("pool-1").count("Starting worker") > before:
            record: Any = next(run_record.read_all(paths), None)
            running = (
                [name for name, node in record.nodes.items() if node.state == "running"] if record else []
            )
            if running:
                return running[0]
        time.sleep(0.1)
    raise AssertionError(json.dumps({"jobs": beam.log("jobs")[-2000:]}))
