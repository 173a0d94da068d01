"""Warm-up files: replayed before a version is served, and a version whose warm-up fails does not load."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.core.servable import LoadFailed, ServableId
from serving.errors import InvalidArgument
from serving.models import warmup
from serving.models.loader import LoadOptions, ModelLoader
from serving.telemetry.metrics import Metrics
from tests.serving.savedmodels import cut

X = np.array([[1, 2]], np.float32)


def predict_log(x):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "scaled"
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    return log


def with_warmup(models_root, tmp_path, records):
    path = tmp_path / "1"
    shutil.copytree(models_root / "scaled" / "1", path)
    (path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(path / warmup.FILE)) as writer:
        for record in records:
            writer.write(record)
    return path


def test_warm_up_requests_are_replayed_before_the_version_is_served(models_root, tmp_path):
    path = with_warmup(models_root, tmp_path, [predict_log(X).SerializeToString()] * 3)
    metrics = Metrics()
    model = ModelLoader(LoadOptions(), metrics)(ServableId("scaled", 1), str(path))
    assert (
        f':tensorflow:serving:model_warmup_latency_count{{model_path="{path}",status="OK"}} 1'
        in metrics.page()
    )
    model.close()


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            predict_log(np.zeros((1, 3), np.float64)).SerializeToString(),
            r"Expects arg\[0\] to be float but double",
        ),
        (b"\xff\xff", "Failed to parse warmup record"),
        (b"", "Unsupported log_type for warmup"),
    ],
)
def test_a_version_whose_warm_up_fails_does_not_load(models_root, tmp_path, record, text):
    path = with_warmup(models_root, tmp_path, [record])
    with pytest.raises(LoadFailed, match=text):
        ModelLoader(LoadOptions(), Metrics())(ServableId("scaled", 1), str(path))


def test_a_damaged_warm_up_file_is_named(models_root, tmp_path):
    path = with_warmup(models_root, tmp_path, [predict_log(X).SerializeToString()])
    cut(path / warmup.FILE)
    with pytest.raises(InvalidArgument, match="no TFRecord file"):
        list(warmup.records(path / warmup.FILE))
