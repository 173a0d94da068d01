"""vehicles: a photograph is the same picture however it is stored, and the head is the minimum that it should be."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipelines.base.errors import ProjectError
from pipelines.vehicles import data, drawing, evaluate, head, rows


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    """Another colour in each corner, smooth between: a JPEG of it is nearly it."""
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    return np.stack([255 * down + 0 * across, 255 * across + 0 * down, 128 * (down + across)], 2).astype(
        np.uint8
    )


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def pictures(*images: bytes, side: int = 24) -> np.ndarray:
    import tensorflow as tf

    from pipelines.vehicles.features import pictures

    return pictures(tf.constant(list(images)), side).numpy()


def test_every_way_to_store_a_photograph_gives_the_same_picture() -> None:
    pixels = scene()
    image = Image.fromarray(pixels)
    grey = np.asarray(image.convert("L"))
    plain = pictures(encoded(pixels))[0]
    for name, other in {
        "JPEG": encoded(pixels, "JPEG", quality=98),
        "BMP": encoded(pixels, "BMP"),
        "with transparency": encoded(image.convert("RGBA")),
        "of four inks": encoded(image.convert("CMYK"), "JPEG", quality=98),
    }.items():
        np.testing.assert_allclose(pictures(other)[0], plain, atol=20, err_msg=name)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    np.testing.assert_allclose(pictures(encoded(deep))[0], pictures(encoded(grey))[0], atol=2)
    moving = encoded(image, "GIF", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    np.testing.assert_allclose(pictures(moving)[0], plain, atol=40)
    assert pictures(encoded(pixels[:1, :1])).shape == (1, 24, 24, 3)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["MM", "II"])
def test_a_photograph_is_turned_as_its_note_says_in_either_byte_order(turn: int, order: str) -> None:
    note = Image.Exif()
    note.endian = ">" if order == "MM" else "<"
    note[0x010F] = "a maker of cameras"
    note[0x0112] = turn
    stored = encoded(scene(), "JPEG", quality=98, exif=note.tobytes())
    with Image.open(io.BytesIO(stored)) as image:
        assert image.getexif()[0x0112] == turn
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_allclose(pictures(stored)[0], pictures(encoded(upright))[0], atol=9)


def test_a_broken_note_is_passed_over() -> None:
    note = Image.Exif()
    note[0x0112] = 6
    stored = encoded(scene(), "JPEG", quality=98, exif=note)
    plain = pictures(encoded(scene(), "JPEG", quality=98))[0]
    place = stored.index(b"Exif\0\0") + 6
    for wrong in (b"\xff" * 8, b"MM\0*\xff\xff\xff\xff", b"II*\0\x00\x00\x00\x7f"):
        broken = stored[:place] + wrong + stored[place + 8 :]
        np.testing.assert_allclose(pictures(broken)[0], plain, atol=1)


@pytest.mark.parametrize("wrong", [b"", b"no picture", encoded(scene())[:60], encoded(scene(), "JPEG")[:100]])
def test_what_is_no_picture_fails_with_an_invalid_argument(wrong: bytes) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        pictures(wrong)


def blobs(count: int = 40, width: int = 200, apart: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    labels = np.arange(count) % 2
    return random.normal(0, 1, (count, width)) + apart * labels[:, None] * (np.arange(width) < 20), labels


def test_the_head_is_where_the_penalised_loss_has_no_slope_though_there_are_more_features_than_rows() -> None:
    features, labels = blobs()
    found = head.fit(features, labels, 5)
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6) / np.sqrt(features.shape[1])
    weights = found.weights * (features.std(axis=0) + 1e-6) * np.sqrt(features.shape[1])
    slope = scaled.T @ (found.probability(features) - labels) / len(labels) + found.penalty * weights
    assert np.abs(slope).max() < 1e-5
    assert abs((found.probability(features) - labels).sum()) < 1e-3


def test_every_part_has_both_classes_and_every_row_is_in_one() -> None:
    labels = np.array([0] * 13 + [1] * 11)
    found = np.stack(list(head.parts(labels, 5)))
    assert (found.sum(axis=0) == 1).all()
    assert all({0, 1} <= set(labels[part]) for part in found)


def test_a_row_left_out_has_no_say_in_its_own_score() -> None:
    features, labels = blobs(20, 30)
    told = head.left_out(features, labels, 3)
    others = np.delete(np.arange(20), 4)
    assert told[4] == pytest.approx(
        head.fit(features[others], labels[others], 3).probability(features[[4]])[0]
    )
    # Labels without any sense cannot be told, whatever a head remembers of the others.
    random = np.random.default_rng(3)
    senseless = random.permutation(np.arange(40) % 2)
    right = (head.left_out(random.normal(0, 1, (40, 100)), senseless, 3) > 0.5) == senseless
    assert right.mean() < 0.75


def test_repeated_divisions_judge_what_did_not_train() -> None:
    features, labels = blobs(30, 40, apart=3.0)
    right = head.repeated(features, labels, 3, 6, 0.6)
    assert (np.isnan(right).sum(axis=1) == 18).all() and np.nanmean(right) > 0.95
    assert evaluate._mean_right(right).shape == (30,)


def test_rows_of_both_kinds_are_divided_once_and_equal_files_are_one(tmp_path: Path) -> None:
    data.sample(tmp_path, 40, seed=4)
    copy = tmp_path / "cars" / "again.jpg"
    copy.write_bytes(next((tmp_path / "cars").glob("*.jpg")).read_bytes())
    (tmp_path / "cars" / "notes.txt").write_text("not a picture, and not taken for one")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for split, row in rows.read_rows(sorted(tmp_path.glob("*/*")), {}):
        found[split].append(row)
    counts = {
        split: [sum(row["label"] == label for row in there) for label in (0, 1)]
        for split, there in found.items()
    }
    assert counts == {"train": [12, 12], "eval": [8, 8]}
    names = [{row["name"] for row in there} for there in found.values()]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 40


def test_wrong_data_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"0 different photographs of a bus .*folders buses/ and cars/"):
        list(rows.read_rows([], {}))
    broken = tmp_path / "buses" / "b.jpg"
    broken.parent.mkdir()
    broken.write_bytes(encoded(scene(), "JPEG")[:80])
    with pytest.raises(ProjectError, match=r"buses/b\.jpg cannot be decoded"):
        list(rows.read_rows([broken], {}))


def test_a_drawn_bus_is_longer_and_higher_than_a_drawn_car() -> None:
    random = np.random.default_rng(2)
    looks = {kind: np.array([drawing.look(kind, random) for _ in range(200)]) for kind in ("bus", "car")}
    assert looks["bus"][:, 1].mean() > 1.3 * looks["car"][:, 1].mean()
    drawn = drawing.draw(drawing.look("bus", random), random)
    assert drawn.dtype == np.uint8 and drawn.shape[1:] == (128, 3) and drawn.std() > 15


def test_the_rivals_histogram_is_of_colours_alone() -> None:
    pixels = scene()
    one, turned = evaluate.histogram(encoded(pixels)), evaluate.histogram(encoded(pixels[::-1, ::-1]))
    np.testing.assert_allclose(one, turned)
    assert one.shape == (64,) and (one**2).sum() == pytest.approx(1)


def test_a_source_that_is_down_or_wrong_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zipfile

    def fetch_from(*answers: bytes) -> None:
        there = list(answers)

        def urlopen(url: str, timeout: float) -> io.BytesIO:
            if not there:
                raise OSError("no network here")
            return io.BytesIO(there.pop(0))

        monkeypatch.setattr(data.urllib.request, "urlopen", urlopen)
        data.fetch(tmp_path)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("x-master/Chapter12/data/buses/a.jpg", encoded(scene(), "JPEG"))
    with pytest.raises(ProjectError, match=r"no network here.*--data FOLDER"):
        fetch_from()
    with pytest.raises(ProjectError, match=r"cannot be fetched: .*--data FOLDER"):
        fetch_from(b"<html>moved</html>")
    with pytest.raises(ProjectError, match=r"has sha256 .*expected f409ef4f.*--data FOLDER"):
        fetch_from(archive.getvalue(), b"something else")


@pytest.mark.real_data
@pytest.mark.slow
def test_squeezenets_weights_fit_and_tell_real_buses_from_cars(real_data: Path) -> None:
    import tensorflow as tf

    from pipelines.base import hub
    from pipelines.vehicles.features import pictures

    (file,) = (real_data / "weights" / "squeezenet").glob("*.h5")
    extractor = hub.load(file, "pipelines.vehicles.squeezenet.build")
    found = list(rows.read_rows(sorted((real_data / "vehicles").glob("*/*")), {}))
    labels = np.array([row["label"] for _, row in found])
    images = [row["image"] for _, row in found]
    seen = np.concatenate(
        [
            extractor.features(pictures(tf.constant(images[i : i + 16]), extractor.side))
            for i in range(0, len(images), 16)
        ]
    ).astype(float)
    right = head.repeated(seen, labels, 5, 5, 0.6)
    assert np.nanmean(right) > 0.93
