"""faces: networks and weights as published, against straightforward numpy; alignment, triplets, the served graph."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base import answer
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.registry import get
from pipelines.base.settings import Settings
from pipelines.faces import data, drawing, measures, rows, weights


def convolution(values: np.ndarray, kernel: np.ndarray, stride: int = 1, same: bool = False) -> np.ndarray:
    """[h, w, c] by [k, k, c, o], the plain way: a sum of shifted products."""
    size = kernel.shape[0]
    if same:
        values = np.pad(values, [(size // 2, size // 2)] * 2 + [(0, 0)])
    height = (values.shape[0] - size) // stride + 1
    width = (values.shape[1] - size) // stride + 1
    out = np.zeros((height, width, kernel.shape[3]))
    for down in range(size):
        for across in range(size):
            part = values[down : down + stride * height : stride, across : across + stride * width : stride]
            out += part[:height, :width] @ kernel[down, across]
    return out


def pooled(values: np.ndarray, size: int, stride: int, how: Callable[..., Any]) -> np.ndarray:
    height, width = ((side - size) // stride + 1 for side in values.shape[:2])
    return np.array(
        [
            [
                how(values[i * stride : i * stride + size, j * stride : j * stride + size], axis=(0, 1))
                for j in range(width)
            ]
            for i in range(height)
        ]
    )


def described(arrays: Mapping[str, np.ndarray], crop: np.ndarray) -> np.ndarray:
    """The descriptor of one crop [150, 150, 3], step by step as face-api.js takes them, in double precision."""

    def scaled(values: np.ndarray, name: str, stride: int = 1, same: bool = True) -> np.ndarray:
        out = convolution(values, arrays[f"{name}/conv/filters"].astype(float), stride, same)
        return (out + arrays[f"{name}/conv/bias"]) * arrays[f"{name}/scale/weights"] + arrays[
            f"{name}/scale/biases"
        ]

    body = np.maximum(scaled((crop - [122.782, 117.001, 104.298]) / 256, "conv32_down", 2, False), 0)
    body = pooled(body, 3, 2, np.max)
    names = dict.fromkeys(name.split("/")[0] for name in arrays if name.count("/") == 3)
    for name in names:
        down = "down" in name
        inner = np.maximum(scaled(body, f"{name}/conv1", 2 if down else 1, not down), 0)
        inner = scaled(inner, f"{name}/conv2")
        if down:
            body = pooled(body, 2, 2, np.mean)
            whole = np.zeros((*body.shape[:2], inner.shape[2]))
            whole[: inner.shape[0], : inner.shape[1]] += inner
            whole[..., : body.shape[2]] += body
            body = np.maximum(whole, 0)
        else:
            body = np.maximum(inner + body, 0)
    return body.mean(axis=(0, 1)) @ arrays["fc"]


def made_up_arrays() -> dict[str, np.ndarray]:
    """Weights of the descriptor's shapes and a size at which all layers matter."""
    from pipelines.faces.descriptor import BLOCKS

    random = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}

    def layer(name: str, size: int, given: int, out: int) -> None:
        arrays[f"{name}/conv/filters"] = random.normal(size=(size, size, given, out)) / (size * given**0.5)
        arrays[f"{name}/conv/bias"] = random.normal(size=out) * 0.1
        arrays[f"{name}/scale/weights"] = random.uniform(0.5, 1.0, out)
        arrays[f"{name}/scale/biases"] = random.normal(size=out) * 0.1

    layer("conv32_down", 7, 3, 32)
    channels = 32
    for name in BLOCKS:
        width = int(name.split("_")[0].removeprefix("conv"))
        layer(f"{name}/conv1", 3, channels, width)
        layer(f"{name}/conv2", 3, width, width)
        channels = width
    arrays["fc"] = random.normal(size=(256, 128)) * 0.1
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def test_the_descriptors_network_is_what_plain_numpy_makes_of_the_same_weights() -> None:
    from pipelines.faces.descriptor import build_model

    arrays = made_up_arrays()
    crop = np.random.default_rng(2).uniform(0, 255, (150, 150, 3)).astype(np.float32)
    expected = described(arrays, crop)
    assert expected.std() > 0.01
    np.testing.assert_allclose(build_model(arrays)(crop[None])[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_published_weights_give_the_reference_vector(real_data: Path) -> None:
    from pipelines.faces.descriptor import MODEL, build_model

    arrays = weights.tensorflow_js(real_data / "weights", MODEL)
    random = np.random.default_rng(3)
    someone = drawing.person(random)
    face = drawing.draw(someone, drawing.moment(someone, random), random)[:92].astype(np.float32)
    crop = np.pad(np.stack([face] * 3, axis=2), [(29, 29), (29, 29), (0, 0)], mode="edge")
    expected = described(arrays, crop)
    assert 0.5 < np.linalg.norm(expected) < 3
    np.testing.assert_allclose(build_model(arrays)(crop[None])[0], expected, rtol=1e-3, atol=1e-4)


def test_the_proposal_network_is_what_plain_numpy_makes_of_the_same_weights() -> None:
    import tensorflow as tf

    from pipelines.faces.detector import proposal_network

    random = np.random.default_rng(4)
    shapes = [
        (3, 3, 3, 10),
        (10,),
        (1, 1, 10),
        (3, 3, 10, 16),
        (16,),
        (1, 1, 16),
        (3, 3, 16, 32),
        (32,),
        (1, 1, 32),
    ]
    shapes += [(1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)]
    arrays = [random.normal(size=shape) / np.sqrt(np.prod(shape[:-1])) for shape in shapes]
    picture = random.normal(size=(24, 30, 3))

    def step(values: np.ndarray, at: int) -> np.ndarray:
        out = convolution(values, arrays[at]) + arrays[at + 1]
        return np.where(out > 0, out, arrays[at + 2] * out)

    body = step(step(pooled(step(picture, 0), 2, 2, np.max), 3), 6)
    moves = convolution(body, arrays[9]) + arrays[10]
    votes = np.exp(convolution(body, arrays[11]) + arrays[12])
    variables = [tf.Variable(array.astype(np.float32)) for array in arrays]
    offsets, likely = proposal_network(variables, tf.constant(picture, tf.float32))
    np.testing.assert_allclose(offsets, moves, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(likely, votes[..., 1] / votes.sum(axis=2), rtol=1e-3)


def test_boxes_are_thinned_by_what_they_share() -> None:
    import tensorflow as tf

    from pipelines.faces import detector

    boxes = tf.constant([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 5, 5], [20, 20, 30, 40]])
    scores = tf.constant([0.9, 0.95, 0.8, 0.7])
    assert detector.thinned(boxes, scores, 0.5, 9).numpy().tolist() == [1, 2, 3]
    assert detector.thinned(boxes, scores, 0.5, 1).numpy().tolist() == [1]
    shared = detector.shared(boxes).numpy()
    np.testing.assert_allclose(shared[0], [1, 0.9, 1, 0], atol=1e-6)
    np.testing.assert_allclose(detector.squares(boxes)[3], [15, 20, 35, 40])
    np.testing.assert_allclose(
        detector.moved(boxes, tf.constant([[0.1, 0.2, 0.3, 0.4]]))[3], [21, 24, 33, 48]
    )
    assert detector.padded(boxes).shape == (detector.MAX_FACES, 4)


@pytest.mark.slow
@pytest.mark.real_data
def test_faces_are_found_where_they_are_in_pictures_of_any_size_and_number(real_data: Path) -> None:
    import tensorflow as tf
    from PIL import Image

    from pipelines.faces.detector import make_detector

    detector = make_detector(real_data / "weights")
    detect = tf.function(detector.detect_in, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    found = rows.find([real_data / "faces" / "orl_faces.zip"])
    pictures = [np.asarray(Image.open(io.BytesIO(one.read())).convert("RGB")) for one in found]
    told = [{key: value.numpy() for key, value in detect(picture).items()} for picture in pictures[::3]]
    assert np.mean([one["faces"] == 1 for one in told]) >= 0.97
    landmarks = np.stack([one["landmarks"][0] for one in told])
    # Eyes above the nose above the mouth, left of right.
    assert (landmarks[:, 0, 0] < landmarks[:, 1, 0]).all() and (landmarks[:, 3, 0] < landmarks[:, 4, 0]).all()
    assert (landmarks[:, :2, 1].max(axis=1) < landmarks[:, 2, 1]).all()
    assert (landmarks[:, 2, 1] < landmarks[:, 3:, 1].min(axis=1)).all()
    crowd = np.vstack([np.hstack(pictures[row * 8 : row * 8 + 8]) for row in range(5)])
    assert detect(crowd)["faces"] == 40
    for size in ((1, 1), (1, 500), (500, 1), (200, 300)):
        assert detect(np.full((*size, 3), 128, np.uint8))["faces"] == 0
    large = np.asarray(Image.fromarray(pictures[0]).resize((920, 1120)))
    np.testing.assert_allclose(detect(large)["boxes"][0], detect(pictures[0])["boxes"][0], atol=0.05)


@pytest.mark.parametrize("scale", [0.4, 1.0, 6.0])
def test_a_face_that_is_turned_moved_and_scaled_is_cut_out_alike(scale: float) -> None:
    import tensorflow as tf

    from pipelines.faces.alignment import TEMPLATE, aligned, similarity

    side, angle, shift = 64, 0.4, np.array([70.0, 40.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (np.array(TEMPLATE) * side) @ turn.T + shift
    found, moved = similarity(tf.constant(landmarks, tf.float32), side)
    assert complex(found) == pytest.approx(scale * np.exp(1j * angle), rel=1e-5)
    assert complex(moved) == pytest.approx(complex(*shift), rel=1e-4)
    down, across = np.mgrid[:420, :420].astype(np.float32)
    # A light ball about the left eye, as large in the crop whatever the scale.
    away = np.hypot(across - landmarks[0, 0], down - landmarks[0, 1]) / scale
    picture = np.repeat((255 * np.exp(-((away / 6) ** 2)))[..., None], 3, axis=2).astype(np.float32)
    crop = aligned(tf.constant(picture), tf.constant(landmarks, tf.float32), side).numpy()[..., 0]
    rows_, columns = np.mgrid[:side, :side]
    middle = (np.average(columns, weights=crop), np.average(rows_, weights=crop))
    np.testing.assert_allclose(middle, np.array(TEMPLATE[0]) * side, atol=1.0)


def test_fishers_projection_makes_all_directions_vary_alike_within_a_person() -> None:
    from pipelines.faces import network

    random = np.random.default_rng(9)
    people = np.repeat(np.arange(30), 20)
    centres = random.normal(size=(30, 6)) * 4
    spread = np.array([10.0, 3, 1, 0.3, 0.1, 0.03])
    values = centres[people] + random.normal(size=(600, 6)) * spread
    matrix, bias = network.fisher(values, people, 8)
    made = values @ matrix + bias
    assert matrix.shape == (6, 8) and not matrix[:, 6:].any()
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-3)
    within = np.stack([made[people == person, :6].std(axis=0) for person in range(30)])
    # What varies most within a person no longer outweighs the rest.
    assert within.mean(axis=0).max() < 1.1
    raw = measures.similarities(values / np.linalg.norm(values, axis=1, keepdims=True), np.ones(600, bool))
    ours = measures.similarities(made / np.linalg.norm(made, axis=1, keepdims=True), np.ones(600, bool))
    auc = [measures.auc(measures.pairs(alike, people), np.ones(30)) for alike in (raw, ours)]
    assert auc[1] > auc[0] + 0.05


def test_the_network_takes_the_detectors_layers_and_leaves_them_as_they_are() -> None:
    from pipelines.faces import network

    random = np.random.default_rng(8)
    shapes = [
        (3, 3, 3, 32),
        (32,),
        (1, 1, 32),
        (3, 3, 32, 64),
        (64,),
        (1, 1, 64),
        (3, 3, 64, 64),
        (64,),
        (1, 1, 64),
    ]
    arrays = [
        (random.normal(size=shape) * 0.1).astype(np.float32) for shape in [*shapes, (2, 2, 64, 128), (128,)]
    ]
    faces = random.normal(size=(40, network.SIDE, network.SIDE)).astype(np.float32)
    model = network.build_model({"dimensions": 16}, arrays)
    assert len(model.trainable_weights) == 2
    for found, given in zip(model.get_layer("trunk").get_weights(), arrays, strict=False):
        np.testing.assert_array_equal(found, given)
    network.begin(model, faces, np.repeat(np.arange(10), 4))
    np.testing.assert_allclose(np.linalg.norm(model(faces), axis=1), 1, rtol=1e-4)
    crops = np.repeat(random.uniform(0, 255, (2, 150, 150, 1)), 3, axis=3).astype(np.float32)
    mirrored = network.embed(model, crops[:, :, ::-1].copy())
    np.testing.assert_allclose(network.embed(model, crops), mirrored, atol=1e-4)
    free = network.build_model({"dimensions": 16})
    assert len(free.trainable_weights) == 11


def test_the_triplet_loss_is_that_of_three_loops() -> None:
    import tensorflow as tf

    from pipelines.faces.network import triplet_loss

    random = np.random.default_rng(6)
    labels = np.array([0, 0, 0, 1, 1, 2])
    vectors = random.normal(size=(6, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distance = np.square(vectors[:, None] - vectors[None]).sum(axis=2)
    losses = []
    for anchor in range(6):
        others = distance[anchor, labels != labels[anchor]]
        for positive in np.flatnonzero(labels == labels[anchor]):
            if positive != anchor:
                near = distance[anchor, positive]
                harder = others[others > near]
                losses.append(max(0.0, near - (harder.min() if len(harder) else others.max()) + 0.3))
    found = triplet_loss(tf.constant(labels), tf.constant(vectors, tf.float32), 0.3)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-4) and np.mean(losses) > 0
    alone = triplet_loss(tf.constant([1, 1]), tf.constant(vectors[:2], tf.float32), 0.3)
    assert float(alone) == 0.0


def test_training_pictures_are_moved_and_lit_but_stay_the_same_face() -> None:
    import tensorflow as tf

    from pipelines.faces.network import SIDE, grey, moved

    tf.random.set_seed(1)
    random = np.random.default_rng(3)
    someone = drawing.person(random)
    face = drawing.draw(someone, drawing.moment(someone, random), random).astype(np.float32)
    clean = grey(tf.constant(np.stack([face] * 3, axis=2))[None]).numpy()
    made, labels = moved(tf.constant(np.repeat(clean, 64, axis=0)), tf.range(64))
    assert made.shape == (64, SIDE, SIDE) and np.abs(made.numpy().mean(axis=(1, 2))).max() < 1e-3
    alike = [np.corrcoef(clean.ravel(), one.ravel())[0, 1] for one in made.numpy()]
    assert np.mean(alike) > 0.4 and max(alike) < 0.999 and labels.numpy().tolist() == list(range(64))


def frame(*blocks: tuple[bytes, bool]) -> bytes:
    """An LZ4 frame with a checksum in its header that nobody looks at."""
    out = b"\x04\x22\x4d\x18\x40\x40\x00"
    for block, plain in blocks:
        out += struct.pack("<I", len(block) | plain << 31) + block
    return out + bytes(4)


def test_lz4_frames_are_unpacked_with_pieces_that_run_into_themselves() -> None:
    # 3 bytes as they are, then 9 from 3 back; a block of its own as it is; and 20 + 300 bytes with long lengths.
    repeating = bytes([0x35]) + b"abc" + b"\x03\x00" + bytes([0x10]) + b"!"
    long = bytes([0xFF, 5]) + b"x" * 20 + b"\x01\x00" + bytes([255, 26]) + bytes([0x10]) + b"y"
    assert weights.decompress(frame((repeating, False))) == b"abc" * 4 + b"!"
    assert weights.decompress(frame((repeating, False), (b"as it is", True))) == b"abc" * 4 + b"!as it is"
    assert weights.decompress(frame((long, False))) == b"x" * 320 + b"y"
    with pytest.raises(ProjectError, match="begins no LZ4 frame"):
        weights.decompress(b"PK\x03\x04")


def test_a_pickle_gives_arrays_and_nothing_else() -> None:
    import joblib

    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4, np.float32)]
    file = io.BytesIO()
    joblib.dump(arrays, file)
    for found, expected in zip(weights.unpickle(file.getvalue()), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    evil = b"cposix\nsystem\n(S'true'\ntR."
    with pytest.raises(ProjectError, match=r"name posix\.system; expected arrays only"):
        weights.unpickle(evil)


def test_quantised_weights_are_spread_over_their_range() -> None:
    entries = [
        {"name": "plain", "shape": [2], "dtype": "float32"},
        {
            "name": "bytes",
            "shape": [3, 1],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1},
        },
    ]
    shard = np.array([1.5, -2], "<f4").tobytes() + bytes([0, 2, 255])
    found = weights.spread(entries, shard)
    np.testing.assert_allclose(found["plain"], [1.5, -2])
    np.testing.assert_allclose(found["bytes"], [[-1], [0], [126.5]])
    with pytest.raises(ProjectError, match="has 12 bytes; its manifest speaks of 11"):
        weights.spread(entries, shard + b"!")


def test_weights_that_are_missing_or_others_are_named_with_what_to_do(tmp_path: Path) -> None:
    from pipelines.faces.pipeline import with_weights

    paths = Paths.of("faces", tmp_path / "home")
    card = get("faces")
    assert with_weights(Settings.of(card), paths).parameters["weights"] == ""
    with pytest.raises(ProjectError, match=r"there is no .*nowhere/mtcnn/pnet.lz4.*viaduct data faces"):
        with_weights(Settings.of(card, overrides={"weights": str(tmp_path / "nowhere")}), paths)
    beside = tmp_path / "weights" / "mtcnn"
    beside.mkdir(parents=True)
    (beside / "pnet.lz4").write_bytes(b"others")
    with pytest.raises(ProjectError, match=r"pnet.lz4 has sha256 .*; expected ea6b0c"):
        with_weights(Settings.of(card, data=str(tmp_path / "pictures")), paths)


@pytest.mark.real_data
def test_weights_beside_the_data_are_found_and_told_in_the_parameters(
    real_data: Path, tmp_path: Path
) -> None:
    from pipelines.faces.pipeline import with_weights

    found = with_weights(
        Settings.of(get("faces"), data=str(real_data / "faces")), Paths.of("faces", tmp_path)
    )
    assert found.parameters["weights"] == str((real_data / "weights").absolute())
    assert found.parameters["weights_licence"] == "MIT" and len(str(found.parameters["weights_sha256"])) == 64
    assert json.loads(found.to_json())["parameters"]["weights_sha256"] == found.parameters["weights_sha256"]


def test_the_nearest_row_of_the_gallery_is_named_if_it_is_near_enough() -> None:
    import tensorflow as tf

    from pipelines.faces.recogniser import identify

    faces = tf.constant([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    told = {
        "embedding": faces,
        "found": tf.constant([True, True, True, False]),
        "faces": tf.constant([1, 1, 3, 0]),
    }
    told["box"] = tf.zeros([4, 4])
    gallery, names = (
        tf.constant([[0.0, 1, 0], [0.8, 0.6, 0], [0.96, 0.28, 0]]),
        tf.constant(["ben", "anna", "anna"]),
    )
    found = identify(told, gallery, names, tf.constant(0.5))
    assert found["person"].numpy().tolist() == [b"anna", b"ben", b"", b""]
    assert found["row"].numpy().tolist() == [2, 0, -1, -1]
    np.testing.assert_allclose(found["similarity"], [0.96, 1, 0, measures.NOTHING], atol=1e-6)
    forgotten = identify(told, gallery[:1], names[:1], tf.constant(0.5))
    assert forgotten["person"].numpy().tolist() == [b"", b"ben", b"", b""]
    empty = identify(told, gallery[:0], names[:0], tf.constant(-9.0))
    assert empty["row"].numpy().tolist() == [-1] * 4


@pytest.mark.slow
@pytest.mark.xdist_group("run-faces")
def test_people_are_enrolled_known_again_and_forgotten_over_grpc(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from serving.client import Client
    from serving.errors import InvalidArgument

    run = finished_run("faces")
    random = np.random.default_rng(11)
    people = [drawing.person(random) for _ in range(3)]

    def pictures(someone: drawing.Person, count: int) -> np.ndarray:
        drawn = [drawing.draw(someone, drawing.moment(someone, random), random) for _ in range(count)]
        return np.array([data.pgm(one) for one in drawn], dtype=object)

    enrolled = [pictures(someone, 4) for someone in people]
    tiny = data.pgm(np.zeros((1, 1), np.uint8))
    process, addresses = answer.start_server(
        "faces", Path(run.record.pushed).parent, tmp_path / "serving.log", "--enable_batching"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def ask(signature: str, **inputs: Any) -> dict[str, np.ndarray]:
                return client.predict("faces", inputs, signature=signature)

            gallery = np.concatenate([ask("embed", image=images)["embedding"] for images in enrolled])
            names = np.repeat(np.array(["anna", "ben", "cleo"], dtype=object), 4)
            probes = np.concatenate([pictures(someone, 6) for someone in people])
            told = ask("identify", image=probes, gallery=gallery, person=names, threshold=np.float32(-2))
            right = told["person"] == np.repeat([b"anna", b"ben", b"cleo"], 6)
            assert right.mean() >= 0.7 and (told["row"] >= 0).all()
            few = names != "ben"
            told = ask(
                "identify", image=probes, gallery=gallery[few], person=names[few], threshold=np.float32(-2)
            )
            assert not (told["person"] == b"ben").any()
            itself = ask(
                "identify", image=enrolled[0], gallery=gallery[:4], person=names[:4], threshold=np.float32(0)
            )
            assert itself["row"].tolist() == [0, 1, 2, 3]
            np.testing.assert_allclose(itself["similarity"], 1, atol=1e-3)
            nothing = ask("embed", image=np.array([tiny], dtype=object))
            assert not nothing["found"][0] and not nothing["embedding"].any()
            for wrong in (b"", b"no picture", tiny[:-1]):
                with pytest.raises(InvalidArgument):
                    ask("embed", image=np.array([wrong], dtype=object))
            with pytest.raises(InvalidArgument, match="differ in their rows"):
                ask("identify", image=probes, gallery=gallery, person=names[:2], threshold=np.float32(0))
            with pytest.raises(InvalidArgument, match="not finite"):
                ask("identify", image=probes, gallery=gallery * np.nan, person=names, threshold=np.float32(0))
    finally:
        answer.end(process)


@pytest.mark.slow
@pytest.mark.real_data
def test_on_real_faces_the_descriptor_knows_people_it_was_never_trained_on(real_data: Path) -> None:
    import tensorflow as tf

    from pipelines.faces import descriptor, features, rivals
    from pipelines.faces.detector import make_detector
    from pipelines.faces.network import grey
    from pipelines.faces.recogniser import Embedder, make_recogniser

    model = descriptor.build_model(weights.tensorflow_js(real_data / "weights", descriptor.MODEL))
    embedder = Embedder(
        model, lambda crops: model(crops, training=False), descriptor.SIDE, descriptor.DIMENSIONS
    )
    recogniser = make_recogniser(embedder, make_detector(real_data / "weights"))
    found = [one for one in rows.find([real_data / "faces" / "orl_faces.zip"]) if one.person <= "s12"]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def look(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen = recogniser.faces(features.canonical(images))
        return embedder.embed(seen["crop"]), grey(seen["crop"])

    embeddings, faces = look(tf.constant([one.read() for one in found]))
    people = np.unique([one.person for one in found], return_inverse=True)[1]
    auc = {}
    for name, vectors in {"descriptor": embeddings.numpy(), "pixels": rivals.pixels(faces.numpy())}.items():
        alike = measures.similarities(vectors.astype(float), np.ones(len(people), bool))
        auc[name] = measures.auc(measures.pairs(alike, people), np.ones(12))
    assert auc["descriptor"] >= 0.995 and auc["pixels"] < 0.95, auc
