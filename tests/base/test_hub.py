"""hub: an extractor in each of its forms gives the features of the network it was made from, or says what it is."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base import hub
from pipelines.base.errors import ProjectError

SIDE = 20
HERE = "tests.base.test_hub"


def architecture() -> Any:
    """A small network with batch pictures [n, 20, 20, 3] in and features [n, 5] out."""
    import tf_keras as keras

    layers = keras.layers
    given = keras.Input((SIDE, SIDE, 3))
    body = layers.Conv2D(8, 3, 2, "same", activation="relu6", name="first")(
        layers.Rescaling(1 / 64, -2.0)(given)
    )
    return keras.Model(given, layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1, name="second")(body)))


def other_architecture() -> Any:
    import tf_keras as keras

    given = keras.Input((SIDE, SIDE, 3))
    return keras.Model(given, keras.layers.Conv2D(4, 3, name="first")(given))


@pytest.fixture(scope="module")
def network() -> Any:
    import tf_keras as keras

    keras.utils.set_random_seed(3)
    return architecture()


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)


def test_a_weight_file_gives_the_features_of_the_named_architecture(
    network: Any, pictures: np.ndarray, tmp_path: Path
) -> None:
    network.save_weights(tmp_path / "w.h5")
    extractor = hub.load(tmp_path / "w.h5", f"{HERE}.architecture")
    assert extractor.side == SIDE
    np.testing.assert_allclose(extractor.features(pictures), network(pictures), atol=1e-5)
    with pytest.raises(ProjectError, match="holds weights alone"):
        hub.load(tmp_path / "w.h5")
    with pytest.raises(ProjectError, match=r"w\.h5 does not fit .*other_architecture"):
        hub.load(tmp_path / "w.h5", f"{HERE}.other_architecture")


def test_a_saved_model_and_an_archive_of_it_are_one_extractor(
    network: Any, pictures: np.ndarray, tmp_path: Path
) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.network = network
    spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, name="images")
    # As hub modules do, it takes 0 to 1.
    serve = tf.function(lambda images: {"default": network(images * 255)}, input_signature=[spec])
    folder = tmp_path / "module"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    archive = tmp_path / "module.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, "module")
    for path in (folder, archive):
        extractor = hub.load(path)
        assert extractor.side == SIDE
        np.testing.assert_allclose(extractor.features(pictures), network(pictures), atol=1e-4)


def test_an_extractor_that_takes_something_else_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec([None, 7], tf.float32, name="numbers")
    serve = tf.function(lambda numbers: {"out": numbers + 1}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": serve})
    with pytest.raises(ProjectError, match=r"takes .*numbers.*\(None, 7\).*expected one input of pictures"):
        hub.load(tmp_path / "m")


def quantised(network: Any, pictures: np.ndarray, side: int = SIDE) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([one[None]] for one in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def test_what_is_no_chain_of_convolutions_on_bytes_is_refused_with_the_operation(
    network: Any, pictures: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "n.tflite"
    file.write_bytes(quantised(network, pictures))
    with pytest.raises(ProjectError, match=r"n\.tflite has the operation QUANTIZE; expected CONV_2D"):
        hub.load(file)
    file.write_bytes(b"not at all")
    with pytest.raises(ProjectError, match="no TensorFlow Lite file"):
        hub.load(file)


def test_what_is_not_there_or_no_known_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no extractor is named"):
        hub.load("")
    with pytest.raises(ProjectError, match=r"nowhere\.h5' does not exist"):
        hub.facts(tmp_path / "nowhere.h5")
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(ProjectError, match=r"x\.onnx is no form that is known"):
        hub.load(tmp_path / "x.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError, match="is no SavedModel"):
        hub.load(tmp_path / "empty")
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ProjectError, match="no archive that can be read"):
        hub.load(tmp_path / "x.tar.gz")


def test_the_lineage_knows_digest_and_licence_and_a_renamed_file_has_another_digest(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a").write_bytes(b"one")
    before = hub.facts(folder)
    assert before["extractor_licence"] == hub.UNKNOWN_LICENCE and before["extractor_name"] == "m"
    (folder / "a").rename(folder / "b")
    assert hub.facts(folder)["extractor_sha256"] != before["extractor_sha256"]
    (tmp_path / "LICENSE").write_text("\n  MIT License\n\nCopyright somebody\n")
    (tmp_path / "w.h5").write_bytes(b"weights")
    assert hub.facts(tmp_path / "w.h5")["extractor_licence"] == "MIT License"


@pytest.mark.real_data
@pytest.mark.slow
def test_a_quantised_mobilenet_in_the_graph_gives_what_tensorflow_lite_gives(real_data: Path) -> None:
    import tensorflow as tf
    from PIL import Image

    file = (
        real_data
        / "weights"
        / "mobilenet_tflite_coral"
        / "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"
    )
    extractor = hub.load(file)
    assert extractor.side == 224
    interpreter = tf.lite.Interpreter(str(file))
    interpreter.allocate_tensors()
    out = interpreter.get_output_details()[0]
    scale = out["quantization"][0]
    for photograph in sorted((real_data / "vehicles" / "buses").iterdir())[:3]:
        pixels = np.asarray(Image.open(photograph).convert("RGB").resize((224, 224)))[None]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
        interpreter.invoke()
        theirs = interpreter.get_tensor(out["index"]).ravel() * scale
        ours = extractor.features(tf.constant(pixels.astype(np.float32))).numpy().ravel()
        # Steps of the file's bytes: sums that fall between two are rounded either way.
        steps = np.abs(ours - theirs) / scale
        assert steps.mean() < 0.7 and steps.max() < 8
        assert np.corrcoef(ours, theirs)[0, 1] > 0.999
