"""What a worker does with one task: read its pictures, choose their splits, write them as shards.

Results are plain dictionaries; bad input comes back as an entry "errors" (see shards.Write).
"""

from __future__ import annotations

import dataclasses
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components import splitting, unpacking
from components.arrow_example_gen.reading import kinds
from components.arrow_example_gen.reading.files import open_raw
from components.arrow_example_gen.reading.kinds import Kind
from components.image_example_gen import pictures
from components.image_example_gen.annotating import Row
from components.image_example_gen.finding import IdxPair, Picture
from components.image_example_gen.options import Options
from components.progress import Counter
from components.records import ShardWriter
from components.shards import Facts, InputError

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES = ("image", "label", "name")
# The last split, where the options ask for one; its rows are taken from those of the first input split.
TUNE = "tune"
_BATCH = 1024
_BATCH_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class Task:
    """An idx pair, or pictures with their annotation rows. `split` is the index of the input split."""

    number: int
    split: int
    pair: IdxPair | None = None
    pictures: tuple[Picture, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all tasks share. `classes` None: class names are the labels. `columns`: kinds of the
    annotations."""

    options: Options
    classes: tuple[str, ...] | None
    columns: Mapping[str, Kind]
    buckets: tuple[int, ...]
    split_count: int
    total: int | None
    folder: str


@dataclasses.dataclass
class Item:
    """One picture on its way: encoded bytes and what belongs to it."""

    image: bytes
    label: int
    name: str
    row: Row
    shape: tuple[int, int, int]
    where: str


def write(task: Task, plan: Plan, rows: Counter) -> Facts:
    """{"task", "shards", "rows", "shape": [h, w, c] or None where they differ, "where", "errors"}."""
    result: Facts = {"task": task.number, "shards": [], "rows": [], "shape": None, "where": "", "errors": []}
    shards = ShardWriter(plan.folder, plan.split_count, plan.options.gzip_level)
    shapes = _Shapes(plan.options.encoding == "raw")
    try:
        for items in _batches(_items(task, plan)):
            for item in items:
                shapes.see(item)
            batch = _record_batch(items, plan)
            shards.write(batch, _splits(batch, items, task, plan))
            rows.add(len(items), plan.total)
    except InputError as error:
        shards.discard()
        return {**result, "errors": [[task.number, str(error)]]}
    except BaseException:
        shards.discard()
        raise
    result.update(shards=shards.close(), rows=shards.rows, shape=shapes.only, where=shapes.where)
    return result


class _Shapes:
    """Whether all pictures have one shape; with `strict` (raw) they must."""

    def __init__(self, strict: bool) -> None:
        self._strict, self._mixed, self.where = strict, False, ""
        self._first: tuple[int, int, int] | None = None

    def see(self, item: Item) -> None:
        if self._first is None:
            self._first, self.where = item.shape, item.where
        elif item.shape != self._first:
            self._mixed = True
            if self._strict:
                raise InputError(differing(item.where, item.shape, self.where, self._first))

    @property
    def only(self) -> list[int] | None:
        return None if self._mixed or self._first is None else list(self._first)


def differing(where: str, shape: Sequence[int], other: str, expected: Sequence[int]) -> str:
    """The message for pictures that cannot be raw together."""
    return (
        f"{where}: height, width, channels are {tuple(shape)}, those of {other} {tuple(expected)}. "
        "encoding='raw' needs pictures of one shape; use encoding='png'."
    )


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.image)
        if len(batch) == _BATCH or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _items(task: Task, plan: Plan) -> Iterator[Item]:
    if task.pair is not None:
        yield from _idx_items(task.pair, plan.options.encoding)
        return
    for number, (picture, data) in enumerate(_contents(task.pictures)):
        image, shape = pictures.encoded(data, plan.options.encoding, picture.where)
        label = plan.classes.index(picture.klass) if plan.classes else int(picture.klass)
        yield Item(image, label, picture.name, task.rows[number] if task.rows else {}, shape, picture.where)


def _idx_items(pair: IdxPair, encoding: str) -> Iterator[Item]:
    images, labels = pictures.read_idx(pair.images, 3), pictures.read_idx(pair.labels, 1)
    if len(images) != len(labels):
        raise InputError(f"{pair.images}: {len(images)} pictures, {pair.labels} has {len(labels)} labels.")
    shape = (images.shape[1], images.shape[2], 1)
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        data = image.tobytes() if encoding == "raw" else pictures.png_of(image)
        yield Item(data, label, f"{pair.name}/{number:06d}", {}, shape, pair.images)


def _contents(wanted: Sequence[Picture]) -> Iterator[tuple[Picture, bytes]]:
    """The pictures' files, in order; each zip is opened once."""
    archives: dict[str, Any] = {}
    try:
        for picture in wanted:
            if picture.member is None:
                with open_raw(picture.path) as file:
                    yield picture, file.read()
                continue
            if picture.path not in archives:
                archives[picture.path] = zipfile.ZipFile(open_raw(picture.path))
            yield picture, unpacking.read_member(picture.path, archives[picture.path], picture.member)
    finally:
        for archive in archives.values():
            archive.fp.close()
            archive.close()


def _record_batch(items: Sequence[Item], plan: Plan) -> pa.RecordBatch:
    import pyarrow as pa

    columns = {
        "image": pa.array([item.image for item in items], pa.large_binary()),
        "label": pa.array([item.label for item in items], pa.int64()),
        "name": pa.array([item.name for item in items], pa.string()),
    }
    for name, kind in plan.columns.items():
        columns[name] = pa.array([item.row[name] for item in items], kinds.arrow_type(kind))
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def _splits(batch: pa.RecordBatch, items: Sequence[Item], task: Task, plan: Plan) -> list[int]:
    """By key, else by the picture itself: equal pictures never straddle splits."""
    import pyarrow as pa

    if not plan.buckets and plan.options.tune_one_in and task.split == 0:
        held = splitting.row_hashes(batch, ["image"]) % plan.options.tune_one_in == 0
        return [plan.split_count - 1 if one else 0 for one in held.tolist()]
    if not plan.buckets:
        return [task.split] * len(items)
    if plan.options.key_pattern is None:
        return splitting.split_numbers(splitting.row_hashes(batch, ["image"]), plan.buckets).tolist()
    keys = []
    for item in items:
        match = re.search(plan.options.key_pattern, item.name)
        if match is None or match["key"] is None:
            raise InputError(
                f"{item.where}: key_pattern={plan.options.key_pattern!r} does not match its name "
                f"{item.name!r}."
            )
        keys.append(match["key"])
    key_batch = pa.RecordBatch.from_arrays([pa.array(keys, pa.string())], ["key"])
    return splitting.split_numbers(splitting.row_hashes(key_batch), plan.buckets).tolist()
