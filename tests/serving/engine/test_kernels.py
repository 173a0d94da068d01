"""Which kernels end the process on a wrong rank, and that only signatures which lead to them are held to shapes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from serving.engine import kernels, saved_model
from serving.engine.checks import checked_inputs
from serving.errors import InvalidArgument, ServingError
from tests.serving.processes import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("onednn", ["0", "1"])
def test_exactly_the_kernels_of_the_list_end_their_process(monkeypatch, onednn):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    command = [sys.executable, "tests/serving/engine/kernel_cases.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert [line for line in lines if line[2] == "not built"] == []
    ended = {name for name, code, _ in lines if code != "0"}
    assert ended == {name for name in kernels.ending() if not name.startswith("SimpleML")}
    assert len(lines) > len(ended) + 20


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """serving_default: x [?, 4] through a kernel of the list, inside of a function; `plain`: the same without it;
    `loop`: x [?, 4] through a loop."""

    class Model(tf.Module):
        @tf.function
        def inner(self, x):
            return tf.quantization.fake_quant_with_min_max_vars_per_channel(x, [0.0] * 4, [1.0] * 4)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def call(self, x):
            return {"y": self.inner(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def plain(self, x):
            return {"y": x * 2.0}

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def loop(self, x):
            for _ in tf.range(tf.cast(tf.reduce_sum(x), tf.int32)):
                x = x * 2.0
            return {"y": x}

    path = str(tmp_path_factory.mktemp("guarded") / "1")
    model = Model()
    signatures = {"serving_default": model.call, "plain": model.plain, "loop": model.loop}
    tf.saved_model.save(model, path, signatures=signatures)
    return path


def test_only_what_leads_to_such_a_kernel_is_held_to_its_shapes(guarded):
    model = saved_model.load(guarded)
    try:
        assert {s.name: s.strict for s in model.signatures.values()} == {
            "serving_default": True, "plain": False, "loop": False,
        }  # fmt: skip
        with pytest.raises(InvalidArgument) as caught:
            checked_inputs(model.signatures["serving_default"], {"x": np.float32(1)[()].reshape(())})
        assert "Cannot feed value of shape [] for input x" in caught.value.message
        assert "which has shape [?,4]" in caught.value.message
        plain = model.signatures["plain"]
        for shape in ((), (3,), (2, 5), (1, 1, 1)):
            x = np.ones(shape, np.float32)
            assert plain.run(checked_inputs(plain, {"x": x}))["y"].tolist() == (x * 2).tolist()
    finally:
        model.close()


def test_the_flag_holds_every_signature_to_its_shapes(guarded):
    model = saved_model.load(guarded, saved_model.EngineOptions(strict_shapes=True))
    try:
        plain = model.signatures["plain"]
        assert checked_inputs(plain, {"x": np.ones((3, 4), np.float32)})
        for shape in ((), (4,), (2, 5), (1, 2, 4)):
            with pytest.raises(InvalidArgument, match=r"which has shape \[\?,4\]"):
                checked_inputs(plain, {"x": np.ones(shape, np.float32)})
    finally:
        model.close()


def test_a_signature_with_a_loop_is_not_steady(guarded):
    model = saved_model.load(guarded)
    try:
        assert {s.name: s.steady for s in model.signatures.values()} == {
            "serving_default": True, "plain": True, "loop": False,
        }  # fmt: skip
    finally:
        model.close()


def test_a_run_ends_when_its_deadline_has_passed(guarded):
    import time

    model = saved_model.load(guarded)
    try:
        loop = model.signatures["loop"]
        assert loop.run({"x": np.full((1, 4), 0.5, np.float32)}, (), time.monotonic() + 60)["y"].tolist() == [
            [2.0] * 4
        ]
        begun = time.process_time()
        with pytest.raises(ServingError, match="Timed out waiting for notification") as caught:
            loop.run({"x": np.full((1, 4), 1e8, np.float32)}, (), time.monotonic() + 0.2)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        # Hundreds of millions of rounds would take many minutes; the run is over, not only its caller's wait.
        assert time.process_time() - begun < 60
        with pytest.raises(ServingError, match="Timed out waiting for notification"):
            loop.run({"x": np.ones((1, 4), np.float32)}, (), time.monotonic() - 1)
    finally:
        model.close()


def test_the_devices_are_in_the_log_and_a_gpus_memory_grows(guarded, caplog):
    with caplog.at_level("INFO", "serving.engine.saved_model"):
        model = saved_model.load(guarded)
    try:
        assert "devices CPU:0" in caplog.text
        assert model._session._config.gpu_options.allow_growth
    finally:
        model.close()


@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="no GPU here")
def test_a_model_runs_on_a_gpu_and_leaves_its_memory_to_others(guarded):
    """In a process of its own: this one's TensorFlow may have taken the card already."""
    script = (
        "import subprocess, numpy as np; from serving.engine import saved_model, tf_runtime; tf_runtime.serve_only();"
        f"m = saved_model.load({guarded!r}); print([d.device_type for d in m._session.list_devices()]);"
        "m.signatures['plain'].run({'x': np.ones((2, 4), np.float32)});"
        "print(subprocess.run(['nvidia-smi', '--query-compute-apps=used_memory', '--format=csv,noheader,nounits'],"
        " capture_output=True, text=True).stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    devices, *used = done.stdout.split("\n")
    assert "GPU" in devices
    assert all(int(megabytes) < 2048 for megabytes in used if megabytes.strip())
