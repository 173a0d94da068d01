"""digits: drawn digits are readable, every variant learns, and all signatures say the same."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.registry import get
from pipelines.digits import data, strokes
from pipelines.digits.features import CLASSES, SIDE

FILES = {f"{a}-{b}.gz" for a in ("train", "t10k") for b in ("images-idx3-ubyte", "labels-idx1-ubyte")}


def _read(file: Path) -> np.ndarray:
    raw = gzip.decompress(file.read_bytes())
    sizes = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("sample")
    data.sample(folder, 1_800, seed=5)
    assert {path.name for path in folder.iterdir()} == FILES
    return {path.name.split("-idx")[0]: _read(path) for path in folder.iterdir()}


def test_the_sample_has_the_layout_of_the_official_files(drawn: dict[str, np.ndarray]) -> None:
    assert drawn["train-images"].shape == (1_500, SIDE, SIDE)
    assert drawn["t10k-images"].shape == (300, SIDE, SIDE)
    assert drawn["train-labels"].shape == (1_500,)
    assert (
        np.bincount(np.concatenate([drawn["train-labels"], drawn["t10k-labels"]])).tolist() == [180] * CLASSES
    )


def _traits(images: np.ndarray) -> dict[str, float]:
    ink = images / 255.0
    mass = ink.sum(axis=(1, 2))
    middle = (ink * np.arange(SIDE)).sum(axis=(1, 2)) / mass
    flat = ink.reshape(len(ink), -1)
    return {
        "ink": float(ink.mean()),
        "border": float(np.concatenate([ink[:, :2].ravel(), ink[:, -2:].ravel()]).mean()),
        "off_middle": float(np.abs(middle - (SIDE - 1) / 2).mean()),
        "spread": float(flat.std(axis=0).mean()),
    }


@pytest.mark.real_data
def test_drawn_digits_have_the_measures_of_handwritten_ones(
    drawn: dict[str, np.ndarray], real_data: Path
) -> None:
    ours = _traits(drawn["train-images"])
    theirs = _traits(_read(real_data / "mnist" / "t10k-images-idx3-ubyte.gz")[:2_000])
    assert ours["ink"] == pytest.approx(theirs["ink"], rel=0.3)
    assert ours["spread"] == pytest.approx(theirs["spread"], rel=0.3)
    assert ours["off_middle"] < 1 and ours["border"] < 0.01


def test_no_two_drawn_digits_are_alike(drawn: dict[str, np.ndarray]) -> None:
    flat = drawn["train-images"].reshape(1_500, -1)
    assert len(np.unique(flat, axis=0)) == 1_500


def test_every_digit_can_be_drawn_and_leaves_ink_inside_the_picture() -> None:
    random = np.random.default_rng(0)
    for digit in range(CLASSES):
        image = strokes.draw(digit, random)
        assert image.shape == (SIDE, SIDE) and image.dtype == np.uint8
        assert image.max() > 150 and 20 < (image > 60).sum() < 350, digit


def test_a_mirror_with_other_content_is_refused_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for name in get("digits").data.sha256:
        (mirror / name).write_bytes(b"something else")
    monkeypatch.setattr(data, "MIRROR", mirror.as_uri() + "/")
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(ProjectError, match=r"train-images-idx3-ubyte.gz has sha256 .*expected 440fcabf"):
        data.fetch(folder)
    monkeypatch.setattr(data, "MIRROR", (tmp_path / "nowhere").as_uri() + "/")
    with pytest.raises(ProjectError, match=r"cannot be fetched.*--data FOLDER"):
        data.fetch(folder)


def _batches(images: np.ndarray, labels: np.ndarray, batch: int = 100) -> Any:
    import tensorflow as tf

    pixels, wanted = images.astype(np.float32), labels.astype(np.int64)
    return tf.data.Dataset.from_tensor_slices((pixels, wanted)).batch(batch)


def test_the_hand_written_gradient_is_the_automatic_one(drawn: dict[str, np.ndarray]) -> None:
    import tensorflow as tf

    from pipelines.digits import core

    model = core.build()
    model.weights.assign(tf.random.stateless_normal(model.weights.shape, [1, 2]) * 0.01)
    pixels, labels = next(iter(_batches(drawn["train-images"], drawn["train-labels"])))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model.logits(pixels)))
    expected = tape.gradient(loss, [model.weights, model.bias])
    before = [model.weights.numpy(), model.bias.numpy()]
    got_loss, _ = model.train_step(pixels, labels, tf.constant(1.0), tf.constant(0.0))
    assert float(got_loss) == pytest.approx(float(loss), rel=1e-5)
    for old, new, slope in zip(before, (model.weights, model.bias), expected, strict=True):
        np.testing.assert_allclose(old - new.numpy(), slope.numpy(), atol=1e-6)


def test_logistic_core_learns_and_logs_curves_and_its_graph(
    drawn: dict[str, np.ndarray], tmp_path: Path
) -> None:
    from components.report_gen.pictures import read_curves
    from pipelines.digits import core

    train = _batches(drawn["train-images"], drawn["train-labels"])
    held_back = _batches(drawn["t10k-images"], drawn["t10k-labels"])
    accuracies = core.fit(core.build(), train, held_back, 4, 0.1, 0.9, 15, str(tmp_path), tmp_path / "saved")
    assert accuracies[-1] > 0.85
    curves = read_curves(tmp_path)
    assert [step for step, _ in curves["validation"]["accuracy"]] == [0, 1, 2, 3]
    assert curves["train"]["loss"][-1][1] < curves["train"]["loss"][0][1]
    logged = b"".join(path.read_bytes() for path in (tmp_path / "train").iterdir())
    assert b"MatMul" in logged, "the graph of the training step is in the logs"
    assert not (tmp_path / "saved").exists(), "a finished training leaves no checkpoint"


class _CutOff:
    """Batches that end as a killed process does, when epoch number `epochs` (from 0) begins."""

    def __init__(self, batches: Any, epochs: int) -> None:
        self.batches, self.left = batches, epochs

    def __iter__(self) -> Any:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return iter(self.batches)


def test_an_interrupted_logistic_core_goes_on_after_its_last_whole_epoch(
    drawn: dict[str, np.ndarray], tmp_path: Path
) -> None:
    from pipelines.digits import core

    train = _batches(drawn["train-images"], drawn["train-labels"])
    held_back = _batches(drawn["t10k-images"], drawn["t10k-labels"])

    def fit(batches: Any, saved: str) -> tuple[Any, list[float]]:
        model = core.build()
        rest = (held_back, 4, 0.1, 0.9, 15, str(tmp_path / "logs"), tmp_path / saved)
        return model, core.fit(model, batches, *rest)

    whole, all_epochs = fit(train, "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(_CutOff(train, epochs=2), "cut")
    resumed, last_epochs = fit(train, "cut")
    assert len(all_epochs) == 4 and last_epochs == all_epochs[2:]
    np.testing.assert_allclose(resumed.weights.numpy(), whole.weights.numpy(), atol=1e-6)
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("variant", ["logistic", pytest.param("cnn", marks=pytest.mark.slow)])
def test_a_keras_variant_learns_a_few_batches(variant: str, drawn: dict[str, np.ndarray]) -> None:
    import tf_keras as keras

    from pipelines.base.settings import Settings
    from pipelines.digits.model import build_model, compile_model

    keras.utils.set_random_seed(1)
    card = get("digits")
    parameters = {**Settings.of(card, variant, "quick").parameters, "variant": variant, "epochs": 3}
    model = build_model(parameters)
    compile_model(model, parameters, steps_per_epoch=30)
    train = _batches(drawn["train-images"], drawn["train-labels"], 50)
    losses = model.fit(train, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]


def test_augmentation_moves_ink_without_losing_or_inventing_much(drawn: dict[str, np.ndarray]) -> None:
    from pipelines.digits.augmentation import move

    images = drawn["train-images"][:200].astype(np.float32)
    moved = move(images).numpy()
    assert moved.shape == images.shape
    assert moved.sum() == pytest.approx(images.sum(), rel=0.1)
    assert np.abs(moved - images).mean() > 5, "it does move"
    assert moved.min() >= 0 and moved.max() <= 255.5


def test_raw_bytes_of_another_size_are_refused() -> None:
    import tensorflow as tf

    from pipelines.digits.features import pixels

    assert pixels(tf.constant([bytes(SIDE * SIDE)])).shape == (1, SIDE, SIDE)
    with pytest.raises(tf.errors.InvalidArgumentError):
        pixels(tf.constant([bytes(100)]))
