"""Statistics of columns as TFDV writes them: ten buckets of equal width, ten of equal content, ranks of values."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2


def statistics(columns: Mapping[str, Sequence[Any]], categorical: Sequence[str] = ()) -> Any:
    """One data set. None is missing; text and the names in `categorical` are counted by value."""
    written = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = written.datasets.add(num_examples=max(map(len, columns.values()), default=0))
    for name, column in columns.items():
        values = [value for value in column if value is not None]
        feature = dataset.features.add()
        feature.path.step.append(name)
        if values and isinstance(values[0], str):
            feature.type = statistics_pb2.FeatureNameStatistics.STRING
        elif not isinstance(np.asarray(values).dtype.type(0), np.integer):
            feature.type = statistics_pb2.FeatureNameStatistics.FLOAT
        if name in categorical or feature.type == statistics_pb2.FeatureNameStatistics.STRING:
            stats: Any = feature.string_stats
            ranked = Counter(map(str, values)).most_common()
            stats.unique = len(ranked)
            for rank, (value, count) in enumerate(ranked):
                stats.top_values.add(value=value, frequency=count)
                stats.rank_histogram.buckets.add(
                    low_rank=rank, high_rank=rank, label=value, sample_count=count
                )
        else:
            stats = feature.num_stats
            _numbers(stats, np.asarray(values, float))
        stats.common_stats.num_non_missing = stats.common_stats.tot_num_values = len(values)
        stats.common_stats.num_missing = len(column) - len(values)
        stats.common_stats.min_num_values = stats.common_stats.max_num_values = 1
    return written


def _numbers(stats: Any, values: Any) -> None:
    if not len(values):
        return
    stats.mean, stats.std_dev, stats.median = values.mean(), values.std(), float(np.median(values))
    stats.min, stats.max, stats.num_zeros = values.min(), values.max(), int((values == 0).sum())
    standard = stats.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    counts, edges = np.histogram(
        values, 10, (values.min(), values.max() if np.ptp(values) else values.min() + 1)
    )
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        standard.buckets.add(low_value=low, high_value=high, sample_count=count)
    tenths = stats.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
    edges = np.quantile(values, np.linspace(0, 1, 11))
    for low, high in itertools.pairwise(edges):
        tenths.buckets.add(low_value=low, high_value=high, sample_count=len(values) / 10)


def write(home: Path, project: str, number: int, splits: Mapping[str, Any]) -> None:
    """In place of the statistics that a run of `homes.Builder` wrote."""
    folder = home / "pipelines" / project / "StatisticsGen" / "examplestatistics" / str(number)
    for split, written in splits.items():
        file = folder / f"Split-{split}" / "FeatureStats.pb"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(written.SerializeToString())
