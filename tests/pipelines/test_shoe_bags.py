"""shoe_bags: rows of both kinds of data, pictures of any format, and measures that are what they say."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.base.errors import ProjectError
from pipelines.base.registry import get
from pipelines.shoe_bags import data, drawing, evaluate, features, judge, measures, pipeline, rivals, rows
from pipelines.shoe_bags.features import BAG, SHOE

RANDOM = np.random.default_rng(4)


def encoded(pixels: np.ndarray, kind: str = "PNG", mode: str = "", **options: Any) -> bytes:
    file, picture = io.BytesIO(), Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def grey(height: int = 28, width: int = 28, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def seen(image: bytes, side: int = 32, channels: int = 1) -> np.ndarray:
    import tensorflow as tf

    return features.picture(tf.constant(image), side, channels).numpy()


def test_a_small_picture_stays_as_it_is_in_the_middle_of_its_paper() -> None:
    pixels = grey()
    for image in (encoded(pixels), encoded(pixels, "BMP", "RGB"), encoded(pixels, "PNG", "LA")):
        found = seen(image)
        np.testing.assert_array_equal(found[2:-2, 2:-2, 0], pixels)
        assert found.shape == (32, 32, 1) and found.sum() == pixels.sum()
    colour = seen(encoded(pixels), 64, 3)
    np.testing.assert_array_equal(colour[18:-18, 18:-18], np.repeat(pixels[..., None], 3, axis=2))
    assert (colour[:18] == 255).all()


def test_a_large_picture_is_shrunk_with_its_sides_in_proportion() -> None:
    found = seen(encoded(np.full((30, 120), 200, np.uint8)))[..., 0]
    assert (found[12:20] == 200).all() and not found[:12].any() and not found[20:].any()
    line = seen(encoded(np.full((1, 3000), 200, np.uint8)))
    assert line.max() == 200 and (line > 0).sum() == 32


@pytest.mark.parametrize(
    ("image", "light"),
    [
        (encoded(np.full((1, 1), 255, np.uint8)), 255 / 1024),
        (encoded(np.full((28, 28), 40_000, np.uint16)), 155 * 784 / 1024),
        (encoded(np.full((40, 40, 3), 120, np.uint8), "JPEG", "CMYK", quality=95), 120),
        (
            encoded(
                np.full((40, 40), 90, np.uint8),
                "GIF",
                save_all=True,
                append_images=[Image.fromarray(np.full((40, 40), 250, np.uint8))],
            ),
            90,
        ),
    ],
)
def test_unusual_pictures_are_taken(image: bytes, light: float) -> None:
    assert seen(image).mean() == pytest.approx(light, abs=3)


@pytest.mark.parametrize("wrong", [b"", b"no picture", encoded(grey())[:200], encoded(grey(), "WEBP")])
def test_what_is_no_picture_fails_with_an_invalid_argument(wrong: bytes) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        features.pictures(tf.constant([wrong]), 32, 1)


def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_unpacked() -> None:
    import tensorflow as tf

    bomb = bytearray(encoded(grey()))
    bomb[16:24] = (20_000).to_bytes(4, "big") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 50,000,000 pixels"):
        features.pictures(tf.constant([bytes(bomb)]), 32, 1)


def test_a_domain_is_a_shoe_or_a_bag() -> None:
    import tensorflow as tf

    assert features.is_bag(tf.constant([["bag"], ["shoe"]])).numpy().tolist() == [[1], [0]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="none of 'shoe', 'bag'"):
        features.is_bag(tf.constant(["bag", "hat"]))


def test_the_sample_has_both_domains_in_every_split_and_all_kinds(tmp_path: Path) -> None:
    data.sample(tmp_path, 420, seed=2)
    found = list(rows.read_rows(sorted(tmp_path.iterdir()), {}))
    assert Counter(row["kind"] for _, row in found) == {
        "bag": 210,
        "sandal": 70,
        "sneaker": 70,
        "ankle boot": 70,
    }
    assert {(split, row["domain"]) for split, row in found} == {
        (split, domain) for split in rows.SPLITS for domain in (SHOE, BAG)
    }
    assert {row["name"][:4] for split, row in found if split == "eval"} == {"t10k"}
    pixels = [np.asarray(Image.open(io.BytesIO(row["image"]))) for _, row in found]
    assert {one.shape for one in pixels} == {(28, 28)} and len({one.tobytes() for one in pixels}) == 420


def test_a_zip_of_the_four_files_gives_the_same_rows(tmp_path: Path) -> None:
    data.sample(tmp_path, 60, seed=3)
    files = sorted(tmp_path.iterdir())
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in files:
            archive.write(file, f"deep/{file.name}")
    packed = sorted(rows.read_rows([tmp_path / "all.zip"], {}), key=str)
    assert packed == sorted(rows.read_rows(files, {}), key=str) and len(packed) == 60


def test_drawn_shoes_and_bags_vary_and_lie_on_black() -> None:
    drawn = {
        kind: np.stack([drawing.shoe(kind, RANDOM) for _ in range(20)]) for kind in ("sandal", "sneaker")
    }
    drawn["bag"] = np.stack([drawing.bag(RANDOM) for _ in range(20)])
    for kind, pixels in drawn.items():
        assert np.median(pixels[:, 0]) == 0 and (pixels.max(axis=(1, 2)) > 60).all(), kind
        assert measures.mean_distance(measures.distances(pixels), np.ones(20)) > 3, kind


def pair(photo_left: bool, side: int = 256) -> bytes:
    """A red square on white beside its edges."""
    photo = np.full((side, side, 3), 255, np.uint8)
    photo[side // 4 : -side // 4, side // 4 : -side // 4] = (180, 40, 60)
    edges = np.full((side, side, 3), 255, np.uint8)
    edges[side // 4, side // 4 : -side // 4] = 0
    return encoded(
        np.concatenate([photo, edges] if photo_left else [edges, photo], axis=1), "JPEG", quality=95
    )


@pytest.mark.parametrize("form", ["folders", "tar", "zip"])
def test_the_photograph_of_a_pair_is_found_on_either_side(form: str, tmp_path: Path) -> None:
    members = {
        f"{name}/{part}/{number}_AB.jpg": pair(number % 2 == 0)
        for name in rows.SETS
        for part in ("train", "val")
        for number in (1, 2)
    }
    members["edges2shoes/readme.txt"] = b"no picture"
    for name, content in members.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    files = sorted(tmp_path.rglob("*.*"))
    assert pipeline.pattern_of(tmp_path) == "*/*/*.jpg"
    if form != "folders":
        packed = tmp_path / "packed"
        packed.mkdir()
        for name in rows.SETS:
            if form == "tar":
                with tarfile.open(packed / f"{name}.tar.gz", "w:gz") as archive:
                    archive.add(tmp_path / name, name)
            else:
                with zipfile.ZipFile(packed / f"{name}.zip", "w") as zipped:
                    for member in sorted((tmp_path / name).rglob("*.jpg")):
                        zipped.write(member, member.relative_to(tmp_path))
        files = sorted(packed.iterdir())
        assert pipeline.pattern_of(packed) == "*"
    found = list(rows.read_rows(files, {}))
    assert Counter((split == "eval", row["domain"]) for split, row in found) == dict.fromkeys(
        [(True, SHOE), (True, BAG), (False, SHOE), (False, BAG)], 2
    )
    for _, row in found:
        pixels = np.asarray(Image.open(io.BytesIO(row["image"])))
        assert pixels.shape == (64, 64, 3)
        assert np.abs(pixels[32, 32].astype(int) - (180, 40, 60)).max() < 6 and pixels[2, 2].min() > 249


@pytest.mark.real_data
def test_the_real_pairs_give_photographs(real_data: Path) -> None:
    files = sorted((real_data / "shoe_edges" / "pairs_photo_left_edge_right").glob("*.jpg"))
    assert len(files) == 16
    for file in files:
        found = np.asarray(Image.open(io.BytesIO(rows.photograph(file.read_bytes(), file.name))))
        with Image.open(file) as both:
            left = both.convert("RGB").crop((0, 0, 256, 256)).resize((64, 64), Image.Resampling.BOX)
        np.testing.assert_array_equal(found, np.asarray(left))
        assert rows.PAIR.search(file.name)


@pytest.mark.real_data
def test_the_real_subset_is_read_whole(real_data: Path) -> None:
    files = sorted((real_data / "fashion_mnist").iterdir())
    count = Counter((split, row["domain"]) for split, row in rows.read_rows(files, {}))
    assert count["train", SHOE] + count["tune", SHOE] == 18_000
    assert count["train", BAG] + count["tune", BAG] == 6_000
    assert 1_300 < count["eval", SHOE] < 1_700 and 400 < count["eval", BAG] < 600


def test_wrong_data_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    from pipelines.base import idx

    with pytest.raises(ProjectError, match=r"no shoe in .*expected Fashion-MNIST's four idx files"):
        list(rows.read_rows([tmp_path / "table.csv"], {}))
    images, labels = (tmp_path / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    idx.write(images, np.zeros((3, 28, 28)))
    with pytest.raises(ProjectError, match=r"train-labels-idx1-ubyte.gz is missing beside"):
        list(rows.read_rows([images], {}))
    idx.write(labels, np.array([5, 7, 0]))
    with pytest.raises(ProjectError, match="no bag in"):
        list(rows.read_rows([images, labels], {}))
    with pytest.raises(ProjectError, match="is 40 x 28; expected a photograph and its edges side by side"):
        rows.photograph(encoded(grey(28, 40)), "edges2shoes/train/1")
    with pytest.raises(ProjectError, match="edges2shoes/train/1 cannot be decoded"):
        rows.photograph(b"no picture", "edges2shoes/train/1")
    (tmp_path / "edges2shoes.tar.gz").write_bytes(b"<html>moved</html>")
    with pytest.raises(ProjectError, match="is no whole tar archive"):
        list(rows.read_rows([tmp_path / "edges2shoes.tar.gz"], {}))


def test_a_mean_distance_is_that_of_all_pairs_however_pictures_are_drawn() -> None:
    pixels = RANDOM.integers(0, 256, (7, 4, 4, 1), dtype=np.uint8)
    apart = measures.distances(pixels)
    for drawn in (np.ones(7), np.array([2, 0, 1, 3, 0, 1, 1])):
        pairs = [
            (drawn[i] * drawn[j], np.linalg.norm((pixels[i].astype(float) - pixels[j]) / 255))
            for i in range(7)
            for j in range(7)
            if i != j
        ]
        weights, far = np.array(pairs).T
        assert measures.mean_distance(apart, drawn) == pytest.approx(weights @ far / weights.sum(), rel=1e-4)
    assert measures.mean_distance(measures.distances(np.repeat(pixels[:1], 5, axis=0)), np.ones(5)) == 0
    assert np.isnan(measures.mean_distance(apart[:1, :1], np.ones(1)))


def test_the_frechet_distance_is_known_where_it_can_be_reckoned_by_hand() -> None:
    def of(mean: list[float], deviations: list[float]) -> tuple[np.ndarray, np.ndarray]:
        return np.array(mean), np.diag(np.square(deviations))

    assert measures.frechet(of([0, 0], [1, 2]), of([3, 4], [2, 2])) == pytest.approx(25 + 1)
    assert measures.frechet(of([1, 1], [1, 1]), of([1, 1], [0, 0])) == pytest.approx(2)
    values = RANDOM.normal(size=(50, 3)) @ RANDOM.normal(size=(3, 3))
    drawn = RANDOM.integers(0, 3, 50)
    mean, spread = measures.moments(values, drawn)
    again = np.repeat(values, drawn, axis=0)
    np.testing.assert_allclose(mean, again.mean(axis=0))
    np.testing.assert_allclose(spread, np.cov(again.T, bias=True))
    assert measures.frechet((mean, spread), (mean, spread)) == pytest.approx(0, abs=1e-8)


def test_rivals_are_what_their_names_say() -> None:
    own, other = (RANDOM.integers(0, 256, (9, 4, 4, 1), dtype=np.uint8) for _ in range(2))
    given = own[:3]
    same = rivals.made("identity", given, own, other)
    assert (same.translations == given).all() and (same.reconstructions == given).all()
    mean = rivals.made("mean_image", given, own, other)
    np.testing.assert_array_equal(mean.translations[2], np.round(other.mean(axis=0)))
    np.testing.assert_array_equal(mean.reconstructions[0], np.round(own.mean(axis=0)))
    near = rivals.made("nearest", given, own, other)
    for picture, found in zip(given, near.translations, strict=True):
        apart = [np.square(picture.astype(float) - one).sum() for one in other]
        np.testing.assert_array_equal(found, other[int(np.argmin(apart))])
    assert all(any((back == one).all() for one in own) for back in near.reconstructions)


def test_pictures_of_neither_domain_are_mixtures_means_and_disorder() -> None:
    pixels = np.concatenate([np.full((30, 8, 8, 1), 200, np.uint8), np.full((30, 8, 8, 1), 100, np.uint8)])
    domains = np.repeat([SHOE, BAG], 30)
    made = judge.spoil(RANDOM, pixels, domains)
    mixed, means, moved = made[:10], made[10:20], made[20:]
    assert len(made) == 30 and mixed.min() > 134 and mixed.max() < 166
    assert set(np.unique(means)) == {100, 200} and set(np.unique(moved)) <= {100, 200}
    shown = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    moved = judge.disordered(RANDOM, shown)
    assert sorted(moved.ravel()) == list(range(64)) and (moved != shown).any()
    assert {tuple(moved[0, i : i + 2, j : j + 2, 0].ravel()) for i in (0, 2, 4, 6) for j in (0, 2, 4, 6)} == {
        tuple(shown[0, i : i + 2, j : j + 2, 0].ravel()) for i in (0, 2, 4, 6) for j in (0, 2, 4, 6)
    }


def test_bars_hold_a_rival_to_all_that_they_hold_a_model_to() -> None:
    for profile in ("quick", "full"):
        bars = get("shoe_bags").bars(profile)
        good = {bar.metric: bar.bound for bar in bars if bar.metric != evaluate.RIVALS_PASSING}
        assert evaluate.passes(good, bars) and len(good) == 8
        for metric in good:
            assert not evaluate.passes({**good, metric: float("nan")}, bars)
