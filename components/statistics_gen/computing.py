"""Statistics of one split in this process: TFDV's generators fed with batches, its protos merged by its own code.

What TFDV computes with a graph of Beam, exact counts of text values, is top_values.py's. Options that ask for more
(weights, samples, slices, semantic domains) are told by `obstacle`, and then Beam does the node's work.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from components.statistics_gen.top_values import ValueCounter

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

# Options of which any value means the same here as on Beam, or is a matter of Beam's alone.
_ANY_VALUE = frozenset(
    {
        "schema",
        "feature_allowlist",
        "num_top_values",
        "frequency_threshold",
        "num_rank_histogram_buckets",
        "num_values_histogram_buckets",
        "num_histogram_buckets",
        "num_quantiles_histogram_buckets",
        "epsilon",
        "desired_batch_size",
        "weighted_frequency_threshold",
        "infer_type_from_schema",
        "experimental_num_feature_partitions",
        "experimental_result_partitions",
    }
)


def obstacle(options: tfdv.StatsOptions) -> str:
    """Why these options are Beam's; '' if they can be followed in this process."""
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    usual = vars(tfdv.StatsOptions())
    for name, value in vars(options).items():
        if name.lstrip("_") not in _ANY_VALUE and value != usual.get(name):
            return f"the option {name.lstrip('_')}={value!r} of the statistics is TFDV's on Beam"
    schema = options.schema
    if schema is not None and (
        stats_impl._schema_has_sparse_features(schema)
        or stats_impl._schema_has_natural_language_domains(schema)
        or schema.weighted_feature
    ):
        return "the schema of the statistics has sparse, weighted or natural language features"
    return ""


def statistics(
    batches: Iterable[pa.RecordBatch], options: tfdv.StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """What `tfdv.GenerateStatistics(options)` makes of the batches (see `obstacle` for the options)."""
    from tensorflow_data_validation.statistics import stats_impl
    from tensorflow_metadata.proto.v0 import statistics_pb2
    from tfx_bsl.statistics import merge_util

    generators = [
        generator
        for generator in stats_impl.get_generators(options)
        if generator.name != "TopKUniquesStatsGenerator"
    ]
    texts = _Texts(options)
    accumulators = [generator.create_accumulator() for generator in generators]
    empty = True
    for batch in batches:
        empty = False
        if options.feature_allowlist:
            batch = stats_impl._filter_features(batch, options.feature_allowlist)
        accumulators = [
            generator.add_input(accumulator, batch)
            for generator, accumulator in zip(generators, accumulators, strict=True)
        ]
        texts.add(batch)
    if empty:
        return statistics_pb2.DatasetFeatureStatisticsList(
            datasets=[statistics_pb2.DatasetFeatureStatistics()]
        )
    parts = [
        generator.extract_output(generator.compact(accumulator))
        for generator, accumulator in zip(generators, accumulators, strict=True)
    ]
    return merge_util.merge_dataset_feature_statistics([*parts, *texts.protos()])


class _Texts:
    """Top values and numbers of different values of text features, and of numbers that the schema calls categories."""

    def __init__(self, options: tfdv.StatsOptions) -> None:
        self._options = options
        self._most = max(options.num_top_values, options.num_rank_histogram_buckets)
        self._counters: dict[Any, ValueCounter] = {}
        self._bytes, self._categories = _declared(options.schema)

    def add(self, batch: pa.RecordBatch) -> None:
        from tensorflow_data_validation.arrow import arrow_util
        from tensorflow_data_validation.statistics.generators import top_k_uniques_stats_generator
        from tensorflow_data_validation.utils import stats_util
        from tfx_bsl.arrow import array_util

        for path, array, _ in arrow_util.enumerate_arrays(batch, None, enumerate_leaves_only=True):
            kind = stats_util.get_feature_type_from_arrow_type(path, array.type)
            if path in self._bytes or not top_k_uniques_stats_generator._should_run(
                self._categories, path, kind
            ):
                continue
            values, _ = array_util.flatten_nested(array)
            if len(values):
                if path not in self._counters:
                    self._counters[path] = ValueCounter(self._most)
                self._counters[path].add(values)

    def protos(self) -> list[statistics_pb2.DatasetFeatureStatistics]:
        from tensorflow_data_validation.utils import top_k_uniques_stats_util as util

        made = []
        for path, counter in self._counters.items():
            counts = counter.result()
            top = util.make_dataset_feature_stats_proto_topk_single(
                feature_path_tuple=path.steps(),
                value_count_list=[util.FeatureValueCount(value, count) for value, count in counts.top],
                is_weighted_stats=False,
                num_top_values=self._options.num_top_values,
                frequency_threshold=self._options.frequency_threshold,
                num_rank_histogram_buckets=self._options.num_rank_histogram_buckets,
            )
            made += [top, util.make_dataset_feature_stats_proto_unique_single(path.steps(), counts.unique)]
        return made


def _declared(schema: schema_pb2.Schema | None) -> tuple[frozenset[Any], dict[Any, Any]]:
    """Paths that the schema says are bytes, and the types of numbers that it says are categories."""
    from tensorflow_data_validation.utils import schema_util

    if schema is None:
        return frozenset(), {}
    return (
        frozenset(schema_util.get_bytes_features(schema)),
        schema_util.get_categorical_numeric_feature_types(schema),
    )
