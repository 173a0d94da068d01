"""Parquet that workers read themselves: a table that is read whole needs no JVM to turn it into Arrow batches.

Only where nothing can differ: the frame is the plain result of `spark.read.parquet`, its files lie on a path of this
machine (which all workers share, as Spark itself asks), and each file has the frame's columns in the very types. For
all else Spark reads, as always. Rows keep their order within a file; a task has some row groups, the same at each try.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

# As `spark.sql.files.maxPartitionBytes`.
PART_BYTES = 128 << 20
# Few enough for a processor's cache, and a block by default.
BATCH_ROWS = 4096
# Each costs the driver a look at its last bytes.
MOST_FILES = 1000
Groups = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Parts:
    """For each task the files and row groups it reads; the columns, with Spark's names for what is in lists."""

    tasks: tuple[tuple[Groups, ...], ...]
    schema: pa.Schema


def parts_of(frame: DataFrame) -> Parts | None:
    """How workers read the frame's rows; None where Spark has to."""
    import pyarrow.parquet as pq
    from pyspark.sql.pandas.types import to_arrow_schema

    files = _files(frame)
    if not files or len(files) > MOST_FILES:
        return None
    wanted = to_arrow_schema(frame.schema)
    if not _plain(wanted):
        return None
    sizes: list[tuple[str, int, int]] = []
    for path in files:
        try:
            told = pq.read_metadata(path)
        except (OSError, ValueError):
            # Spark says best what is wrong with it.
            return None
        own = told.schema.to_arrow_schema()
        if len(own.names) != len(wanted.names) or any(
            own.get_field_index(field.name) < 0 or not _same(own.field(field.name).type, field.type)
            for field in wanted
        ):
            return None
        sizes += [(path, n, told.row_group(n).total_byte_size) for n in range(told.num_row_groups)]
    return Parts(_tasks(sizes, frame.sparkSession.sparkContext.defaultParallelism), wanted)


def _tasks(sizes: Sequence[tuple[str, int, int]], parallel: int) -> tuple[tuple[Groups, ...], ...]:
    """Neighbouring row groups together, of about as many bytes a task."""
    most = min(PART_BYTES, max(1, -(-sum(size for *_, size in sizes) // max(1, parallel))))
    tasks: list[dict[str, list[int]]] = []
    filled = most
    for path, number, size in sizes:
        # A group goes where its middle is.
        if filled + size // 2 >= most:
            tasks.append({})
            filled = 0
        tasks[-1].setdefault(path, []).append(number)
        filled += size
    return tuple(tuple((path, tuple(groups)) for path, groups in task.items()) for task in tasks)


def _files(frame: DataFrame) -> list[str]:
    """The files of a frame that is `spark.read.parquet` of local files and nothing else."""
    from pyspark import StorageLevel

    plan = frame._jdf.queryExecution().analyzed()
    if _name(plan) != "LogicalRelation" or _name(plan.relation()) != "HadoopFsRelation":
        return []
    relation, settings = plan.relation(), frame.sparkSession.conf
    ignored = ("spark.sql.files.ignoreCorruptFiles", "spark.sql.files.ignoreMissingFiles")
    if (
        _name(relation.fileFormat()) != "ParquetFileFormat"
        or not relation.partitionSchema().isEmpty()
        or any(name != "path" for name in _keys(relation.options()))
        or frame.storageLevel != StorageLevel.NONE
        or any(settings.get(name, "false") != "false" for name in ignored)
    ):
        return []
    urls = [urllib.parse.urlsplit(url) for url in relation.location().inputFiles()]
    if any(url.scheme != "file" or url.netloc for url in urls):
        return []
    return [urllib.parse.unquote(url.path) for url in urls]


def _name(of: Any) -> str:
    return str(of.getClass().getSimpleName())


def _keys(scala_map: Any) -> list[str]:
    keys = scala_map.keysIterator()
    found = []
    while keys.hasNext():
        found.append(str(keys.next()))
    return found


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types are one but for the name of what is in lists."""
    import pyarrow as pa

    if pa.types.is_list(one) and pa.types.is_list(other):
        nullable = one.value_field.nullable == other.value_field.nullable
        return nullable and _same(one.value_type, other.value_type)
    return bool(one == other)


def _plain(schema: pa.Schema) -> bool:
    """Whether all columns are numbers, texts, bytes, or lists of these: of times Parquet and Spark have several."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> bool:
        if pa.types.is_list(kind):
            return plain(kind.value_type)
        return kind in (
            pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
            pa.binary(),
        )  # fmt: skip

    return all(plain(field.type) for field in schema)


def batches(
    parts: Parts, columns: Sequence[str], block_bytes: int, numbers: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """In a worker: the rows of the tasks whose numbers it is given, these columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for told in numbers:
        for number in told.column(0).to_pylist():
            for path, groups in parts.tasks[number]:
                try:
                    with pq.ParquetFile(path) as file:
                        rows = sum(file.metadata.row_group(group).num_rows for group in groups)
                        size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
                        count = max(1, min(BATCH_ROWS, block_bytes * rows // max(1, size)))
                        for batch in file.iter_batches(count, list(groups), list(columns), use_threads=False):
                            arrays = [
                                batch.column(name).cast(parts.schema.field(name).type) for name in columns
                            ]
                            yield pa.RecordBatch.from_arrays(arrays, list(columns))
                except FileNotFoundError:
                    raise BridgeError(
                        f"This worker does not reach {path}; tables lie on storage that all workers share."
                    ) from None
                except (OSError, pa.ArrowInvalid) as error:
                    raise BridgeError(f"{path} cannot be read: {error}") from None
