"""faces: one picture is one array in any format, people never straddle splits, metrics are right, people differ."""

from __future__ import annotations

import io
import urllib.request
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.base.errors import ProjectError
from pipelines.faces import data, drawing, features, measures, rivals, rows

EVERYBODY = np.ones(50)


def encoded(pixels: np.ndarray, kind: str, mode: str = "", **options: Any) -> bytes:
    file, picture = io.BytesIO(), Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def grey(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def decoded(image: bytes) -> np.ndarray:
    import tensorflow as tf

    return features.decode(tf.constant(image)).numpy()


def test_every_lossless_format_of_the_same_pixels_decodes_alike() -> None:
    pixels = grey()
    colour = np.stack([pixels] * 3, axis=2)
    ppm = b"P6\n# made by hand\n50 40\n255\n" + colour.tobytes()
    sixteen = encoded(pixels.astype(np.uint16) * 257, "PNG")
    other = Image.fromarray(grey(seed=1))
    animated = encoded(pixels, "GIF", save_all=True, append_images=[other])
    for image in (data.pgm(pixels), ppm, encoded(pixels, "PNG"), encoded(colour, "BMP"), sixteen, animated):
        np.testing.assert_array_equal(decoded(image), colour)


def test_a_cmyk_picture_is_nearly_the_rgb_one() -> None:
    smooth = np.tile(np.linspace(60, 200, 64, dtype=np.uint8), (64, 1))
    colour = np.stack([smooth, smooth // 2 + 60, 255 - smooth], axis=2)
    found = decoded(encoded(colour, "JPEG", "CMYK", quality=98))
    assert np.abs(found.astype(int) - colour).mean() < 3


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"no picture",
        b"P5",
        b"P5 3 3 255\n" + bytes(8),
        b"P5 2 2 65535\n" + bytes(8),
        b"P5 99999 99999 255\n" + bytes(10),
        b"ID3\x03" + bytes(100),
        encoded(grey(), "PNG")[:200],
        encoded(grey(), "JPEG")[:300],
        encoded(grey(), "WEBP"),
    ],
)
def test_what_is_no_picture_fails_with_an_invalid_argument(wrong: bytes) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        features.canonical(tf.constant([wrong]))


def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_unpacked() -> None:
    import tensorflow as tf

    bomb = bytearray(encoded(grey(), "PNG"))
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 50,000,000 pixels"):
        features.canonical(tf.constant([bytes(bomb)]))


def test_large_pictures_become_smaller_and_small_ones_stay() -> None:
    import tensorflow as tf

    large = np.full((10, 2 * features.LONGEST, 3), 90, np.uint8)
    assert features.bounded(tf.constant(large)).shape == (5, features.LONGEST, 3)
    line = np.full((1, 3000, 3), 90, np.uint8)
    assert features.bounded(tf.constant(line)).shape == (1, features.LONGEST, 3)
    small = np.stack([grey()] * 3, axis=2)
    np.testing.assert_array_equal(features.bounded(tf.constant(small)), small)
    (png,) = features.canonical(tf.constant([data.pgm(grey())])).numpy()
    np.testing.assert_array_equal(features.pixels(tf.constant(png)).numpy(), small)


def test_everybody_is_in_one_split_with_all_pictures(tmp_path: Path) -> None:
    data.sample(tmp_path, 200, seed=2)
    seen: dict[str, set[str]] = defaultdict(set)
    count: dict[str, int] = defaultdict(int)
    for split, row in rows.read_rows(sorted(tmp_path.iterdir()), {}):
        seen[row["person"]].add(split)
        count[split] += 1
        assert row["name"].startswith(row["person"] + "/")
    assert len(seen) == 25 and all(len(splits) == 1 for splits in seen.values())
    assert set(count) == set(rows.SPLITS) and sum(count.values()) == 200


def test_an_archive_and_its_unpacked_folders_give_the_same_rows(tmp_path: Path) -> None:
    from pipelines.faces.pipeline import has_person_folders

    data.sample(tmp_path, 64, seed=1)
    with zipfile.ZipFile(tmp_path / "drawn_faces.zip") as archive:
        archive.extractall(tmp_path / "att_faces")
    found = [
        has_person_folders(folder) for folder in (tmp_path, tmp_path / "att_faces", tmp_path / "nowhere")
    ]
    assert found == [False, True, False]
    files = sorted(file for file in (tmp_path / "att_faces").rglob("*") if file.is_file())
    assert list(rows.read_rows(files, {})) == list(rows.read_rows([tmp_path / "drawn_faces.zip"], {}))


def test_wrong_data_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    def refused(match: str, members: dict[str, bytes]) -> None:
        with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(ProjectError, match=match):
            list(rows.read_rows([tmp_path / "faces.zip"], {}))

    picture = data.pgm(grey())
    refused(r"no \.pgm", {"readme.txt": b""})
    refused("in no person's folder", {"1.pgm": picture})
    refused("5 people; expected 6 or more", {f"p{i}/1.pgm": picture for i in range(5)})
    refused("p0/1.pgm comes twice", {"a/p0/1.pgm": picture, "b/p0/1.pgm": picture})
    refused(r"p\d/1.pgm cannot be decoded", {f"p{i}/1.pgm": b"P5 nonsense" for i in range(8)})
    (tmp_path / "faces.zip").write_bytes(b"PK but no archive")
    with pytest.raises(ProjectError, match="is no zip archive"):
        rows.find([tmp_path / "faces.zip"])


def test_drawn_people_stay_themselves_and_differ_from_each_other() -> None:
    random = np.random.default_rng(3)
    people = [drawing.person(random) for _ in range(12)]
    still = drawing.moment(people[0], np.random.default_rng(0))._replace(noise=0.0, glasses=False)
    shown = np.stack([drawing.draw(someone, still, random) for someone in people]).astype(float)
    again = np.stack([drawing.draw(someone, still, random) for someone in people]).astype(float)
    np.testing.assert_array_equal(shown, again)
    apart = np.abs(shown[:, None] - shown[None]).mean(axis=(2, 3))
    assert apart[np.triu_indices(12, 1)].min() > 3
    moments = [drawing.moment(people[0], random) for _ in range(8)]
    pictures = np.stack([drawing.draw(people[0], now, random) for now in moments]).astype(float)
    assert pictures.shape == (8, drawing.HEIGHT, drawing.WIDTH) and pictures.std(axis=0).mean() > 20


@pytest.mark.real_data
def test_drawn_pictures_have_the_measures_of_real_ones(real_data: Path, tmp_path: Path) -> None:
    data.sample(tmp_path, 240, seed=1)
    traits = []
    for file in (tmp_path / "drawn_faces.zip", real_data / "faces" / "orl_faces.zip"):
        found = [np.asarray(Image.open(io.BytesIO(one.read())), np.float32) for one in rows.find([file])]
        assert {one.shape for one in found} == {(drawing.HEIGHT, drawing.WIDTH)}
        middles = np.stack(found)[:, 14:-14, 11:-11]
        traits.append((middles.mean(), middles.std(axis=(1, 2)).mean(), middles.std(axis=0).mean()))
    for ours, theirs in zip(*traits, strict=True):
        assert ours == pytest.approx(theirs, rel=0.45), traits


@pytest.mark.real_data
def test_the_real_subset_is_read_whole_and_split_by_people(real_data: Path) -> None:
    found = list(rows.read_rows([real_data / "faces" / "orl_faces.zip"], {}))
    people = {row["person"]: split for split, row in found}
    assert len(found) == 288 and len(people) == 36
    assert sorted(set(people.values())) == sorted(rows.SPLITS)


def brute_auc(scores: np.ndarray, same: np.ndarray, weight: np.ndarray) -> float:
    above = scores[same][:, None] - scores[~same][None]
    pairs = weight[same][:, None] * weight[~same][None]
    return float(((above > 0) + 0.5 * (above == 0)).ravel() @ pairs.ravel() / pairs.sum())


def test_the_area_under_the_curve_is_the_share_of_right_orders_however_people_are_drawn() -> None:
    random = np.random.default_rng(5)
    people = np.repeat(np.arange(6), 4)
    vectors = np.round(random.normal(size=(24, 3)) + people[:, None] * 0.3, 1)
    alike = np.round(measures.similarities(vectors, np.ones(24, bool)), 1)
    first, second = np.triu_indices(24, 1)
    same = people[first] == people[second]
    for drawn in (np.ones(6), np.array([2, 0, 1, 3, 0, 1])):
        weight = drawn[people[first]] * np.where(same, 1, drawn[people[second]])
        expected = brute_auc(alike[first, second], same, weight)
        assert measures.auc(measures.pairs(alike, people), drawn) == pytest.approx(expected)
    of = people < 2
    kept = of[first] | of[second]
    expected = brute_auc(alike[first, second][kept], same[kept], np.ones(kept.sum()))
    assert measures.auc(measures.pairs(alike, people, of), np.ones(6)) == pytest.approx(expected)
    assert np.isnan(measures.auc(measures.pairs(alike, people), np.array([0, 0, 1, 0, 0, 0])))


def test_probes_meet_galleries_of_three_and_never_themselves() -> None:
    people = np.repeat([0, 1, 2], [5, 4, 3])
    # Pictures of a person are alike by 0.9, of others by 0.1 and more; picture 4 looks like person 1.
    alike = np.where(people[:, None] == people[None], 0.9, 0.1)
    alike[4, 5:9] = alike[5:9, 4] = 0.95
    asked = measures.probes(alike, people)
    # Five turns with two probes of person 0, four with one of person 1; person 2 is enrolled alone.
    assert np.bincount(asked.person, minlength=3).tolist() == [10, 4, 0]
    mistaken = asked.own <= asked.other
    assert set(asked.picture[mistaken]) == {4, *asked.picture[mistaken & (asked.person == 1)]}
    assert measures.identification(asked, np.array([0, 1, 1])) == pytest.approx(
        1 - mistaken[asked.person == 1].mean()
    )
    assert measures.found(asked, np.ones(3), 0.95) == 0.0


def test_the_threshold_lets_no_more_strangers_in_than_it_may() -> None:
    random = np.random.default_rng(7)
    count = 300
    asked = measures.Probes(
        np.arange(count), np.arange(count) % 50, random.uniform(0.5, 1, count), random.uniform(0, 0.8, count)
    )
    for accepts in (0.0, 0.01, 0.05):
        at = measures.threshold(asked, EVERYBODY, accepts)
        assert measures.accepted(asked, EVERYBODY, at) <= accepts
        assert measures.accepted(asked, EVERYBODY, np.nextafter(at, -1)) > accepts
    assert measures.found(asked, EVERYBODY, 0.8) == pytest.approx(np.mean(asked.own >= 0.8))


def test_a_face_that_was_not_found_is_like_nobody() -> None:
    vectors = np.eye(4)
    alike = measures.similarities(vectors, np.array([True, True, True, False]))
    np.testing.assert_allclose(np.diag(alike), [1, 1, 1, measures.NOTHING])
    assert (alike[3] == measures.NOTHING).all() and alike[0, 1] == pytest.approx(0)


def test_eigenfaces_keep_what_varies_and_pixels_do_not_mind_the_light() -> None:
    random = np.random.default_rng(2)
    train = random.normal(size=(30, 1, 1)) * random.normal(size=(1, 64, 64)) + 5
    made = rivals.fitted(train)
    assert made["eigenfaces"](train).shape[1] == 1
    vectors = made["pixels"](train)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)


def test_a_source_that_is_down_or_wrong_is_named_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = io.BytesIO()
    with zipfile.ZipFile(good, "w") as archive:
        for number in range(data.OFFICIAL_PICTURES):
            archive.writestr(f"s{number // 10 + 1}/{number % 10 + 1}.pgm", data.pgm(grey(3, 3, number)))

    def fetch_from(pictures: bytes | None, other: bytes) -> None:
        def urlopen(url: str, timeout: float) -> io.BytesIO:
            if pictures is None:
                raise OSError("no network here")
            return io.BytesIO(pictures if url == data.PROJECT.data.url else other)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        data.fetch(tmp_path)

    with pytest.raises(ProjectError, match=r"no network here.*--data FOLDER"):
        fetch_from(None, b"")
    with pytest.raises(ProjectError, match=r"is no zip archive.*--data FOLDER"):
        fetch_from(b"<html>moved</html>", b"")
    with pytest.raises(ProjectError, match=r"pnet.lz4 has sha256 .*; expected ea6b.*--set weights"):
        fetch_from(good.getvalue(), b"other weights")
