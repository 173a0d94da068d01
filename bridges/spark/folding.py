"""Blocks folded into one result, or into one for each key: states that workers make and a tree merges.

    init() -> state;  step(state, block) -> state;  merge(state, state) -> state;  finish(state) -> result

A state is any picklable object (a mean is a sum and a count). States of partitions are merged in the order of their
partitions, in rounds of `FAN`, so that the same partitions give the same result to the last bit and no single process
holds more than that many states. Partitions without rows add nothing.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark import checking, tensors
from bridges.spark.blocks import BLOCK_BYTES, BLOCK_ROWS, Block, blocks_of
from bridges.spark.session import told
from bridges.spark.steps import declared_fields

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

FAN = 8
# States of so many keys are held by one task at a time before they are passed on.
KEYS_HELD = 50_000
STATE = "__state"


@dataclass(frozen=True)
class Fold:
    """The four functions. `step` must not keep the block's arrays: their memory is the next block's."""

    init: Callable[[], Any]
    step: Callable[[Any, Block], Any]
    merge: Callable[[Any, Any], Any]
    finish: Callable[[Any], Any]


def reduce_blocks(
    init: Callable[[], Any],
    step: Callable[[Any, Block], Any],
    merge: Callable[[Any, Any], Any],
    finish: Callable[[Any], Any],
    frame: DataFrame,
    *,
    columns: Sequence[str] | None = None,
    block_rows: int = BLOCK_ROWS,
    block_bytes: int = BLOCK_BYTES,
) -> Any:
    """finish(state of all rows of the `columns` (default: all)); of no rows at all it is finish(init()).

    Runs now. Raises BridgeError, before it starts for a column that is not there.
    """
    fold = Fold(init, step, merge, finish)
    names = _checked(frame, columns)
    work = functools.partial(_partition, fold, block_rows, block_bytes)
    # The partition's number stands for its place: states are merged in that order.
    with told():
        states = frame.select(*names).mapInArrow(work, f"place int, {STATE} binary").rdd.map(tuple)
        count = max(1, states.getNumPartitions())
        while count > FAN:
            count = -(-count // FAN)
            grouped = states.map(_grouped).groupByKey(count)
            states = grouped.mapValues(functools.partial(_merged, fold)).map(tuple)
        last = states.collect()
    return fold.finish(pickle.loads(_merged(fold, last)) if last else fold.init())


def _grouped(state: tuple[int, bytes]) -> tuple[int, tuple[int, bytes]]:
    return state[0] // FAN, state


def _merged(fold: Fold, states: Iterable[tuple[int, bytes]]) -> bytes:
    ordered = [pickle.loads(bytes(state)) for _, state in sorted(states, key=lambda one: one[0])]
    return pickle.dumps(functools.reduce(fold.merge, ordered))


def _checked(frame: DataFrame, columns: Sequence[str] | None) -> list[str]:
    names = list(columns) if columns is not None else frame.columns
    for name in names:
        checking.field(frame.schema, name, "the fold")
    return ["`" + name.replace("`", "``") + "`" for name in names]


def _partition(
    fold: Fold, block_rows: int, block_bytes: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyspark import TaskContext

    state, rows = None, 0
    for block in blocks_of(batches, block_rows, block_bytes):
        state = fold.step(fold.init() if not rows else state, _arrays(block))
        rows += block.num_rows
    if rows:
        context = TaskContext.get()
        place = context.partitionId() if context is not None else 0
        yield pa.RecordBatch.from_arrays(
            [pa.array([place], pa.int32()), pa.array([pickle.dumps(state)], pa.binary())], ["place", STATE]
        )


def _arrays(block: pa.RecordBatch) -> Mapping[str, Any]:
    return {name: tensors.array_of(block.column(at), name) for at, name in enumerate(block.schema.names)}


def aggregate(
    frame: DataFrame,
    by: str | Sequence[str],
    init: Callable[[], Any],
    step: Callable[[Any, Block], Any],
    merge: Callable[[Any, Any], Any],
    finish: Callable[[Any], Mapping[str, Any]],
    *,
    outputs: str,
    columns: Sequence[str] | None = None,
    block_rows: int = BLOCK_ROWS,
    block_bytes: int = BLOCK_BYTES,
) -> DataFrame:
    """A row for each key: the columns `by`, and the results (`outputs`, Spark's text) of its rows.

    States are made per partition and then brought together by key, so a key's rows never travel. A missing key is
    a key. `finish` gives results by name. Raises BridgeError before anything runs.
    """
    from pyspark.sql.types import BinaryType, StructField, StructType

    fold = Fold(init, step, merge, finish)
    keys = [by] if isinstance(by, str) else list(by)
    rest = [name for name in (columns if columns is not None else frame.columns) if name not in keys]
    names = _checked(frame, [*keys, *rest])
    key_fields = [frame.schema[name] for name in keys]
    fields = declared_fields(outputs)
    checking.check_no_overwriting(fields, StructType(key_fields))
    work = functools.partial(_partition_by_key, fold, keys, block_rows, block_bytes)
    partial = frame.select(*names).mapInArrow(
        work, StructType([*key_fields, StructField(STATE, BinaryType())])
    )
    quoted = names[: len(keys)]
    together = partial.repartition(*quoted).sortWithinPartitions(*quoted)
    finished = functools.partial(_finished, fold, keys, StructType(fields))
    return together.mapInArrow(finished, StructType([*key_fields, *fields]))


def _partition_by_key(
    fold: Fold, keys: Sequence[str], block_rows: int, block_bytes: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    states: dict[tuple[Any, ...], Any] = {}
    for block in blocks_of(batches, block_rows, block_bytes):
        for key, rows in _by_key(block, keys):
            states[key] = fold.step(states[key] if key in states else fold.init(), _arrays(rows))
        if len(states) > KEYS_HELD:
            yield _states(states, block.schema, keys)
            states.clear()
    if states:
        yield _states(states, block.schema, keys)


def _by_key(block: pa.RecordBatch, keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pa.RecordBatch]]:
    """Each key of the block with its rows, in the block's order, without the keys' columns."""
    import numpy as np
    import pyarrow as pa

    numbers = np.zeros(block.num_rows, np.int64)
    for name in keys:
        encoded = block.column(block.schema.get_field_index(name)).dictionary_encode(null_encoding="encode")
        own = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, numbers = np.unique(numbers * (len(encoded.dictionary) + 1) + own, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers))
    rest = [name for name in block.schema.names if name not in keys]
    sorted_block = block.take(pa.array(order))
    key_columns = [sorted_block.column(sorted_block.schema.get_field_index(name)) for name in keys]
    values = pa.RecordBatch.from_arrays(
        [sorted_block.column(sorted_block.schema.get_field_index(name)) for name in rest], rest
    )
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        yield tuple(column[int(start)].as_py() for column in key_columns), values.slice(start, end - start)


def _states(states: Mapping[tuple[Any, ...], Any], schema: pa.Schema, keys: Sequence[str]) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [pa.array([key[at] for key in states], schema.field(name).type) for at, name in enumerate(keys)]
    packed = pa.array([pickle.dumps(state) for state in states.values()], pa.binary())
    return pa.RecordBatch.from_arrays([*columns, packed], [*keys, STATE])


def _finished(
    fold: Fold, keys: Sequence[str], fields: Any, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """States sorted by key: equal keys stand one after the other, also across batches."""
    key: tuple[Any, ...] | None = None
    state: Any = None
    done: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []
    kinds: list[Any] = []
    for batch in batches:
        kinds = [batch.schema.field(name).type for name in keys]
        columns = [batch.column(at).to_pylist() for at in range(len(keys))]
        packed = batch.column(len(keys)).to_pylist()
        for row in range(batch.num_rows):
            own = tuple(column[row] for column in columns)
            got = pickle.loads(packed[row])
            if own == key:
                state = fold.merge(state, got)
                continue
            if key is not None:
                done.append((key, fold.finish(state)))
            key, state = own, got
        if len(done) >= BLOCK_ROWS:
            yield _results(done, keys, kinds, fields)
            done = []
    if key is not None:
        done.append((key, fold.finish(state)))
    if done:
        yield _results(done, keys, kinds, fields)


def _results(
    done: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]],
    keys: Sequence[str],
    kinds: Sequence[Any],
    fields: Any,
) -> pa.RecordBatch:
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_type

    columns = [pa.array([key[at] for key, _ in done], kind) for at, kind in enumerate(kinds)]
    for field in fields:
        if field.name not in done[0][1]:
            raise BridgeError(
                f"finish gave {sorted(done[0][1])}; expected the result {field.name!r} as well."
            )
        values = [result[field.name] for _, result in done]
        plain = [value.tolist() if hasattr(value, "tolist") else value for value in values]
        columns.append(pa.array(plain, to_arrow_type(field.dataType)))
    return pa.RecordBatch.from_arrays(columns, [*keys, *(field.name for field in fields)])
