"""One contract over all projects: a valid card, complete files, the committed IR, and a quick run that serves.

What is special to a project is tested beside these, in tests/pipelines.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.base import answer, check, registry
from pipelines.base import card as figures
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import PROFILES
from pipelines.base.settings import Settings
from tests.conftest import viaduct

PROJECTS = registry.names()


@pytest.mark.parametrize("name", PROJECTS)
def test_the_linter_finds_nothing(name: str) -> None:
    assert check.project(name) == []


@pytest.mark.parametrize("name", PROJECTS)
def test_the_readmes_table_is_that_of_a_run_under_the_bars_of_today(name: str) -> None:
    assert figures.check(registry.get(name), Paths.of(name)) == []


@pytest.mark.parametrize("name", PROJECTS)
def test_every_variant_has_parameters_and_bars_in_both_profiles(name: str) -> None:
    card = registry.get(name)
    for variant in card.variants:
        for profile in PROFILES:
            settings = Settings.of(card, variant.name, profile)
            assert Settings.from_json(settings.to_json()) == settings
            assert card.bars(profile, variant.name)


@pytest.mark.parametrize("name", PROJECTS)
def test_the_sample_is_the_same_for_the_same_seed_and_differs_for_another(name: str, tmp_path: Path) -> None:
    program = (
        "import sys, hashlib, importlib; from pathlib import Path\n"
        "def digest(folder):\n"
        "    files = sorted(p for p in folder.rglob('*') if p.is_file())\n"
        "    assert files, 'the sample wrote nothing'\n"
        "    return [(str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]\n"
        f"data = importlib.import_module('pipelines.{name}.data'); base = Path(sys.argv[1])\n"
        "made = []\n"
        "for index, seed in enumerate((3, 3, 4)):\n"
        "    folder = base / str(index); folder.mkdir(); data.sample(folder, 200, seed); made.append(digest(folder))\n"
        "assert made[0] == made[1], 'the same seed gave another sample'\n"
        "assert made[0] != made[2], 'the seed changes nothing'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.xdist_group("golden")
def test_the_committed_pipelines_are_what_the_code_compiles_to(real_home: Path) -> None:
    done = viaduct("compile", "--check", home=real_home, VIADUCT_HOST_IDLE="60")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.xdist_group(f"run-{n}")) for n in PROJECTS]
)
def test_a_quick_run_is_blessed_pushed_and_answers_over_grpc_as_the_model_does(
    name: str, finished_run: Callable[[str], object], tmp_path: Path
) -> None:
    run = finished_run(name)
    assert run.code == 0, run.output  # type: ignore[attr-defined]
    record, paths = run.record, run.paths  # type: ignore[attr-defined]
    assert record.state == "succeeded" and record.blessed and Path(record.pushed).is_dir()
    examples = answer.sample_examples(paths, 4)
    from serving.client import Client

    model = f"{name}.sample"
    assert Path(record.pushed).parent == paths.served(model), "a sample's model is never production's"
    process, addresses = answer.start_server(model, paths.served(model), tmp_path / "serving.log")
    try:
        with Client(addresses["grpc"]) as client:
            served = client.predict(
                model, {"examples": np.array(examples, dtype=object)}, signature="serve_examples"
            )
            (state,) = client.status(model)
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert state.version == int(Path(record.pushed).name)
    own = _answers_of_the_model(record.pushed, examples, tmp_path)
    assert set(served) == set(own)
    for key, values in own.items():
        got = served[key]
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, np.array(values), rtol=1e-4, atol=1e-5, err_msg=key)


def _answers_of_the_model(folder: str, examples: list[bytes], tmp_path: Path) -> dict[str, list[object]]:
    """The SavedModel's own outputs, computed by TensorFlow in a process of its own."""
    packed = tmp_path / "examples.json.gz"
    with gzip.open(packed, "wt") as file:
        json.dump([example.hex() for example in examples], file)
    program = (
        "import gzip, json, sys, contextlib\n"
        "import tensorflow as tf\n"
        "with contextlib.suppress(ImportError):\n"
        "    import tensorflow_decision_forests\n"
        "rows = [bytes.fromhex(text) for text in json.load(gzip.open(sys.argv[2], 'rt'))]\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "out = model.signatures['serve_examples'](examples=tf.constant(rows))\n"
        "plain = {k: v.numpy().tolist() for k, v in out.items()}\n"
        "print(json.dumps(plain, default=lambda b: b.decode('utf-8', 'replace')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder, str(packed)],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.xdist_group(f"run-{n}")) for n in PROJECTS]
)
def test_lineage_goes_from_the_pushed_version_back_to_the_rows(
    name: str, finished_run: Callable[[str], object]
) -> None:
    run = finished_run(name)
    from pipelines.base.lineage import lineage

    paths: Paths = run.paths  # type: ignore[attr-defined]
    found = lineage(paths, Path(run.record.pushed).name)  # type: ignore[attr-defined]
    assert found["run"] == run.record.run_id  # type: ignore[attr-defined]
    assert found["data"] and found["data"][0]["rows"]
    assert found["blessed"] is True and found["pushed"] == run.record.pushed  # type: ignore[attr-defined]
    assert found["hyperparameters"]["variant"] == registry.get(name).variants[0].name
    assert found["metrics"]
