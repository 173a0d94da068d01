"""What the loader makes of a version's folder: a model with its batchers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from serving.core.servable import ServableId
from serving.execution.batching_parameters import BatchingParameters
from serving.execution.request import Request
from serving.models.loader import LoadOptions, ModelLoader
from serving.telemetry.metrics import Metrics


class Labelled(tf.Module):
    """Rows doubled, and the labels that belong to the model and not to a row."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def labelled(self, x):
        return {"y": 2 * x, "labels": tf.constant(["a", "b", "c"])}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def summed(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def doubled(self, x):
        return {"y": 2 * x}

    @tf.function(
        input_signature=[tf.TensorSpec([4, 2], tf.float32, "x"), tf.TensorSpec(None, tf.float32, "z")]
    )
    def fixed(self, x, z):
        return {"y": 2 * x, "z": z}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("labelled") / "1")
    model = Labelled()
    kinds = {name: getattr(model, name) for name in ("labelled", "summed", "doubled", "fixed")}
    tf.saved_model.save(model, path, signatures=kinds)
    return path


@pytest.fixture
def model(folder):
    parameters = BatchingParameters(
        max_batch_size=3, batch_timeout_micros=60_000_000, enable_large_batch_splitting=True
    )
    loaded = ModelLoader(LoadOptions(batching=parameters), Metrics())(ServableId("labelled", 1), folder)
    yield loaded
    loaded.close()


def test_shapes_tell_which_signatures_go_by_rows(model):
    rows = {name: signature.by_rows for name, signature in model.signatures.items()}
    assert rows == {"labelled": False, "summed": False, "doubled": True, "fixed": True}


def test_labels_of_a_model_are_not_divided_among_the_requests_of_a_batch(model):
    """One and two rows: together as many as there are labels. Six are two slices of three."""
    outcomes = []
    for count in (1, 2, 6):
        request = Request({"x": np.ones((count, 2), np.float32)}, outcomes.append)
        model.batchers["labelled"].submit(request)
    assert [request.result["labels"].tolist() for request in outcomes] == [[b"a", b"b", b"c"]] * 3
    assert [len(request.result["y"]) for request in outcomes] == [1, 2, 6]
