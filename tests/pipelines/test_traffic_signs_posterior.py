"""traffic_signs: the served posterior is the trained one, draws repeat, and the server answers with its doubt."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.traffic_signs import posterior as monte_carlo
from pipelines.traffic_signs.features import CLASSES, SIDE
from pipelines.traffic_signs.posterior import MAX_DRAWS, logits, make_posterior, opinions, weights

SHAPES = ((5, 5, 1, 3), (5, 5, 3, 6), (150, 12), (12, 8), (8, CLASSES))


@pytest.fixture(scope="module")
def posterior() -> Any:
    random = np.random.default_rng(4)

    def normal(shape: tuple[int, ...]) -> np.ndarray:
        return (random.normal(size=shape) * np.prod(shape[:-1]) ** -0.5).astype(np.float32)

    return make_posterior([(2 * normal(shape), abs(normal(shape)), normal(shape[-1:])) for shape in SHAPES])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(6, SIDE, SIDE)).astype(np.float32)


def predict(posterior: Any, images: np.ndarray, draws: list[int]) -> dict[str, np.ndarray]:
    import tensorflow as tf

    return {
        k: v.numpy()
        for k, v in monte_carlo.predict(posterior, tf.constant(images), tf.constant(draws, tf.int32)).items()
    }


def test_prediction_is_the_mean_over_the_draws_and_its_doubt_is_split_right(
    posterior: Any, images: np.ndarray
) -> None:
    import tensorflow as tf

    each = opinions(posterior, tf.constant(images), tf.constant(20)).numpy().astype(np.float64)
    assert each.shape == (6, 20, CLASSES)
    np.testing.assert_allclose(each.sum(axis=2), 1, rtol=1e-5)
    assert each.std(axis=1).max() > 0.01, "draws differ"
    told = predict(posterior, images, [20] * 6)
    mean = each.mean(axis=1)

    def entropy(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(np.maximum(p, 1e-30))).sum(axis=-1)

    np.testing.assert_allclose(told["probabilities"], mean, atol=1e-6)
    np.testing.assert_array_equal(told["label"], mean.argmax(axis=1))
    np.testing.assert_allclose(told["entropy"], entropy(mean), rtol=1e-4)
    information = entropy(mean) - entropy(each).mean(axis=1)
    np.testing.assert_allclose(told["mutual_information"], information, atol=1e-5)
    assert (told["mutual_information"] > 0).all()


def test_an_answer_depends_on_its_own_picture_and_number_of_draws_alone(
    posterior: Any, images: np.ndarray
) -> None:
    together = predict(posterior, images, [1, 5, 9, 33, 2, 1])
    for row, draws in enumerate([1, 5, 9, 33, 2, 1]):
        alone = predict(posterior, images[row : row + 1], [draws])
        for key, values in alone.items():
            np.testing.assert_allclose(together[key][row], values[0], atol=2e-6, err_msg=key)
    assert together["mutual_information"][0] == pytest.approx(0, abs=1e-6), "one draw cannot disagree"


def test_no_pictures_have_no_answers(posterior: Any, images: np.ndarray) -> None:
    assert predict(posterior, images[:0], [])["probabilities"].shape == (0, CLASSES)


def test_draws_of_a_weight_have_its_mean_and_deviation(posterior: Any) -> None:
    import tensorflow as tf

    drawn = np.stack([weights(posterior, 4, tf.constant(i)).numpy() for i in range(400)])
    mean, deviation = posterior.means[4].numpy(), posterior.deviations[4].numpy()
    z = (drawn - mean) / deviation
    assert abs(z.mean()) < 0.01 and z.std() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(z[0].ravel(), z[1].ravel())[0, 1]) < 0.2


def test_no_two_draws_or_layers_share_their_noise(posterior: Any) -> None:
    import tensorflow as tf

    noise = []
    for draw in range(4):
        for layer in (0, 4):
            drawn = weights(posterior, layer, tf.constant(draw)).numpy()
            scaled = (drawn - posterior.means[layer].numpy()) / posterior.deviations[layer].numpy()
            noise.append(np.round(scaled.ravel()[:10], 3).tolist())
    assert len({tuple(row) for row in noise}) == len(noise)


def _small(deviation: float) -> tuple[Any, Any]:
    import tensorflow as tf
    import tf_keras as keras

    from pipelines.traffic_signs.network import build_model

    keras.utils.set_random_seed(6)
    weight = tf.Variable(1.0, trainable=False)
    return build_model({"channels": 4, "dense": 20, "prior": 1.0, "deviation": deviation}, weight), weight


def test_the_served_network_is_the_trained_one(images: np.ndarray) -> None:
    import tensorflow as tf

    from pipelines.traffic_signs.model import read_posterior

    # Deviations of next to nothing: every draw is the mean network, in flipout's arithmetic and in ours.
    model, _ = _small(1e-5)
    served = make_posterior(read_posterior(model))
    np.testing.assert_allclose(
        logits(served, tf.constant(images), tf.constant(0)).numpy(), model(images).numpy(), atol=2e-3
    )


def test_the_divergence_is_that_of_normal_distributions() -> None:
    from pipelines.traffic_signs.model import read_posterior
    from pipelines.traffic_signs.network import divergence

    model, weight = _small(0.1)
    total = 0.0
    for mean, deviation, _ in read_posterior(model):
        prior = 1 / np.sqrt(np.prod(mean.shape[:-1]))
        ratio = (deviation / prior) ** 2
        total += 0.5 * float((ratio + (mean / prior) ** 2 - 1 - np.log(ratio)).sum())
    assert float(divergence(model)) == pytest.approx(total, rel=1e-4)
    weight.assign(0.25)
    assert float(sum(model.losses)) == pytest.approx(total / 4, rel=1e-4)


def test_the_divergence_warms_up_to_its_share_of_a_picture() -> None:
    import tensorflow as tf

    from pipelines.traffic_signs.model import warm_up

    weight = tf.Variable(0.0)
    callback = warm_up(weight, {"warm_up": 0.5, "epochs": 8, "divergence": 0.5}, 100)
    seen = []
    for epoch in range(8):
        callback.on_epoch_begin(epoch)
        seen.append(float(weight))
    np.testing.assert_allclose(seen, np.minimum(np.arange(1, 9) / 4, 1) * 0.005, rtol=1e-5)


@pytest.mark.slow
def test_means_and_deviations_learn_from_drawn_signs() -> None:
    import tensorflow as tf

    from pipelines.traffic_signs import features
    from pipelines.traffic_signs.model import compile_model, read_posterior
    from pipelines.traffic_signs.plates import plate

    model, weight = _small(0.1)
    weight.assign(1e-4)
    clean = [np.asarray(plate(i).convert("L").resize((SIDE, SIDE)), np.float32) for i in range(CLASSES)]
    noisy = np.repeat(np.stack(clean), 8, axis=0) + np.random.default_rng(0).normal(0, 8, (8 * CLASSES, 1, 1))
    before = read_posterior(model)
    compile_model(model, {"epochs": 25, "learning_rate": 5e-3, "exposure": 0.0}, 11)
    pictures = features.equalise(tf.constant(noisy, tf.float32))
    history = model.fit(
        pictures, np.repeat(np.arange(CLASSES), 8), batch_size=32, epochs=25, verbose=0
    ).history
    assert history["accuracy"][-1] > 0.8 > 10 * history["accuracy"][0]
    for old, new in zip(before, read_posterior(model), strict=True):
        assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(old, new, strict=True))
        assert (new[1] > 0).all()


def encoded(pixels: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.xdist_group("run-traffic_signs")
def test_a_served_model_answers_png_and_ppm_with_its_doubt_over_grpc(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from pipelines.base import answer
    from pipelines.traffic_signs.drawing import track
    from serving.client import Client
    from serving.errors import ServingError

    run = finished_run("traffic_signs")
    assert run.code == 0 and run.record.blessed, run.output
    made = [track(label, 1, np.random.default_rng(label))[0] for label in range(CLASSES)]
    boxes = np.array([box for _, box in made], np.int64)
    images = {
        form: np.array([encoded(pixels, form) for pixels, _ in made], object) for form in ("PNG", "PPM")
    }
    # Batching on: rows that ask for different numbers of samples share one call of the graph.
    process, addresses = answer.start_server(
        "traffic_signs", Path(run.record.pushed).parent, tmp_path / "serving.log", "--enable_batching"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def ask(form: str, samples: Any) -> dict[str, np.ndarray]:
                inputs = {"image": images[form], "box": boxes, "samples": np.asarray(samples, np.int64)}
                return client.predict("traffic_signs", inputs, signature="predict")

            many = ask("PNG", [64] * CLASSES)
            mixed = ask("PPM", [64, 1] + [64] * (CLASSES - 2))
            plain = client.predict("traffic_signs", {"image": images["PNG"]})
            for wrong in (0, -5, MAX_DRAWS + 1):
                with pytest.raises(ServingError, match="samples must be 1 to 1000"):
                    ask("PNG", [wrong] * CLASSES)
            with pytest.raises(ServingError):
                client.predict("traffic_signs", {"image": np.array([b"no picture"], object)})
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert set(many) == {"probabilities", "label", "is_sign", "entropy", "mutual_information"}
    assert many["is_sign"].mean() > 0.5 and set(many["is_sign"]) <= {0, 1}
    assert (many["label"] == np.arange(CLASSES)).mean() > 0.6
    same = np.arange(CLASSES) != 1
    for key, values in many.items():
        np.testing.assert_allclose(mixed[key][same], values[same], atol=1e-4, err_msg=key)
    assert mixed["mutual_information"][1] == pytest.approx(0, abs=1e-5), "one draw cannot disagree"
    assert many["mutual_information"].min() >= 0 and many["mutual_information"].max() > 0.01
    assert (plain["label"] == many["label"]).mean() > 0.7


def test_the_limit_of_doubt_says_what_is_no_sign_and_is_chosen_on_the_tune_split(
    posterior: Any, images: np.ndarray
) -> None:
    import tensorflow as tf

    from pipelines.traffic_signs.model import most_doubt

    assert predict(posterior, images, [8] * 6)["is_sign"].tolist() == [1] * 6, "without a limit all are signs"
    tune = tf.data.Dataset.from_tensor_slices((images, np.zeros((6, 1), np.int64))).batch(4)
    entropies = predict(posterior, images, [monte_carlo.DEFAULT_DRAWS] * 6)["entropy"]
    limit = most_doubt(posterior, tune, 0.2)
    assert limit == pytest.approx(np.quantile(entropies, 0.8), rel=1e-5)
    posterior.most_doubt.assign(limit)
    try:
        told = predict(posterior, images, [monte_carlo.DEFAULT_DRAWS] * 6)
        np.testing.assert_array_equal(told["is_sign"], told["entropy"] <= limit)
        assert set(told["is_sign"]) == {0, 1}
    finally:
        posterior.most_doubt.assign(np.inf)


def test_a_spoiled_picture_is_asked_for_all_classes_alike_and_counts_in_no_metric() -> None:
    import tensorflow as tf

    from pipelines.traffic_signs.model import NO_SIGN, compile_model

    model, weight = _small(1e-5)
    weight.assign(0.0)
    compile_model(model, {"epochs": 1, "learning_rate": 1e-3, "exposure": 0.5}, 1)
    pictures = tf.constant(np.random.default_rng(2).normal(size=(3, SIDE, SIDE)).astype(np.float32))
    shares = tf.nn.softmax(model(pictures)).numpy()
    labels = np.array([[4], [9], [NO_SIGN]])
    model.run_eagerly = True
    found = model.evaluate(pictures, labels, verbose=0, return_dict=True)
    of_signs = -np.log(shares[[0, 1], [4, 9]])
    uniform = -np.log(shares[2]).mean()
    assert found["loss"] == pytest.approx(1.5 * (of_signs.sum() + uniform) / 3, rel=2e-3)
    assert found["cross_entropy"] == pytest.approx(of_signs.mean(), rel=2e-3)
    assert found["accuracy"] == pytest.approx((shares[:2].argmax(1) == [4, 9]).mean())
