"""SavedModels as calls: loading, what cannot be loaded, op libraries and memory."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from serving.core.servable import LoadFailed
from serving.engine import saved_model
from serving.errors import ServingError
from tests.serving.processes import ROOT
from tests.serving.savedmodels import cut

X = np.array([[1, 2]], np.float32)


@pytest.fixture
def loaded(models_root):
    """Loads models and closes them whatever happens."""
    models = []

    def load(path, *args):
        models.append(saved_model.load(str(models_root / path if isinstance(path, str) else path), *args))
        return models[-1]

    yield load
    for model in models:
        model.close()


def test_a_signature_gives_what_the_restored_function_gives(loaded, models_root):
    ours = loaded("pair/1").signatures["serving_default"]
    theirs = tf.saved_model.load(str(models_root / "pair/1")).signatures["serving_default"]
    inputs = {"a": np.array([1.5, 2], np.float32), "b": np.array([0.25, 4], np.float32)}
    answer = ours.run(inputs)
    expected = theirs(**{k: tf.constant(v) for k, v in inputs.items()})
    assert {k: v.tolist() for k, v in answer.items()} == {k: v.numpy().tolist() for k, v in expected.items()}


def test_only_the_wanted_outputs_are_fetched(loaded):
    inputs = {"a": np.array([3], np.float32), "b": np.array([1], np.float32)}
    answer = loaded("pair/1").signatures["serving_default"].run(inputs, ("sum",))
    assert {k: v.tolist() for k, v in answer.items()} == {"sum": [4.0]}


def test_the_init_signature_is_not_served(loaded):
    assert set(loaded("examples/1").definitions) == {"serving_default", "regress"}


def test_an_error_of_the_graph_keeps_tensorflows_code_and_text(loaded):
    signature = loaded("examples/1").signatures["serving_default"]
    bad = np.array([b"no example"], object)
    with pytest.raises(ServingError, match="Could not parse example input") as caught:
        signature.run({"inputs": bad})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_calls_from_many_threads_do_not_mix(loaded):
    from concurrent.futures import ThreadPoolExecutor

    signature = loaded("scaled/3").signatures["serving_default"]

    def ask(i):
        return signature.run({"x": np.full((1, 2), i, np.float32)})["y"].tolist() == [[3 * i + 1] * 2]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


@pytest.mark.parametrize(
    ("damage", "code", "text"),
    [
        (lambda p: (p / "saved_model.pb").unlink(), "NOT_FOUND", "Could not find SavedModel .pb or .pbtxt"),
        (
            lambda p: (p / "saved_model.pb").write_bytes(b"junk" * 99),
            "DATA_LOSS",
            "Can't parse the SavedModel",
        ),
        (lambda p: shutil.rmtree(p / "variables"), "", "variables"),
        (lambda p: cut(p / "variables" / "variables.data-00000-of-00001"), "", ""),
    ],
)
def test_a_damaged_model_is_refused(models_root, tmp_path, damage, code, text):
    path = tmp_path / "1"
    shutil.copytree(models_root / "scaled" / "1", path)
    damage(path)
    with pytest.raises(LoadFailed) as caught:
        saved_model.load(str(path))
    assert code in caught.value.code
    assert text in caught.value.message
    assert "Traceback" not in caught.value.message


def test_other_tags_are_refused_with_those_that_exist(models_root):
    with pytest.raises(LoadFailed, match=r"Could not find meta graph def matching supplied tags.*serve"):
        saved_model.load(str(models_root / "scaled/1"), saved_model.EngineOptions(tags=("gpu",)))


@pytest.mark.slow
def test_loading_and_closing_again_and_again_keeps_memory(models_root):
    """After a warm-up, 30 loads and closes may not grow the process by a tenth of what 30 models would take."""
    import resource

    def cycle(times):
        for _ in range(times):
            saved_model.load(str(models_root / "pair/1")).close()

    cycle(10)
    before = _rss()
    cycle(30)
    assert _rss() - before < 40 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def _rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_an_op_library_outside_the_model_is_refused(models_root, tmp_path):
    path = tmp_path / "1"
    shutil.copytree(models_root / "scaled" / "1", path)
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "op_libraries.txt").write_text("# ours\n../../evil.so\n")
    with pytest.raises(LoadFailed, match="lies outside the version's folder"):
        saved_model.load(str(path))


def test_an_op_library_of_the_models_own_is_loaded(models_root, tmp_path):
    spec = importlib.util.find_spec("tensorflow_decision_forests")
    if spec is None:
        pytest.skip("tensorflow_decision_forests is missing, whose op library this test borrows")
    path = tmp_path / "1"
    shutil.copytree(models_root / "scaled" / "1", path)
    (path / "assets.extra").mkdir()
    shutil.copy(
        f"{spec.submodule_search_locations[0]}/tensorflow/ops/inference/inference.so", path / "assets.extra"
    )
    (path / "assets.extra" / "op_libraries.txt").write_text("assets.extra/inference.so  # ours\n")
    # In a process of its own: the ops of a library cannot be unloaded, and loading them twice is an error.
    script = (
        "from serving.engine import saved_model, tf_runtime; tf_runtime.serve_only(); "
        f"saved_model.load({str(path)!r}).close(); "
        "assert tf_runtime.runtime().known_op('SimpleMLLoadModelFromPathWithHandle')"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
