"""clothing: routing does what the papers say, photographs become the set's pictures, capsules hold what they draw."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.base.registry import get
from pipelines.clothing import capsules, data, evaluate, garments, network
from pipelines.clothing.features import CLASSES, SIDE
from pipelines.clothing.project import NAMES

RANDOM = np.random.default_rng(0)


def parameters(variant: str, **changed: Any) -> dict[str, Any]:
    return {**get("clothing").variant(variant).parameters, "variant": variant, **changed}


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """300 garments [300, 28, 28] and their labels."""
    random = np.random.default_rng(5)
    labels = np.arange(300) % CLASSES
    return np.stack([garments.draw(int(label), random) for label in labels]), labels


def test_every_garment_can_be_drawn_and_no_two_are_alike(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = drawn
    assert images.shape == (300, SIDE, SIDE) and images.dtype == np.uint8
    assert len(np.unique(images.reshape(300, -1), axis=0)) == 300
    shares = (images > 20).mean(axis=(1, 2))
    assert shares.min() > 0.05 and shares.max() < 0.9
    for label in range(CLASSES):
        assert images[labels == label].max() > 100, NAMES[label]


def test_the_sample_has_the_layout_of_the_official_files(tmp_path: Path) -> None:
    from components.image_example_gen.pictures import read_idx

    data.sample(tmp_path, 120, seed=3)
    assert {file.name for file in tmp_path.iterdir()} == set(get("clothing").data.sha256)
    images = read_idx(str(tmp_path / "train-images-idx3-ubyte.gz"), 3)
    labels = [read_idx(str(tmp_path / f"{part}-labels-idx1-ubyte.gz"), 1) for part in ("train", "t10k")]
    assert images.shape == (100, SIDE, SIDE)
    assert np.bincount(np.concatenate(labels)).tolist() == [12] * CLASSES


def encoded(pixels: np.ndarray, kind: str, mode: str = "", **options: Any) -> bytes:
    file, picture = io.BytesIO(), Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def seen(*images: bytes) -> np.ndarray:
    import tensorflow as tf

    from pipelines.clothing.features import photographs

    return photographs(tf.constant(list(images), tf.string)).numpy()


def garment(label: int = 8, side: int = 140) -> np.ndarray:
    """A smooth picture [side, side], light on black."""
    small = Image.fromarray(garments.draw(label, np.random.default_rng(1)))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def test_every_way_to_store_a_photograph_gives_the_same_picture() -> None:
    pixels = garment()
    other = Image.fromarray(garment(label=0))
    (plain,) = seen(encoded(pixels, "PNG"))
    ways = {
        "16 bits": encoded(pixels.astype(np.uint16) * 257, "PNG"),
        "colour": encoded(np.stack([pixels] * 3, axis=2), "PNG"),
        "BMP": encoded(pixels, "BMP"),
        "JPEG": encoded(pixels, "JPEG", quality=98),
        "CMYK": encoded(pixels, "JPEG", "CMYK", quality=98),
        "animated": encoded(pixels, "GIF", save_all=True, append_images=[other]),
        "on white": encoded(255 - pixels, "PNG"),
    }
    for (name, image), found in zip(ways.items(), seen(*ways.values()), strict=True):
        assert image and np.abs(found - plain).mean() < 3, name
    small = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX), float)
    assert np.abs(plain - small).mean() < 8


def test_a_wide_photograph_is_fitted_and_not_stretched() -> None:
    (found,) = seen(encoded(np.full((20, 80), 90, np.uint8), "PNG"))
    lit = np.flatnonzero(found.max(axis=1) > 1)
    assert found.max(axis=0).min() == pytest.approx(90, abs=1)
    assert len(lit) == 7 and abs(lit.mean() - 13.5) < 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (b"", "image"),
        (b"no picture", "image"),
        (b"ID3\x03" + bytes(100), "image"),
        (encoded(garment(), "PNG")[:100], "PNG"),
        (encoded(garment(), "WEBP"), "image"),
        (encoded(np.full((1, 1), 9, np.uint8), "PNG"), "expected sides of 8 or more"),
        (encoded(np.full((400, 7), 9, np.uint8), "PNG"), "expected sides of 8 or more"),
    ],
)
def test_what_is_no_photograph_fails_with_an_invalid_argument(wrong: bytes, told: str) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        seen(wrong)


def test_a_photograph_that_says_it_is_huge_is_refused_before_it_is_unpacked() -> None:
    import tensorflow as tf

    bomb = bytearray(encoded(garment(), "PNG"))
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 50,000,000 pixels"):
        seen(bytes(bomb))


def test_squashing_keeps_directions_and_gives_the_published_lengths() -> None:
    import tensorflow as tf

    vectors = RANDOM.normal(size=(5, 3, 8)).astype(np.float32) * np.array([0.1, 1, 5])[None, :, None]
    before = np.linalg.norm(vectors, axis=2)
    for function, after in (
        (capsules.squash, before**2 / (1 + before**2)),
        (capsules.squash_steeply, 1 - np.exp(-before)),
    ):
        found = function(tf.constant(vectors, tf.float32)).numpy()
        np.testing.assert_allclose(np.linalg.norm(found, axis=2), after, rtol=1e-3)
        np.testing.assert_allclose(found, vectors * (after / before)[..., None], rtol=1e-3, atol=1e-6)
        nothing = tf.Variable(tf.zeros([1, 2, 8]))
        with tf.GradientTape() as tape:
            length = tf.reduce_sum(capsules.lengths(function(nothing)))
        assert np.isfinite(tape.gradient(length, nothing).numpy()).all(), (
            "a capsule of nothing can still learn"
        )


def test_the_margin_loss_is_that_of_a_loop() -> None:
    labels, length = np.array([2, 0, 2]), RANDOM.uniform(0, 1, (3, 4)).astype(np.float32)
    expected = [
        sum(
            max(0.0, 0.9 - length[row, k]) ** 2 if k == label else 0.5 * max(0.0, length[row, k] - 0.1) ** 2
            for k in range(4)
        )
        for row, label in enumerate(labels)
    ]
    for shape in ((3,), (3, 1)):
        np.testing.assert_allclose(capsules.margin_loss(labels.reshape(shape), length), expected, rtol=1e-5)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def squashed(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector * length / (1 + length**2)


def test_routing_by_agreement_is_that_of_plain_loops() -> None:
    import tensorflow as tf

    votes = RANDOM.normal(size=(2, 6, 3, 4)) * 0.7
    for row, found in enumerate(capsules.by_agreement(tf.constant(votes, tf.float32), 3).numpy()):
        logits = np.zeros((6, 3))
        for _ in range(3):
            shares = np.stack([softmax(logits[i]) for i in range(6)])
            out = np.stack(
                [squashed(sum(shares[i, j] * votes[row, i, j] for i in range(6))) for j in range(3)]
            )
            logits += np.array([[votes[row, i, j] @ out[j] for j in range(3)] for i in range(6)])
        np.testing.assert_allclose(found, out, atol=1e-4)


def test_only_the_last_round_of_routing_is_learned_through() -> None:
    import tensorflow as tf

    votes = tf.Variable(RANDOM.normal(size=(1, 5, 3, 4)), dtype=tf.float32)
    still = tf.constant(votes)
    agreed = tf.zeros([1, 5, 3])
    for _ in range(2):
        out = capsules.squash(tf.einsum("nij,nije->nje", tf.nn.softmax(agreed, axis=2), still))
        agreed += tf.einsum("nije,nje->nij", still, out)
    shares = tf.nn.softmax(agreed, axis=2)
    with tf.GradientTape(persistent=True) as tape:
        routed = tf.reduce_sum(capsules.lengths(capsules.by_agreement(votes, 3)))
        fixed = tf.reduce_sum(capsules.lengths(capsules.squash(tf.einsum("nij,nije->nje", shares, votes))))
    np.testing.assert_allclose(tape.gradient(routed, votes), tape.gradient(fixed, votes), atol=1e-5)


def test_routing_by_attention_is_that_of_plain_loops() -> None:
    import tensorflow as tf

    votes, prior = RANDOM.normal(size=(2, 6, 3, 4)), RANDOM.normal(size=(6, 3)) * 0.1
    found = capsules.by_attention(tf.constant(votes, tf.float32), tf.constant(prior, tf.float32)).numpy()
    for row in range(2):
        agreed = np.array(
            [
                [sum(votes[row, i, j] @ votes[row, k, j] for k in range(6)) / 2 for j in range(3)]
                for i in range(6)
            ]
        )
        shares = np.stack([softmax(agreed[i]) for i in range(6)]) + prior
        for j in range(3):
            total = sum(shares[i, j] * votes[row, i, j] for i in range(6))
            length = np.linalg.norm(total)
            np.testing.assert_allclose(found[row, j], total / length * (1 - np.exp(-length)), atol=1e-4)


def test_networks_have_the_parameters_that_the_card_speaks_of() -> None:
    efficient = network.encoder(parameters("efficient")).count_params()
    rival = network.rival(parameters("cnn")).count_params()
    assert efficient == pytest.approx(160_000, rel=0.05)
    assert rival == pytest.approx(efficient, rel=0.03)
    published = network.encoder(parameters("capsnet", width=1.0))
    assert published.get_layer("primary").output_shape == (None, 1152, 8)
    # 9*9*256 + 256, 9*9*256*256 + 256, and a matrix for each pair of capsules.
    assert published.count_params() == 20_992 + 5_308_672 + 1152 * 8 * 10 * 16


@pytest.fixture(scope="module")
def classifier() -> Any:
    """A small capsule network as it is before training, with a decoder."""
    import tf_keras as keras

    from pipelines.clothing import serving

    keras.utils.set_random_seed(1)
    return serving.make_classifier(
        network.encoder(parameters("efficient", channels=4, primary=4)), network.decoder()
    )


def test_the_decoder_is_given_the_longest_capsule_alone_and_a_change_moves_one_number_of_it(
    classifier: Any, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    import tensorflow as tf

    images = tf.constant(drawn[0][:3], tf.float32)
    found = classifier.encoder(images, training=False).numpy()
    told = classifier.reconstruct(images)
    longest = np.linalg.norm(found, axis=2).argmax(axis=1)
    np.testing.assert_array_equal(told["label"], longest)

    def by_hand(row: int, number: int, change: float) -> np.ndarray:
        given = np.zeros((1, CLASSES, network.SIZE), np.float32)
        given[0, longest[row]] = found[row, longest[row]]
        given[0, longest[row], number] += change
        return np.round(classifier.decoder(given).numpy()[0] * 255)

    changes = np.array([0.0, -2.0, 3.0], np.float32)
    moved = classifier.perturb(images, tf.constant(5, tf.int64), tf.constant(changes))
    assert moved["pictures"].shape == (3, 3, SIDE, SIDE)
    for row in range(3):
        np.testing.assert_array_equal(told["picture"][row], by_hand(row, 5, 0.0))
        for at, change in enumerate(changes):
            np.testing.assert_allclose(moved["pictures"][row, at], by_hand(row, 5, change), atol=1)
    assert np.abs(moved["pictures"].numpy().astype(int)[:, 1] - moved["pictures"].numpy()[:, 0]).max() > 0
    error = ((told["picture"].numpy() - images.numpy()) ** 2).mean(axis=(1, 2)) / 255**2
    np.testing.assert_allclose(told["error"], error, atol=1e-3)


@pytest.mark.slow
def test_capsules_and_decoder_learn_together_and_the_label_chooses_what_is_drawn(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    import tensorflow as tf
    import tf_keras as keras

    from pipelines.clothing import model as training

    keras.utils.set_random_seed(1)
    small = parameters("efficient", channels=4, primary=4, epochs=4)
    encoder, model = training.build(small)
    training.compile_model(model, small, steps_per_epoch=10)
    images, labels = drawn[0].astype(np.float32), drawn[1].astype(np.int64)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(30).map(training.targets)
    losses = model.fit(batches, epochs=4, verbose=0).history
    assert losses["loss"][-1] < 0.8 * losses["loss"][0]
    assert losses["decoder_loss"][-1] < 0.9 * losses["decoder_loss"][0]
    told = model({"pixels": images[:1].repeat(2, 0), "label": np.array([[3], [7]])}, training=False)
    found = encoder(images[:1], training=False)
    by_hand = model.get_layer("decoder")(capsules.only(tf.repeat(found, 2, 0), np.array([3, 7])))
    np.testing.assert_allclose(told["picture"], by_hand, atol=1e-5)
    assert np.abs(told["picture"][0] - told["picture"][1]).max() > 1e-4


def test_moved_pictures_stay_garments_and_half_are_mirrored() -> None:
    import tensorflow as tf

    from pipelines.clothing.augmentation import move

    shoe = np.repeat(garments.draw(9, np.random.default_rng(2))[None].astype(np.float32), 200, axis=0)
    tf.random.set_seed(1)
    moved = move(tf.constant(shoe)).numpy()
    assert moved.min() >= 0 and moved.max() <= 255.5
    assert moved.sum() == pytest.approx(shoe.sum(), rel=0.15)
    # A boot's shaft is on the right, a mirrored one's on the left.
    left, right = moved[:, :14, :14].sum(axis=(1, 2)), moved[:, :14, 14:].sum(axis=(1, 2))
    assert 0.35 < (left > right).mean() < 0.65


def test_the_neighbours_vote_is_that_of_plain_loops() -> None:
    known = RANDOM.integers(0, 256, (60, SIDE, SIDE), dtype=np.uint8)
    labels = RANDOM.integers(0, 3, 60)
    asked = RANDOM.integers(0, 256, (20, SIDE, SIDE), dtype=np.uint8)
    for row, found in enumerate(evaluate.neighbours(asked, known, labels)):
        distance = ((asked[row].astype(float) - known) ** 2).sum(axis=(1, 2))
        votes = labels[np.argsort(distance)[:5]].tolist()
        best = max(map(votes.count, votes))
        assert votes.count(found) == best
        if sum(votes.count(label) == best for label in set(votes)) == 1:
            assert found == max(set(votes), key=votes.count)


def test_the_mean_picture_of_a_class_errs_by_its_variance() -> None:
    images = RANDOM.integers(0, 256, (40, SIDE, SIDE), dtype=np.uint8)
    labels = np.arange(40) % 2
    told = evaluate.Answers(images, labels, labels, np.zeros((40, CLASSES)))
    errors = evaluate.mean_errors(told, images, labels)
    for label in (0, 1):
        variance = (images[labels == label] / 255).var(axis=0).mean()
        assert errors[labels == label].mean() == pytest.approx(variance)


@pytest.mark.slow
def test_capsules_in_integers_answer_as_in_floats(
    classifier: Any, drawn: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    import tensorflow as tf

    from components.tflite_exporter import conversion

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.float32, name="image")])
    def float_pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"lengths": classifier.outputs(image)["lengths"]}

    tf.saved_model.save(classifier, str(tmp_path), {"float_pixels": float_pixels})
    inputs = {"image": drawn[0][:100].astype(np.float32)}
    expected = conversion.run_original(tmp_path, "float_pixels", inputs, "lengths")
    floats = conversion.to_float(tmp_path, "float_pixels")
    np.testing.assert_allclose(conversion.run(floats, inputs, "lengths", "float_pixels"), expected, atol=1e-4)
    integers = conversion.to_int8(tmp_path, "float_pixels", inputs, "uint8")
    found = conversion.run(integers, inputs, "lengths", "float_pixels")
    assert np.abs(found - expected).max() < 0.1 and len(integers) < 0.6 * len(floats)


@pytest.mark.slow
@pytest.mark.xdist_group("run-clothing")
def test_a_served_model_names_redraws_and_changes_garments_over_grpc(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from pipelines.base import answer
    from serving.client import Client
    from serving.errors import ServingError

    run = finished_run("clothing")
    assert run.code == 0 and run.record.blessed, run.output
    random = np.random.default_rng(77)
    labels = np.arange(60) % CLASSES
    images = np.stack([garments.draw(int(label), random) for label in labels])
    large = [np.asarray(Image.fromarray(one).resize((280, 280), Image.Resampling.BICUBIC)) for one in images]
    stored = np.array([encoded(255 - one, "PNG") for one in large], object)
    process, addresses = answer.start_server(
        "clothing", Path(run.record.pushed).parent, tmp_path / "serving.log", "--enable_batching"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def ask(signature: str, **inputs: Any) -> dict[str, np.ndarray]:
                return client.predict("clothing", inputs, signature=signature)

            plain, photographs = ask("serving_default", image=images), ask("photographs", image=stored)
            redrawn = ask("reconstruct", image=images)
            changes = np.array([-0.3, 0.0, 0.3], np.float32)
            moved = ask("perturb", image=images[:4], dimension=np.int64(3), changes=changes)
            for wrong, told in (
                ({"dimension": np.int64(16), "changes": changes}, "expected 0 to 15"),
                ({"dimension": np.int64(3), "changes": np.array([np.nan], np.float32)}, "not finite"),
                ({"dimension": np.int64(3), "changes": np.zeros(101, np.float32)}, "expected 1 to 100"),
            ):
                with pytest.raises(ServingError, match=told) as caught:
                    ask("perturb", image=images[:1], **wrong)
                assert caught.value.code == "INVALID_ARGUMENT"
            for nothing in (b"no picture", encoded(np.full((1, 1), 9, np.uint8), "PNG"), b""):
                with pytest.raises(ServingError) as caught:
                    ask("photographs", image=np.array([nothing], object))
                assert caught.value.code == "INVALID_ARGUMENT"
            again = ask("serving_default", image=images)
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert (plain["label"] == labels).mean() > 0.8 and (photographs["label"] == labels).mean() > 0.7
    assert (
        plain["lengths"].shape == (60, CLASSES) and 0 <= plain["lengths"].min() <= plain["lengths"].max() < 1
    )
    np.testing.assert_array_equal(plain["lengths"].argmax(axis=1), plain["label"])
    np.testing.assert_allclose(again["lengths"], plain["lengths"], atol=1e-5, err_msg="after bad requests")
    assert redrawn["picture"].dtype == np.uint8 and redrawn["error"].mean() < 0.08
    np.testing.assert_allclose(moved["pictures"][:, 1], redrawn["picture"][:4], atol=1)
    assert (moved["pictures"][:, 0] != moved["pictures"][:, 2]).any()
