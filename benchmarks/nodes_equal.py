"""Are the outputs of two executors equal? One function per node of nodes.py, which answers with what is different.

Where TFX is not deterministic, the comparison is by what it promises: quantiles of features with thousands of values
come from sketches, whose answers depend on how batches were cut; every boundary has to lie within TFDV's own error
(epsilon, 0.01 of the rows) of its rank on both sides. Sums of floats depend on their order: 1e-9 of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EPSILON, DIGITS = 0.01, 1e-9
# Of the transformed rows so many at most may stand in another order; values that differ are more.
MOST_APART = 0.01


def statistics(ours: Path, stock: Path) -> list[str]:
    """FeatureStats.pb of every split."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    told = []
    files = sorted(path.relative_to(stock) for path in stock.glob("statistics/Split-*/FeatureStats.pb"))
    if not files or files != sorted(
        path.relative_to(ours) for path in ours.glob("statistics/Split-*/FeatureStats.pb")
    ):
        told.append(f"files {files}")
    for file in files:
        mine, theirs = (
            statistics_pb2.DatasetFeatureStatisticsList.FromString((side / file).read_bytes()).datasets[0]
            for side in (ours, stock)
        )
        told += [f"{file.parent.name}: {words}" for words in different_statistics(mine, theirs)]
    return told


def different_statistics(mine: Any, theirs: Any) -> Iterator[str]:
    """Two DatasetFeatureStatistics, in words where they differ by more than the module says."""
    if mine.num_examples != theirs.num_examples:
        yield f"{mine.num_examples} examples, stock {theirs.num_examples}"
    left, right = ({tuple(f.path.step): f for f in side.features} for side in (mine, theirs))
    if left.keys() != right.keys():
        yield f"features {sorted(left.keys() ^ right.keys())} on one side only"
    for path in sorted(left.keys() & right.keys()):
        yield from (f"{'.'.join(path)}: {words}" for words in _different_feature(left[path], right[path]))


def _different_feature(mine: Any, theirs: Any) -> Iterator[str]:
    from google.protobuf import json_format

    sides = [type(mine).FromString(side.SerializeToString()) for side in (mine, theirs)]
    numbers = [(side.num_stats.mean, side.num_stats.std_dev) for side in sides]
    histograms = [list(side.num_stats.histograms) for side in sides]
    medians = [side.num_stats.median for side in sides]
    for side in sides:
        if side.HasField("num_stats"):
            for field in ("mean", "std_dev", "median", "histograms"):
                side.num_stats.ClearField(field)
    # With default values, so that -0.0 and 0.0 are equal.
    plain = [json_format.MessageToDict(side, True) for side in sides]
    if plain[0] != plain[1]:
        yield "counts, extremes or top values"
    for name, a, b in zip(("mean", "deviation"), *numbers, strict=True):
        if not math.isclose(a, b, rel_tol=DIGITS, abs_tol=DIGITS * max(abs(numbers[1][1]), 1e-300)):
            yield f"{name} {a!r}, stock {b!r}"
    if [h.type for h in histograms[0]] != [h.type for h in histograms[1]]:
        yield "kinds of histograms"
        return
    for one, other in zip(*histograms, strict=True):
        yield from _different_histogram(one, other)
    if histograms[1] and not _between(medians[0], histograms[1][-1]) and medians[0] != medians[1]:
        yield f"median {medians[0]}, stock {medians[1]}"


def _different_histogram(mine: Any, theirs: Any) -> Iterator[str]:
    """Equal numbers of rows below each boundary, but for twice the sketch's error (one for each side)."""
    total = sum(bucket.sample_count for bucket in theirs.buckets)
    if mine.num_nan != theirs.num_nan or len(mine.buckets) != len(theirs.buckets):
        yield "buckets"
        return
    if not math.isclose(total, sum(bucket.sample_count for bucket in mine.buckets), rel_tol=DIGITS):
        yield "rows in the buckets"
    allowed = 2 * EPSILON * total
    if mine.type == theirs.STANDARD:
        for a, b in zip(mine.buckets, theirs.buckets, strict=True):
            if abs(a.sample_count - b.sample_count) > 2 * allowed:
                yield f"{a.sample_count:.0f} rows between {a.low_value} and {a.high_value}, stock {b.sample_count:.0f}"
        return
    below = 0.0
    for bucket in list(mine.buckets)[:-1]:
        below += bucket.sample_count
        low, high = _rows_below(bucket.high_value, theirs)
        if not low - allowed <= below <= high + allowed:
            yield f"{below:.0f} rows below {bucket.high_value}, stock {low:.0f} to {high:.0f}"


def _rows_below(value: float, histogram: Any) -> tuple[float, float]:
    """The least and the greatest number of rows below or at `value` that the other's buckets leave open, a bucket's
    rows being spread over it evenly."""
    low = high = 0.0
    for bucket in histogram.buckets:
        width = bucket.high_value - bucket.low_value
        if bucket.high_value < value:
            low, high = low + bucket.sample_count, high + bucket.sample_count
        elif bucket.low_value <= value:
            # Not quite evenly: the distance to the nearer end is what is known.
            part = (value - bucket.low_value) / width if math.isfinite(width) and width > 0 else 1.0
            slack = min(part, 1 - part) if width else 1.0
            low += bucket.sample_count * max(0.0, part - slack)
            high += bucket.sample_count * min(1.0, part + slack)
    return low, high


def _between(value: float, histogram: Any) -> bool:
    """Whether a median lies in the middle buckets of a quantiles histogram."""
    middle = len(histogram.buckets) // 2
    near = list(histogram.buckets)[max(0, middle - 1) : middle + 1]
    return any(bucket.low_value <= value <= bucket.high_value for bucket in near)


def transform(ours: Path, stock: Path) -> list[str]:
    """Vocabularies byte for byte, the transformed rows of each split value by value (floats to 1e-6)."""
    told = []
    for folder in ("transform_graph/transform_fn/assets",):
        names = [sorted(path.name for path in (side / folder).glob("*")) for side in (ours, stock)]
        if names[0] != names[1]:
            told.append(f"{folder}: {names[0]}, stock {names[1]}")
        told += [
            f"{folder}/{name}"
            for name in set(names[0]) & set(names[1])
            if (ours / folder / name).read_bytes() != (stock / folder / name).read_bytes()
        ]
    for split in sorted(path.name for path in (stock / "transformed_examples").glob("Split-*")):
        rows = [_sorted_rows(side / "transformed_examples" / split) for side in (ours, stock)]
        if not _same_rows(*rows):
            told.append(f"{split}: {len(rows[0])} rows, stock {len(rows[1])}, not the same")
    return told


def _sorted_rows(folder: Path) -> Any:
    """The numbers of all rows of a split, rows in an order of their own: float64 [rows, values], ragged ones filled
    up with NaN, texts as checksums."""
    import numpy as np
    import pyarrow as pa
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    from components.columns.reading import records_of

    decoder = ExamplesToRecordBatchDecoder()
    files = sorted(folder.glob("*.gz"))
    tables = [
        pa.Table.from_batches([decoder.DecodeBatch(r)]) for file in files for r in records_of(str(file), 8192)
    ]
    joined = pa.concat_tables(tables)
    parts = [_filled(joined.column(name).combine_chunks()) for name in sorted(joined.column_names)]
    rows = np.concatenate(parts, axis=1)
    # By rounded values, so that the last digits do not change the order.
    return rows[np.lexsort(np.round(np.nan_to_num(rows), 3).T)]


def _filled(column: Any) -> Any:
    import zlib

    import numpy as np
    import pyarrow as pa

    values = column.flatten()
    if pa.types.is_large_binary(values.type):
        flat = np.array([zlib.crc32(value) for value in values.to_pylist()], np.float64)
    else:
        flat = np.asarray(values, np.float64)
    lengths = np.asarray(column.value_lengths().fill_null(0)).astype(int)
    filled = np.full((len(column), int(lengths.max(initial=1))), np.nan)
    filled[np.arange(filled.shape[1]) < lengths[:, None]] = flat
    return filled


def _same_rows(mine: Any, theirs: Any) -> bool:
    """Whether each row of one is `_close` to a row of its own of the other, both in the order of `_sorted_rows`.

    Where a last digit decides how a value is rounded, neighbours stand in another order: these few rows are paired
    with the nearest ones.
    """
    import numpy as np
    from scipy.spatial import cKDTree

    if mine.shape != theirs.shape:
        return False
    apart = ~_close_values(mine, theirs).all(axis=1)
    if apart.mean() > MOST_APART:
        return False
    left, right = mine[apart], theirs[apart]
    if not len(left):
        return True
    _, partners = cKDTree(np.nan_to_num(right)).query(np.nan_to_num(left))
    return len(np.unique(partners)) == len(partners) and _close(left, right[partners])


def _close_values(mine: Any, theirs: Any) -> Any:
    import numpy as np

    return np.isclose(mine, theirs, rtol=1e-6, atol=1e-5, equal_nan=True)


def _close(mine: Any, theirs: Any) -> bool:
    return mine.shape == theirs.shape and bool(_close_values(mine, theirs).all())


def evaluator(ours: Path, stock: Path) -> list[str]:
    """TFMA's metrics per slice: counts to 1e-9, others to 1e-6; and the blessing's verdict."""
    import tensorflow_model_analysis as tfma

    told = []
    sides = [_metrics(str(side / "evaluation")) for side in (ours, stock)]
    if sides[0].keys() != sides[1].keys():
        told.append(f"metrics {sorted(sides[0].keys() ^ sides[1].keys())[:3]} on one side only")
    for key in sides[0].keys() & sides[1].keys():
        a, b = sides[0][key], sides[1][key]
        # The area under a curve of one class is undefined; TFMA sums nothing to 0.
        undefined = math.isnan(a) and (math.isnan(b) or (key[1].startswith("auc") and b == 0))
        if not (math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or undefined):
            told.append(f"{key}: {a!r}, stock {b!r}")
    verdicts = [tfma.load_validation_result(str(side / "evaluation")).validation_ok for side in (ours, stock)]
    if verdicts[0] != verdicts[1]:
        told.append(f"verdict {verdicts[0]}, stock {verdicts[1]}")
    return told


def _metrics(folder: str) -> dict[Any, float]:
    import tensorflow_model_analysis as tfma

    found = {}
    for record in tfma.load_metrics(folder):
        part = str(record.slice_key).replace("\n", " ")
        for pair in record.metric_keys_and_values:
            if pair.value.HasField("double_value"):
                found[part, pair.key.name, pair.key.is_diff] = pair.value.double_value.value
    return found
