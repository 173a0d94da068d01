"""The reader of saved models: signatures that outlive whoever loaded them, and a word where there is none."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from components.report_gen import reading

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow: Any) -> Path:
    """A model whose signature `add` adds what a variable of it holds."""
    tf = tensorflow
    folder = tmp_path_factory.mktemp("model")

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def add(self, x: Any) -> dict[str, Any]:
            return {"y": x + self.shift}

    made = Model()
    tf.saved_model.save(made, str(folder), {"add": made.add})
    return folder


def test_a_signature_keeps_its_model_alive(model: Path, tensorflow: Any) -> None:
    add = reading.signature(model, "add")
    gc.collect()
    assert add(x=tensorflow.constant([1.0]))["y"].numpy().tolist() == [3.0]


def test_a_missing_signature_is_told_with_those_there_are(model: Path) -> None:
    with pytest.raises(KeyError, match=r"No signature 'serving_default' in .*; there are \['add'\]"):
        reading.signature(model)
