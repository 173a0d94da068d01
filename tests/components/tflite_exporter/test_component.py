"""The exporter's files answer like the model they come from, and it says so when they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.tflite_exporter.parity import Limits, measure

SIDE = 12


def inputs_of(serialized: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    import tensorflow as tf

    spec = {
        "x": tf.io.FixedLenFeature([SIDE * SIDE], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    rows = tf.io.parse_example(tf.constant(list(serialized)), spec)
    return {"x": rows["x"].numpy().reshape(-1, SIDE, SIDE)}, rows["label"].numpy()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Examples of three bright corners and a small network that finds them, as artifacts."""
    import tensorflow as tf
    import tf_keras as keras
    from tfx.types import standard_artifacts

    folder = tmp_path_factory.mktemp("exporter")
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    labels = random.integers(0, 3, 900)
    images = random.uniform(0, 90, (900, SIDE, SIDE)).astype(np.float32)
    for corner, (row, column) in enumerate(((0, 0), (0, 6), (6, 0))):
        images[labels == corner, row : row + 6, column : column + 6] += 120
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE)),
            layers.Rescaling(1 / 255),
            layers.Reshape((SIDE, SIDE, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(images, labels, epochs=4, verbose=0)

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.float32, name="x")])
    def serve(x: Any) -> dict[str, Any]:
        return {"scores": network(x)}

    model, examples = standard_artifacts.Model(), standard_artifacts.Examples()
    model.uri, examples.uri = str(folder / "model"), str(folder / "examples")
    tf.saved_model.save(network, str(folder / "model" / "Format-Serving"), {"serving_default": serve})
    examples.split_names = '["train", "eval"]'
    for split, part in (("train", slice(0, 600)), ("eval", slice(600, None))):
        (folder / "examples" / f"Split-{split}").mkdir(parents=True)
        file = str(folder / "examples" / f"Split-{split}" / "data-00000-of-00001.gz")
        with tf.io.TFRecordWriter(file, "GZIP") as writer:
            for image, label in zip(images[part], labels[part], strict=True):
                x = tf.train.Feature(float_list=tf.train.FloatList(value=image.ravel()))
                y = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
                features = tf.train.Features(feature={"x": x, "label": y})
                writer.write(tf.train.Example(features=features).SerializeToString())
    return {"model": [model], "examples": [examples], "folder": folder}


def _export(given: dict[str, Any], name: str, limits: Limits | None = None, **inputs: Any) -> Any:
    from tfx import types
    from tfx.types import standard_artifacts

    from components.tflite_exporter.component import TFLiteExporter, TFLiteModel
    from components.tflite_exporter.executor import Executor

    node = TFLiteExporter(
        model=types.Channel(type=standard_artifacts.Model),
        examples=types.Channel(type=standard_artifacts.Examples),
        inputs_fn=f"{__name__}.inputs_of",
        output="scores",
        calibration_rows=100,
        integer_inputs="uint8",
        limits=limits,
    )
    output = TFLiteModel()
    output.uri = str(given["folder"] / name)
    channels = {"model": given["model"], "examples": given["examples"], **inputs}
    Executor().Do(channels, {"tflite_model": [output]}, dict(node.exec_properties))
    return output


@pytest.mark.slow
def test_both_files_answer_like_the_model_and_the_figures_are_on_the_artifact(given: dict[str, Any]) -> None:
    import tensorflow as tf

    output = _export(given, "good")
    folder = Path(output.uri)
    figures = json.loads((folder / "parity.json").read_text())
    assert figures["rows"] == 300 and figures["accuracy_original"] > 0.9
    assert figures["float_difference"] < 1e-4 and figures["int8_agreement"] > 0.98
    assert (
        figures["bytes_int8"]
        == (folder / "int8.tflite").stat().st_size
        < (0.3 * (folder / "float.tflite").stat().st_size)
    )
    assert output.get_float_custom_property("accuracy_int8") == pytest.approx(figures["accuracy_int8"])
    assert output.get_int_custom_property("exported") == 1
    # Bytes go into the integer model as they are.
    interpreter = tf.lite.Interpreter(model_path=str(folder / "int8.tflite"))
    (details,) = interpreter.get_input_details()
    assert details["dtype"] is np.uint8 and details["quantization"][1] == 0


@pytest.mark.slow
def test_lost_parity_fails_the_node_and_names_every_limit(given: dict[str, Any]) -> None:
    from components.tflite_exporter.parity import ParityError

    strict = Limits(float_difference=1.0, accuracy_loss=-1.0, size_ratio=0.01)
    with pytest.raises(ParityError, match=r"accuracy is .*expected at most -1 less; the int8 file has"):
        _export(given, "strict", strict)
    assert (given["folder"] / "strict" / "parity.json").exists(), "the figures are there to be read"


@pytest.mark.slow
def test_a_model_that_was_not_blessed_is_not_exported(given: dict[str, Any], tmp_path: Path) -> None:
    from tfx.types import standard_artifacts

    blessing = standard_artifacts.ModelBlessing()
    blessing.uri = str(tmp_path)
    blessing.set_int_custom_property("blessed", 0)
    output = _export(given, "unblessed", model_blessing=[blessing])
    assert output.get_int_custom_property("exported") == 0 and not list(Path(output.uri).iterdir())


def test_parity_is_measured_in_accuracy_difference_and_size() -> None:
    labels = np.array([0, 1, 1, 0])
    original = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    worse = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    parity = measure(labels, original, original, worse, 1_000, 400)
    assert (parity.accuracy_original, parity.accuracy_int8, parity.int8_agreement) == (1.0, 0.75, 0.75)
    assert parity.float_difference == 0 and parity.int8_difference == pytest.approx(0.2)
    assert len(parity.losses(Limits())) == 2
    assert parity.losses(Limits(accuracy_loss=0.3, size_ratio=0.5)) == []
    with pytest.raises(ValueError, match="no rows"):
        measure(labels[:0], original[:0], original[:0], worse[:0], 1, 1)


def test_integer_tensors_scale_there_and_back() -> None:
    from components.tflite_exporter.conversion import dequantised, quantised

    details = {"dtype": np.uint8, "quantization": (0.5, 10)}
    values = np.array([-5.0, 0.0, 1.2, 500.0], np.float32)
    stored = quantised(values, details)
    assert stored.tolist() == [0, 10, 12, 255]
    assert dequantised(stored, details).tolist() == [-5.0, 0.0, 1.0, 122.5]
