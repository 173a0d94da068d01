"""The stand-in for TensorFlow's package: it never outlives the import of the messages."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.serving.processes import ROOT


def run(program, **env):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


def test_the_messages_come_without_tensorflow():
    out = run(
        """
        import sys
        from pathlib import Path
        from serving.wire import protos
        assert "tensorflow" not in sys.modules
        protos.predict_pb2.PredictRequest(), protos.prediction_log_pb2.PredictionLog()
        # VmHWM is this program's own peak; ru_maxrss would be that of the test process it was forked from.
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        print(int(lines["VmHWM"].split()[0]) // 1024)
        """
    )
    assert int(out[0]) < 150  # MB; TensorFlow alone takes more than 400


@pytest.mark.slow
@pytest.mark.parametrize("first", ["messages", "tensorflow"])
def test_the_real_tensorflow_works_before_and_after(first):
    imports = ["from serving.wire import protos", "import tensorflow as tf"]
    program = "\n".join(imports if first == "messages" else reversed(imports))
    out = run(
        program
        + "\n"
        + textwrap.dedent(
            """
            import sys
            assert sys.modules["tensorflow"] is tf and tf.__file__
            proto = tf.make_tensor_proto([1.0, 2.0])
            assert type(proto) is protos.tensor_pb2.TensorProto
            request = protos.predict_pb2.PredictRequest()
            request.inputs["x"].CopyFrom(proto)
            from tensorflow_serving.apis import prediction_service_pb2_grpc
            import tf_keras
            model = tf_keras.Sequential([tf_keras.layers.Dense(1, kernel_initializer="ones")])
            print(float(model(tf.constant([[1.0, 2.0]]))[0, 0]), tf.make_ndarray(request.inputs["x"]).sum())
            """
        )
    )
    assert out == ["3.0", "3.0"]


@pytest.mark.slow
def test_a_thread_that_imports_tensorflow_meanwhile_gets_the_real_one():
    out = run(
        """
        import sys, threading
        found = {}
        def messages():
            from serving.wire import protos
            found["protos"] = protos
        def tensorflow():
            while "google.protobuf.descriptor" not in sys.modules:
                pass
            from tensorflow.python.framework import constant_op
            import tensorflow as tf
            found["sum"] = int(tf.constant(1) + tf.constant(2))
        threads = [threading.Thread(target=f) for f in (messages, tensorflow)]
        for t in threads: t.start()
        for t in threads: t.join()
        import tensorflow
        print(found["sum"], bool(tensorflow.__file__), found["protos"].predict_pb2 is not None)
        """
    )
    assert out == ["3", "True", "True"]


def test_without_tensorflow_installed_the_error_says_what_to_install():
    out = run(
        """
        import importlib.machinery
        real = importlib.machinery.PathFinder.find_spec
        importlib.machinery.PathFinder.find_spec = classmethod(
            lambda cls, name, *a, **k: None if name == "tensorflow" else real(name, *a, **k))
        try:
            import serving.wire.protos
        except ImportError as error:
            print("client" in str(error) and "tensorflow-serving-api" in str(error))
        """
    )
    assert out == ["True"]
