"""What is left out of the imports can still be had, and what AutoGraph passes over is only the libraries."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipelines.base import stack

pytestmark = pytest.mark.slow

IMPORTS = """
import gc, json, sys
from pipelines.base import stack
stack.import_all()
assert gc.isenabled()
heavy = ("google.cloud.aiplatform", "rfc3987_syntax", "google.cloud.bigquery.client", "google.pubsub_v1")
before = [name for name in heavy if name in sys.modules]
from apache_beam.io.gcp import bigquery_tools, pubsub
from google.cloud.bigquery import table
from google.cloud import bigquery
assert table is sys.modules["google.cloud.bigquery.table"] is bigquery.table and table.__spec__.name == table.__name__
asked = [bigquery.Client.__name__, bigquery_tools.bigquery.DatasetReference.__name__, pubsub.pubsub.__name__]
from tfx import v1 as tfx
from tfx.v1.extensions import google_cloud_big_query
pusher = tfx.extensions.google_cloud_ai_platform.Pusher.__name__
print(json.dumps([before, asked, pusher, hasattr(google_cloud_big_query, "BigQueryExampleGen")]))
"""


def test_what_no_node_needs_is_imported_when_asked_for_and_not_before():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    asked = ["Client", "DatasetReference", "google.cloud.pubsub"]
    assert json.loads(done.stdout.splitlines()[-1]) == [[], asked, "Pusher", True]


def test_a_layer_of_ones_own_may_loop_on_a_tensor_still():
    import tensorflow as tf
    import tf_keras as keras

    stack.leave_libraries_unconverted()

    class Doubling(keras.layers.Layer):
        def call(self, given):
            total = tf.reduce_sum(given)
            while total < 100.0:
                given, total = 2.0 * given, 2.0 * total
            return given

    model = keras.Sequential([keras.Input((1,)), Doubling()])
    model.compile(loss="mse")
    model.fit(tf.ones([2, 1]), tf.ones([2, 1]), verbose=0)
    assert model.predict(tf.ones([1, 1]), verbose=0).tolist() == [[128.0]]


def test_a_training_step_of_ones_own_may_loop_on_a_tensor_still():
    import tensorflow as tf
    import tf_keras as keras

    stack.leave_libraries_unconverted()

    class Looping(keras.Model):
        def train_step(self, data):
            total = tf.reduce_sum(data)
            while total < 100.0:
                total = 2.0 * total
            return {"loss": total}

    model = Looping()
    model.compile()
    assert model.fit(tf.ones([2, 1]), verbose=0).history["loss"] == [128.0]


def test_saying_it_twice_adds_nothing():
    from tensorflow.python.autograph.core import config

    stack.leave_libraries_unconverted()
    rules = config.CONVERSION_RULES
    stack.leave_libraries_unconverted()
    assert rules == config.CONVERSION_RULES
