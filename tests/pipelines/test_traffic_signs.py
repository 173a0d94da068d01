"""traffic_signs: one picture is one array in any format, tracks never straddle splits, metrics are right."""

from __future__ import annotations

import csv
import io
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.base.errors import ProjectError
from pipelines.traffic_signs import data, evaluate, features, non_signs, rows
from pipelines.traffic_signs.features import CLASSES, CROP_SIDE, RIM, SIDE
from pipelines.traffic_signs.signs import SIGNS

UNKNOWN_BOX = (0, 0, 0, 0)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def ppm(pixels: np.ndarray, header: str = "P6\n{width} {height}\n255\n") -> bytes:
    height, width, _ = pixels.shape
    return header.format(width=width, height=height).encode() + pixels.tobytes()


def picture(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def crops(images: Sequence[bytes], boxes: Sequence[Sequence[int]]) -> np.ndarray:
    import tensorflow as tf

    return features.crops(tf.constant(list(images)), tf.constant(boxes, tf.int64)).numpy()


@pytest.mark.parametrize(
    "header",
    [
        "P6\n{width} {height}\n255\n",
        "P6 {width} {height} 255 ",
        "P6\n# made by a camera: 12 34 255\n{width}\t{height}\r\n# again\n255\n",
    ],
)
def test_png_and_ppm_of_the_same_pixels_decode_alike(header: str) -> None:
    import tensorflow as tf

    pixels = picture()
    for encoded in (png(pixels), ppm(pixels, header)):
        np.testing.assert_array_equal(features.decode(tf.constant(encoded)).numpy(), pixels)


def test_pixels_that_look_like_a_header_stay_pixels() -> None:
    import tensorflow as tf

    pixels = np.frombuffer(b"\n# 9 9 255\n\n\n255 2\xff\xfe 5 5\n " + bytes(10), np.uint8)[:36].reshape(
        3, 4, 3
    )
    np.testing.assert_array_equal(features.decode(tf.constant(ppm(pixels))).numpy(), pixels)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"no picture",
        b"P6",
        ppm(picture())[:-1],
        ppm(picture(), "P3\n{width} {height}\n255\n"),
        ppm(picture(), "P6\n{width} {height}\n65535\n"),
        ppm(picture(), "P6\n{width} -{height}\n255\n"),
        b"P6\n99999 99999\n255\n" + bytes(100),
        png(picture())[:200],
    ],
)
def test_what_is_no_picture_fails_with_an_invalid_argument(wrong: bytes) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        crops([wrong], [UNKNOWN_BOX])


def test_the_box_fills_the_middle_of_the_crop_in_grey() -> None:
    pixels = np.zeros((60, 70, 3), np.uint8)
    pixels[10:42, 20:52] = (255, 0, 0)
    (crop,) = crops([png(pixels)], [(20, 10, 51, 41)])
    assert crop.shape == (CROP_SIDE, CROP_SIDE)
    inside = crop[RIM:-RIM, RIM:-RIM]
    # Red's share of luminance in ITU-R BT.601.
    np.testing.assert_allclose(inside, 0.2989 * 255, atol=0.1)
    assert crop[: RIM - 1].max() == 0 and crop[:, : RIM - 1].max() == 0


def test_beyond_the_pictures_edge_the_edge_goes_on() -> None:
    pixels = np.full((20, 20, 3), 80, np.uint8)
    np.testing.assert_allclose(crops([png(pixels)], [(0, 0, 19, 19)]), 80, atol=0.01)


def test_a_box_far_outside_the_picture_is_cut_to_it() -> None:
    encoded = png(picture())
    far = crops([encoded], [(0, 0, 10**12 % 2**31, 2**31 - 1)])
    np.testing.assert_array_equal(far, crops([encoded], [(0, 0, 49, 39)]))


def test_an_unknown_box_is_the_picture_without_the_sets_margin() -> None:
    import tensorflow as tf

    def known(width: int, height: int) -> list[int]:
        box = features.known_box(tf.constant(UNKNOWN_BOX), tf.constant(width), tf.constant(height))
        return box.numpy().tolist()

    assert known(30, 40) == [5, 5, 24, 34]
    assert known(120, 240) == [10, 20, 109, 219]
    assert known(3, 1) == [1, 0, 1, 0]


def test_equalised_values_are_ranks_whatever_the_light() -> None:
    import tensorflow as tf

    grey = np.random.default_rng(1).integers(0, 120, (2, SIDE, SIDE)).astype(np.float32)
    grey[1] = np.sqrt(grey[0] / 120) * 255 // 1
    equalised = features.equalise(tf.constant(grey)).numpy()
    assert equalised.shape == grey.shape
    assert abs(equalised.mean()) < 1e-5 and equalised.std() == pytest.approx(1, abs=0.01)
    flat = grey[0].ravel()
    share = np.array([(flat < value).mean() + (flat == value).mean() / 2 for value in flat])
    np.testing.assert_allclose(equalised[0].ravel(), (share - 0.5) * np.sqrt(12), atol=1e-5)
    assert np.corrcoef(equalised[0].ravel(), equalised[1].ravel())[0, 1] > 0.999


def test_training_pictures_are_moved_and_lit_but_stay_the_same_sign() -> None:
    import tensorflow as tf

    from pipelines.traffic_signs.augmentation import move
    from pipelines.traffic_signs.plates import plate

    tf.random.set_seed(1)
    clean = np.full((CROP_SIDE, CROP_SIDE), 20, np.float32)
    # No entry: a light bar on a dark disc, which small movements leave recognisable.
    clean[RIM:-RIM, RIM:-RIM] = np.asarray(plate(17).convert("L").resize((SIDE, SIDE)))
    moved = move(tf.constant(np.stack([clean] * 64))).numpy()
    assert moved.shape == (64, SIDE, SIDE) and moved.min() >= 0 and moved.max() <= 255
    middle = clean[RIM:-RIM, RIM:-RIM]
    alike = [np.corrcoef(middle.ravel(), one.ravel())[0, 1] for one in moved]
    assert np.mean(alike) > 0.6 and np.std(moved, axis=0).mean() > 10


def write_official(
    folder: Path, pictures: dict[tuple[int, int, int], tuple[np.ndarray, tuple[int, ...]]]
) -> None:
    """The layout of the official archive: class folders of PPM with a GT-*.csv each."""
    lines: dict[int, list[str]] = defaultdict(
        lambda: ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    )
    for (label, track, frame), (pixels, box) in pictures.items():
        target = folder / f"{label:05d}" / f"{track:05d}_{frame:05d}.ppm"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(ppm(pixels))
        height, width, _ = pixels.shape
        lines[label].append(";".join(map(str, (target.name, width, height, *box, label))))
    for label, text in lines.items():
        (folder / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("\r\n".join(text) + "\r\n")


def write_png_edition(
    folder: Path, pictures: dict[tuple[int, int, int], tuple[np.ndarray, tuple[int, ...]]]
) -> None:
    """The other layout: images.zip and annotations.csv."""
    with (
        zipfile.ZipFile(folder / "images.zip", "w") as archive,
        (folder / "annotations.csv").open("w") as file,
    ):
        table = csv.writer(file)
        table.writerow(["path", "width", "height", "class_id", *rows.BOX_COLUMNS])
        for (label, track, frame), (pixels, box) in pictures.items():
            name = f"{label:05d}/{label:05d}_{track:05d}_{frame:05d}.png"
            archive.writestr(name, png(pixels))
            table.writerow([name, pixels.shape[1], pixels.shape[0], label, *box])


@pytest.fixture(scope="module")
def pictures() -> dict[tuple[int, int, int], tuple[np.ndarray, tuple[int, ...]]]:
    return {
        (label, track, frame): (picture(30, 40, 100 * label + 10 * track + frame), (5, 5, 30, 24))
        for label in (0, 12, 42)
        for track in range(4)
        for frame in range(2)
    }


@pytest.mark.parametrize("form", ["folders", "archive"])
def test_the_official_layout_and_the_png_edition_give_the_same_rows(
    form: str, pictures: dict[Any, Any], tmp_path: Path
) -> None:
    official, other = tmp_path / "Images", tmp_path / "png"
    write_official(official, pictures)
    other.mkdir()
    write_png_edition(other, pictures)
    files = sorted(file for file in official.rglob("*") if file.is_file())
    if form == "archive":
        with zipfile.ZipFile(tmp_path / data.ARCHIVE, "w") as archive:
            for file in files:
                archive.write(file, Path("GTSRB/Final_Training/Images") / file.relative_to(official))
        files = [tmp_path / data.ARCHIVE]
    kept = ("box", "label", "category", "size", "brightness")

    def facts(files: Sequence[Path]) -> list[tuple[Any, ...]]:
        found = []
        for split, row in rows.read_rows(files, {}):
            pixels = np.asarray(Image.open(io.BytesIO(row["image"])))
            found.append((split, *(row[key] for key in kept), pixels.tobytes()))
        return sorted(found)

    assert facts(files) == facts([other / "images.zip", other / "annotations.csv"])
    assert len(facts(files)) == len(pictures)


def test_class_folders_are_told_from_archives_with_and_without_spans(
    pictures: dict[Any, Any], tmp_path: Path
) -> None:
    from pipelines.traffic_signs.pipeline import has_class_folders

    for folder in (tmp_path / "plain", tmp_path / "spans" / "span-3"):
        write_official(folder, pictures)
    archives = tmp_path / "archives"
    archives.mkdir()
    write_png_edition(archives, pictures)
    found = [has_class_folders(str(tmp_path / name)) for name in ("plain", "spans", "archives", "nowhere")]
    assert found == [True, True, False, False]


def test_all_frames_of_a_sign_are_in_one_split_and_every_split_has_every_class(tmp_path: Path) -> None:
    data.sample(tmp_path, 400, seed=2)
    seen: dict[str, set[str]] = defaultdict(set)
    classes: dict[str, set[int]] = defaultdict(set)
    for split, row in rows.read_rows(sorted(tmp_path.iterdir()), {}):
        seen[row["name"].rpartition("_")[0]].add(split)
        classes[split].add(row["label"])
    assert set(classes) == set(rows.SPLITS)
    assert all(len(splits) == 1 for splits in seen.values())
    assert all(found == set(range(CLASSES)) for found in classes.values())


def test_wrong_data_is_refused_with_what_was_expected(pictures: dict[Any, Any], tmp_path: Path) -> None:
    def refused(match: str, **files: bytes) -> None:
        paths = []
        for name, content in files.items():
            folder = tmp_path / "00003"
            folder.mkdir(exist_ok=True)
            paths.append(folder / name.replace("__", "."))
            paths[-1].write_bytes(content)
        with pytest.raises(ProjectError, match=match):
            list(rows.read_rows(paths, {}))

    header = b"Filename;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2\n"
    refused("no .png or .ppm", GT__csv=header)
    refused("has no sign box", GT__csv=header, a_1__ppm=ppm(picture()))
    refused("names no class and track", GT__csv=header, nameless__ppm=ppm(picture()))
    refused("line 2 is .*'Roi.X1': 'x'", GT__csv=header + b"a_1.ppm;x;1;2;3\n")
    refused("class 00003 has 1 tracks", GT__csv=header + b"a_1.ppm;1;1;9;9\n", a_1__ppm=ppm(picture()))
    three = header + b"".join(b"%d_0.ppm;1;1;9;9\n" % i for i in range(3))
    refused("is no zip archive", a__zip=b"PK but no archive")
    broken = {f"{i}_0__ppm": b"P6 nonsense" for i in range(3)}
    refused("cannot be decoded", GT__csv=three, **broken)


def test_the_sample_has_every_sign_in_tracks_that_come_nearer(tmp_path: Path) -> None:
    data.sample(tmp_path, 500, seed=3)
    tracks: dict[str, list[int]] = defaultdict(list)
    with (tmp_path / "annotations.csv").open() as file:
        for row in csv.DictReader(file):
            tracks[row["path"].rpartition("_")[0]].append(int(row["width"]))
    assert len(tracks) == CLASSES * 4 and {len(widths) for widths in tracks.values()} == {data.FRAMES}
    assert all(widths == sorted(widths) for widths in tracks.values())


def traits(found: Sequence[rows.Picture]) -> dict[str, float]:
    """Of the signs' boxes: median side, its spread, mean light and its spread, contrast, colour."""
    sides, light, contrast, colour = [], [], [], []
    for one in found:
        pixels = np.asarray(Image.open(io.BytesIO(one.read())).convert("RGB"), np.float32)
        inside = pixels[one.box[1] : one.box[3] + 1, one.box[0] : one.box[2] + 1]
        grey = inside.mean(axis=2)
        sides.append(np.log(inside.shape[0]))
        light.append(grey.mean())
        contrast.append(grey.std() / grey.mean())
        colour.append((inside.max(axis=2) - inside.min(axis=2)).mean() / grey.mean())
    return {
        "side": float(np.exp(np.median(sides))),
        "side_spread": float(np.std(sides)),
        "light": float(np.mean(light)),
        "light_spread": float(np.std(light)),
        "contrast": float(np.mean(contrast)),
        "colour": float(np.mean(colour)),
    }


@pytest.mark.real_data
def test_drawn_signs_have_the_measures_of_real_ones(real_data: Path, tmp_path: Path) -> None:
    data.sample(tmp_path, 500, seed=1)
    ours = traits(rows.find(sorted(tmp_path.iterdir())))
    folder = real_data / "traffic_signs"
    theirs = traits(rows.find([folder / "images.zip", folder / "annotations.csv"])[::4])
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=0.35), (name, ours, theirs)


@pytest.mark.real_data
def test_the_real_subset_is_read_whole_and_split_by_tracks(real_data: Path) -> None:
    folder = real_data / "traffic_signs"
    found = rows.find([folder / "images.zip", folder / "annotations.csv"])
    splits = rows.assign({(one.label, one.track) for one in found})
    counts = np.unique([splits[one.label, one.track] for one in found], return_counts=True)
    shares = dict(zip(counts[0].tolist(), (counts[1] / len(found)).tolist(), strict=True))
    assert len(found) == 60 * CLASSES
    assert shares["eval"] == pytest.approx(rows.EVAL_SHARE, abs=0.02)
    assert shares["tune"] == pytest.approx(rows.TUNE_SHARE, abs=0.02)


def test_metrics_are_what_they_are_by_hand() -> None:
    # Ten rows, two draws; class 1 is said with 0.9 eight times and with 0.6 twice.
    mean = np.zeros((10, CLASSES))
    mean[:, 1], mean[:, 2] = 0.9, 0.1
    mean[8:, 1], mean[8:, 2] = 0.6, 0.4
    labels = np.array([1] * 7 + [2] + [2, 1])
    found = evaluate.measure(np.stack([mean, mean], axis=1), labels)
    assert found["accuracy"] == found["mean_accuracy"] == pytest.approx(0.8)
    assert found["class_accuracy"] == pytest.approx((8 / 8 + 0 / 2) / 2)
    assert found["ece"] == pytest.approx(0.8 * abs(7 / 8 - 0.9) + 0.2 * abs(1 / 2 - 0.6))
    assert found["mutual_information"] == pytest.approx(0, abs=1e-12)
    # The least sure row is wrong; of the surer half the last is the wrong one of the 0.9.
    assert found["unsure_error_rate"] == 1.0
    assert found["example_count"] == 10


def test_draws_that_disagree_have_mutual_information_and_a_lower_mean_accuracy() -> None:
    draws = np.zeros((1, 2, CLASSES))
    draws[0, 0, 5] = draws[0, 1, 6] = 1.0
    found = evaluate.measure(draws, np.array([5]))
    assert found["mean_accuracy"] == 0.5 and found["accuracy"] == 1.0
    assert found["mutual_information"] == pytest.approx(np.log(2)) == found["entropy"]


def test_a_half_without_errors_counts_as_if_it_had_one() -> None:
    right = np.ones(100, bool)
    right[:4] = False
    doubt = np.linspace(1, 0, 100)
    found = evaluate.error_by_doubt(doubt, right)
    assert found == {
        "unsure_error_rate": 0.4,
        "sure_error_rate": 0.0,
        "unsure_error_ratio": pytest.approx(0.4 * 50),
    }
    assert evaluate.error_by_doubt(1 - doubt, right)["unsure_error_ratio"] == 0.0


def test_there_are_as_many_names_and_plates_as_classes() -> None:
    from pipelines.traffic_signs.plates import PLATES, plate

    assert len(SIGNS) == len(PLATES) == CLASSES
    clean = np.stack([np.asarray(plate(label)) for label in range(CLASSES)]).reshape(CLASSES, -1)
    assert len(np.unique(clean, axis=0)) == CLASSES
    assert (clean.reshape(CLASSES, -1, 4)[..., 3] > 0).mean(axis=1).min() > 0.3


def test_a_source_that_is_down_or_wrong_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "mirror" / data.ARCHIVE
    archive.parent.mkdir()
    target = tmp_path / "data"
    target.mkdir()

    def fetch_from(answer: bytes | None) -> None:
        def urlopen(url: str, timeout: float) -> io.BytesIO:
            assert url == data.PROJECT.data.url + data.ARCHIVE
            if answer is None:
                raise OSError("no network here")
            return io.BytesIO(answer)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        data.fetch(target)

    with pytest.raises(ProjectError, match=r"no network here.*--data FOLDER"):
        fetch_from(None)
    with pytest.raises(ProjectError, match=r"is no zip archive.*--data FOLDER"):
        fetch_from(b"<html>moved</html>")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("GTSRB/Final_Training/Images/00000/00000_00000.ppm", ppm(picture()))
    with pytest.raises(ProjectError, match=r"has 1 pictures.*expected 39,209.*--data FOLDER"):
        fetch_from(archive.read_bytes())


def test_pictures_that_are_no_signs_are_the_same_each_time_and_can_be_decoded() -> None:
    import tensorflow as tf

    signs = [png(np.random.default_rng(i).integers(0, 256, (40, 44, 3)).astype(np.uint8)) for i in range(3)]
    made = list(non_signs.make(signs, each=3))
    assert made == list(non_signs.make(signs, each=3))
    kinds = [kind for kind, _ in made]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
        [*non_signs.KINDS, "shuffled sign"], 3
    )
    images = [image for _, image in made]
    assert len(set(images)) == len(images)
    crops = features.crops(tf.constant(images), tf.zeros([len(images), 4], tf.int64))
    assert crops.shape == (len(images), CROP_SIDE, CROP_SIDE) and np.asarray(crops).std(axis=(1, 2)).min() > 1


def test_a_spoiled_sign_keeps_its_light_or_is_noise_and_is_no_sign() -> None:
    import tensorflow as tf

    from pipelines.traffic_signs import augmentation
    from pipelines.traffic_signs.plates import plate

    tf.random.set_seed(3)
    sign = np.tile(np.linspace(20, 220, SIDE, dtype=np.float32), (SIDE, 1))
    shuffled = augmentation._shuffled(tf.constant(sign[None])).numpy()[0]
    assert sorted(shuffled.ravel()) == sorted(sign.ravel()) and not np.array_equal(shuffled, sign)
    texture = augmentation._texture(tf.constant(sign[None])).numpy()[0]
    assert texture.mean() == pytest.approx(sign.mean(), abs=0.1)
    spectrum = [np.abs(np.fft.fft2(picture - picture.mean())) for picture in (sign, texture)]
    np.testing.assert_allclose(*spectrum, rtol=0.02, atol=2.0)
    sign = np.asarray(plate(17).convert("L").resize((SIDE, SIDE)), np.float32)
    spoiled = augmentation.spoil(tf.constant(np.stack([sign] * 60))).numpy()
    assert spoiled.shape == (60, SIDE, SIDE) and spoiled.min() >= 0 and spoiled.max() <= 255
    assert max(abs(np.corrcoef(sign.ravel(), one.ravel())[0, 1]) for one in spoiled) < 0.7


def test_training_rows_are_followed_by_their_share_of_spoiled_ones() -> None:
    import tensorflow as tf

    from pipelines.traffic_signs import model

    rows = {features.CROP_KEY: tf.random.uniform([8, CROP_SIDE, CROP_SIDE], 0, 255, seed=1)}
    labels = tf.constant(np.arange(8)[:, None], tf.int64)
    pictures, told = model.augmented(0.25, rows, labels)
    assert pictures.shape == (10, SIDE, SIDE)
    assert told.numpy().ravel().tolist() == [*range(8), model.NO_SIGN, model.NO_SIGN]
    assert model.augmented(0.0, rows, labels)[1].shape == (8, 1)


def test_what_refusing_costs_is_counted_in_signs_and_in_right_ones() -> None:
    draws = np.full((4, 2, CLASSES), 1 / CLASSES)
    draws[:2] = 0
    draws[:2, :, 7] = 1.0
    draws[2, :, 3] += 1e-6
    found = evaluate.measure(draws, np.array([7, 8, 3, 5]), most=1.0)
    assert found["signs_refused"] == 0.5 and found["right_signs_refused"] == 0.25
    assert evaluate.measure(draws, np.array([7, 8, 3, 5]))["signs_refused"] == 0.0
    kinds, mean = np.array(["noise", "noise", "scene", "scene"]), draws.mean(axis=1)
    others = evaluate.Others(np.array([b""] * 4, object), kinds, mean)
    assert others.measure(np.ones(4, int), 1.0) == {
        "": {"non_signs_taken": 0.5, "non_signs_sure": 0.5},
        "noise": {"non_signs_taken": 1.0, "non_signs_sure": 1.0},
        "scene": {"non_signs_taken": 0.0, "non_signs_sure": 0.0},
    }
    assert set(others.measure(np.array([1, 0, 0, 0]), 1.0)) == {"", "noise"}, "what was not drawn is left out"
