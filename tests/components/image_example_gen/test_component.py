"""The component ImageExampleGen: idx pairs, class folders, zips, annotations, keys, and what it refuses."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipelines.base.paths import CHECKOUT

DATA = Path(os.environ.get("VIADUCT_REAL_DATA", CHECKOUT.parent / "shared" / "data"))


def image_gen(**arguments):
    from components.image_example_gen.component import ImageExampleGen

    return ImageExampleGen(**arguments)


def idx_splits(prefix=""):
    from components.image_example_gen import component

    return component.idx_splits(prefix)


def one_split():
    from tfx.proto import example_gen_pb2

    split = example_gen_pb2.SplitConfig.Split(name="all", hash_buckets=1)
    return example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=[split]))


def noise(height, width, channels=1, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_idx(folder, name, count, seed=0, packed=True):
    """An idx pair of `count` 6 x 5 pictures; returns them and their labels."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 6, 5), dtype=np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 10
    pack, ending = (gzip.compress, ".gz") if packed else (bytes, "")
    header = struct.pack(">4I", 0x803, count, 6, 5)
    (folder / f"{name}-images-idx3-ubyte{ending}").write_bytes(pack(header + images.tobytes()))
    header = struct.pack(">2I", 0x801, count)
    (folder / f"{name}-labels-idx1-ubyte{ending}").write_bytes(pack(header + labels.tobytes()))
    return images, labels


def picture_file(pixels, kind):
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    return path


def decoded(tensorflow, row):
    return tensorflow.io.decode_image(row["image"][1][0]).numpy()


def flat(splits):
    return [row for rows in splits.values() for row in rows]


def test_idx_pairs_keep_their_splits_and_every_pixel(folder, execute, rows_of, tensorflow):
    images, labels = write_idx(folder, "train", 30)
    held, _ = write_idx(folder, "t10k", 7, seed=1, packed=False)
    artifact = execute(image_gen(input_base=str(folder), input_config=idx_splits()))
    rows = rows_of(artifact.uri)
    assert (len(rows["train"]), len(rows["eval"])) == (30, 7)
    for image, label, row in zip(images, labels, rows["train"], strict=True):
        assert (decoded(tensorflow, row)[..., 0] == image).all()
        assert row["label"] == ("int64_list", (label,))
    assert rows["eval"][2]["name"][1] == (b"t10k/000002",)
    assert (decoded(tensorflow, rows["eval"][2])[..., 0] == held[2]).all()
    assert artifact.get_string_custom_property("image_shape") == "[6, 5, 1]"
    assert artifact.get_int_custom_property("num_rows_train") == 30


def test_raw_images_are_their_pixels(folder, execute, rows_of):
    images, _ = write_idx(folder, "train", 4)
    gen = image_gen(input_base=str(folder), encoding="raw")
    values = {row["name"][1][0]: row["image"][1][0] for row in flat(rows_of(execute(gen).uri))}
    assert values == {f"train/{n:06d}".encode(): image.tobytes() for n, image in enumerate(images)}


def test_class_folders_of_mixed_formats_become_pngs_with_labels_in_order(
    folder, execute, rows_of, tensorflow
):
    expected = {}
    for number, (klass, name, kind) in enumerate(
        [
            ("dog", "a.png", "PNG"),
            ("cat", "b.ppm", "PPM"),
            ("dog", "sub/c.ppm", "PPM"),
            ("cat", "d.bmp", "BMP"),
        ]
    ):
        pixels = noise(4 + number, 3, 3, number)
        path = folder / klass / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_file(pixels, kind))
        expected[f"{klass}/{name}".encode()] = pixels
    artifact = execute(image_gen(input_base=str(folder), output_config=one_split()))
    rows = flat(rows_of(artifact.uri))
    assert {row["name"][1][0] for row in rows} == set(expected)
    for row in rows:
        name = row["name"][1][0]
        assert row["image"][1][0].startswith(b"\x89PNG")
        assert (decoded(tensorflow, row) == expected[name]).all()
        assert row["label"][1] == (0 if name.startswith(b"cat") else 1,)
    assert artifact.get_string_custom_property("classes") == '["cat", "dog"]'


def test_as_found_leaves_the_files_bytes_alone(folder, execute, rows_of):
    (folder / "7").mkdir()
    data = picture_file(noise(8, 8, 3), "JPEG")
    (folder / "7" / "x.jpg").write_bytes(data)
    gen = image_gen(input_base=str(folder), output_config=one_split(), encoding="as_found")
    (row,) = flat(rows_of(execute(gen).uri))
    assert row["image"][1] == (data,)
    assert row["label"][1] == (7,), "a class named by a number is that label"


def write_zip(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, picture_file(noise(5, 5, 3, number), "PNG"))


TRACKS = [
    f"{klass:05d}/{klass:05d}_{track:05d}_{frame:05d}.png"
    for klass in (3, 14)
    for track in range(8)
    for frame in range(4)
]


def test_frames_of_one_track_never_straddle_splits_and_annotations_become_features(folder, execute, rows_of):
    write_zip(folder / "images.zip", TRACKS)
    lines = [f"{name},{n},{n / 2},{'left' if n % 2 else ''}" for n, name in enumerate(TRACKS)]
    (folder / "annotations.csv").write_text("path,Roi.X1,score,side\n" + "\n".join(lines))
    key = r"(?P<key>\d+/\d+_\d+)_"
    gen = image_gen(input_base=str(folder), key_pattern=key, annotations="annotations.csv")
    rows = rows_of(execute(gen).uri)
    tracks = {split: {row["name"][1][0][:17] for row in rows[split]} for split in rows}
    assert tracks["train"] and tracks["eval"] and not tracks["train"] & tracks["eval"]
    by_name = {row["name"][1][0].decode(): row for row in flat(rows)}
    assert len(by_name) == len(TRACKS)
    assert by_name[TRACKS[5]]["Roi.X1"] == ("int64_list", (5,))
    assert by_name[TRACKS[5]]["score"] == ("float_list", (2.5,))
    assert by_name[TRACKS[5]]["side"] == ("bytes_list", (b"left",))
    assert "side" not in by_name[TRACKS[4]]
    assert by_name[TRACKS[-1]]["label"][1] == (14,)


def test_equal_pictures_meet_in_one_split(folder, execute, rows_of):
    data = [picture_file(noise(3, 3, 1, seed), "PNG") for seed in range(12)]
    for klass in ("0", "1"):
        (folder / klass).mkdir()
        for number, content in enumerate(data):
            (folder / klass / f"{number}.png").write_bytes(content)
    rows = rows_of(execute(image_gen(input_base=str(folder))).uri)
    images = [{row["image"][1][0] for row in split} for split in rows.values()]
    assert all(images) and not images[0] & images[1]


def test_the_launcher_reads_spans_and_notices_an_edited_picture_in_a_class_folder(tmp_path, launch):
    for span in (1, 2):
        (tmp_path / "data" / f"span-{span}" / "0").mkdir(parents=True)
        picture = tmp_path / "data" / f"span-{span}" / "0" / "x.png"
        picture.write_bytes(picture_file(noise(4, 4), "PNG"))
    from tfx.proto import example_gen_pb2

    split = example_gen_pb2.Input.Split(name="all", pattern="span-{SPAN}/*")
    config = example_gen_pb2.Input(splits=[split])
    gen = {"input_base": str(tmp_path / "data"), "input_config": config, "output_config": one_split()}
    (first,) = launch(tmp_path, [image_gen(**gen)], cache=True)
    assert first.custom_properties["span"].int_value == 2
    assert len(launch(tmp_path, [image_gen(**gen)], cache=True)) == 1
    picture.write_bytes(picture_file(noise(9, 9, 1, 5), "PNG"))
    assert len(launch(tmp_path, [image_gen(**gen)], cache=True)) == 2


def spoiled(folder, what):
    """Makes one kind of bad input; returns the component's arguments and words that the error must hold."""
    arguments: dict[str, str] = {}
    if what == "nothing":
        return arguments, ["No picture matches", "idx"]
    if what == "labels gone":
        write_idx(folder, "train", 3)
        (folder / "train-labels-idx1-ubyte.gz").unlink()
        return arguments, ["train-images-idx3-ubyte.gz", "labels", "missing"]
    if what == "idx cut":
        write_idx(folder, "train", 3, packed=False)
        path = folder / "train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-1])
        return arguments, ["train-images-idx3-ubyte", "(3, 6, 5)", "89 bytes"]
    if what == "label count":
        write_idx(folder, "train", 3)
        path = folder / "train-labels-idx1-ubyte.gz"
        path.write_bytes(gzip.compress(struct.pack(">2I", 0x801, 2) + b"\0\1"))
        return arguments, ["3 pictures", "2 labels"]
    if what == "no class":
        write_zip(folder / "a.zip", ["x.png"])
        return arguments, ["a.zip!x.png", "no class folder"]
    if what == "bad zip":
        (folder / "a.zip").write_bytes(b"PK nonsense")
        return arguments, ["a.zip", "not a whole zip"]
    if what == "zip bomb":
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("3/a.png", picture_file(noise(9, 9), "PNG"))
            archive.writestr("3/big.png", bytes(100 << 20))
        return arguments, ["a.zip!3/big.png", "100 MB", "unpack it before"]
    if what == "locked zip":
        write_zip(folder / "a.zip", ["3/x.png"])
        packed = bytearray((folder / "a.zip").read_bytes())
        for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            packed[packed.index(signature) + place] |= 1
        (folder / "a.zip").write_bytes(packed)
        return arguments, ["a.zip!3/x.png", "password"]
    if what == "idx bomb":
        write_idx(folder, "train", 3)
        header = struct.pack(">4I", 0x803, 1000, 400, 400)
        (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(160_000_000)))
        return arguments, ["train-images-idx3-ubyte.gz", "more than 64 MB"]
    if what == "idx claim":
        write_idx(folder, "train", 3, packed=False)
        header = struct.pack(">4I", 0x803, 2**31, 2**20, 2**10)
        (folder / "train-images-idx3-ubyte").write_bytes(header + b"123")
        return arguments, ["train-images-idx3-ubyte", "holds 3 bytes"]
    (folder / "3").mkdir()
    (folder / "3" / "a.png").write_bytes(picture_file(noise(9, 9), "PNG"))
    other = folder / "3" / "b.png"
    other.write_bytes(picture_file(noise(8, 8), "PNG"))
    if what == "broken picture":
        other.write_bytes(other.read_bytes()[:60])
        return arguments, ["3/b.png", "not a whole picture"]
    if what == "pixel bomb":
        other.write_bytes(picture_file(np.zeros((9_000, 9_000), np.uint8), "PNG"))
        return arguments, ["3/b.png", "9000 x 9000 pixels"]
    if what == "pipe":
        os.mkfifo(folder / "3" / "pipe.png")
        return arguments, ["3/pipe.png is a named pipe"]
    if what == "link":
        (folder / "3" / "link.png").symlink_to("gone.png")
        return arguments, ["3/link.png is a link to nothing"]
    if what == "name":
        other.rename(os.fsdecode(os.fsencode(folder) + b"/3/\xff.png"))
        return arguments, ["3/\\udcff.png", "no UTF-8"]
    if what == "stray file":
        (folder / "notes.md").write_text("")
        return arguments, ["notes.md", "neither a picture"]
    if what == "shapes":
        return {"encoding": "raw"}, ["(8, 8, 1)", "(9, 9, 1)", "encoding='png'"]
    if what == "key":
        return {"key_pattern": "(?P<key>track)"}, ["3/", "does not match"]
    if what == "class":
        return {"classes": ["4"]}, ["3/", "class '3'", "['4']"]
    rows = {
        "row gone": "path,x\n3/a.png,1\n",
        "row spare": "path,x\na.png,1\nb.png,2\nc.png,3\n",
        "columns": "x\n1\n",
    }
    (folder / "notes.csv").write_text(rows[what])
    words = {
        "row gone": ["no row", "3/b.png"],
        "row spare": ["c.png", "no picture"],
        "columns": ["names the picture"],
    }
    return {"annotations": "notes.csv"}, ["notes.csv", *words[what]]


@pytest.mark.parametrize(
    "what",
    [
        *("nothing", "labels gone", "idx cut", "label count", "no class", "bad zip", "broken picture"),
        *("zip bomb", "locked zip", "idx bomb", "idx claim", "pixel bomb", "pipe", "link", "name"),
        *("stray file", "shapes", "key", "class", "row gone", "row spare", "columns"),
    ],
)
def test_bad_input_is_refused_by_name(folder, tmp_path, execute, what):
    from components.shards import InputError

    arguments, words = spoiled(folder, what)
    with pytest.raises(InputError) as caught:
        execute(image_gen(input_base=str(folder), **arguments))
    assert all(word in str(caught.value) for word in words), caught.value
    assert not list(tmp_path.glob("examples-*/**/*"))


@pytest.mark.parametrize(
    "bad", [{"encoding": "jpeg"}, {"key_pattern": "("}, {"key_pattern": "(a)"}, {"classes": ["a", "a"]}]
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        image_gen(input_base="x", **bad)


@pytest.mark.real_data
def test_real_traffic_signs_come_with_their_boxes(execute, tensorflow):
    if not (DATA / "traffic_signs").exists():
        pytest.skip(f"{DATA / 'traffic_signs'} is missing; set VIADUCT_REAL_DATA")
    gen = image_gen(
        input_base=str(DATA / "traffic_signs"),
        annotations="annotations.csv",
        key_pattern=r"(?P<key>\d+/\d+_\d+)_",
    )
    artifact = execute(gen)
    assert artifact.get_int_custom_property("num_rows") == 2_580
    files = [str(path) for path in Path(artifact.uri).glob("Split-*/*")]
    for record in tensorflow.data.TFRecordDataset(files, "GZIP").take(50).as_numpy_iterator():
        features = tensorflow.train.Example.FromString(record).features.feature
        height, width, _ = tensorflow.io.decode_png(features["image"].bytes_list.value[0]).shape
        assert (height, width) == (
            features["height"].int64_list.value[0],
            features["width"].int64_list.value[0],
        )
        assert features["Roi.X2"].int64_list.value[0] <= width
        assert features["label"].int64_list.value[0] == features["class_id"].int64_list.value[0]
