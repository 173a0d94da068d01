"""Statistics in process are TFDV's on Beam: the same protos, means and deviations to the last digits of float64.

TFDV itself is not deterministic in two ways: the sketches of quantiles depend on how Beam cuts the batches (only where
a feature has thousands of values, so not here; see test_executor.py), and sums of floats on their order. Hence means
and deviations are compared to 1e-9, everything else exactly.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

FLOATS = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e-30]))
TEXTS = st.one_of(st.text(max_size=4), st.sampled_from(["line\nend", "a", "b", "ü", ""])).map(str.encode)
COLUMNS = {
    "f": (pa.float32(), FLOATS),
    "i": (pa.int64(), st.one_of(st.integers(-3, 3), st.integers(-(2**62), 2**62))),
    "s": (pa.large_binary(), st.one_of(TEXTS, st.binary(max_size=3))),
}


@st.composite
def batches(draw: st.DrawFn) -> list[pa.RecordBatch]:
    """One to three batches of one data set; a batch may lack a feature, or have it without any value."""
    made = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(1, 6))
        arrays = {}
        for name, (kind, values) in COLUMNS.items():
            shape = draw(st.sampled_from(["flat", "ragged", "ragged", "null", "absent"]))
            if shape == "null":
                arrays[name] = pa.nulls(rows)
            elif shape != "absent":
                one = st.lists(values, min_size=1, max_size=1)
                cell = one if shape == "flat" else st.one_of(st.none(), st.lists(values, max_size=3))
                arrays[name] = pa.array(
                    draw(st.lists(cell, min_size=rows, max_size=rows)), pa.large_list(kind)
                )
        if arrays:
            made.append(pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays)))
    return made


def on_beam(data_sets: Sequence[Sequence[pa.RecordBatch]], options: Any) -> dict[int, Any]:
    """TFDV's statistics of each data set, as slices of one pipeline: the graph is the same and is built once."""
    import apache_beam as beam
    from tensorflow_data_validation.statistics import stats_impl
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from components.shards import LOCAL_RUNNER

    elements = [(str(number), batch) for number, batches in enumerate(data_sets) for batch in batches]
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(argv=LOCAL_RUNNER) as pipeline:
            _ = (
                pipeline
                | beam.Create(elements, reshuffle=False)
                | stats_impl.GenerateSlicedStatisticsImpl(options, is_slicing_enabled=True)
                | beam.Map(_keep, folder)
            )
        (file,) = Path(folder).iterdir()
        made = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
    return {int(one.name): one for one in made.datasets if one.name}


def _keep(made: Any, folder: str) -> None:
    Path(folder, "statistics.pb").write_bytes(made.SerializeToString())


def same(mine: Any, theirs: Any) -> None:
    """Equal as a set of features; the message that differs is shown."""
    from google.protobuf import json_format

    assert mine.num_examples == theirs.num_examples
    # With default values, so that -0.0 and 0.0 are equal: which of them is the least depends on the order.
    left, right = (
        {tuple(f.path.step): json_format.MessageToDict(f, True) for f in side.features}
        for side in (mine, theirs)
    )
    assert left.keys() == right.keys()
    for path, feature in left.items():
        for key in ("mean", "stdDev"):
            numbers = [f.get("numStats", {}).pop(key, 0.0) for f in (feature, right[path])]
            # With an infinity among the values it is infinite or NaN (texts in JSON), as the order of merging has it.
            if all(isinstance(number, str) for number in numbers):
                continue
            assert numbers[0] == numbers[1] or numbers == pytest.approx(
                [numbers[1]] * 2, rel=1e-9, nan_ok=True
            ), (path, key)
        assert feature == right[path]


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(data_sets=st.lists(batches().filter(bool), min_size=20, max_size=20))
def test_statistics_are_those_of_tfdv_on_beam(data_sets: list[list[pa.RecordBatch]]) -> None:
    import tensorflow_data_validation as tfdv

    from components.statistics_gen import computing

    theirs = on_beam(data_sets, tfdv.StatsOptions())
    for number, data_set in enumerate(data_sets):
        (mine,) = computing.statistics(data_set, tfdv.StatsOptions()).datasets
        same(mine, theirs[number])


def test_declared_bytes_and_categories_and_other_numbers_of_top_values_are_as_on_beam() -> None:
    import tensorflow_data_validation as tfdv
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.statistics_gen import computing

    schema = text_format.Parse(
        'feature { name: "b" type: BYTES image_domain {} }'
        'feature { name: "c" type: INT int_domain { is_categorical: true } }'
        'feature { name: "s" type: BYTES }',
        schema_pb2.Schema(),
    )
    columns = {
        "b": pa.array([[b"x"], [b"yy"]], pa.large_list(pa.large_binary())),
        "c": pa.array([[3, 1, 1], [1]], pa.large_list(pa.int64())),
        "s": pa.array([[b"q", b"p", b"p"], [b"q", b"r"]], pa.large_list(pa.large_binary())),
    }
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    options = tfdv.StatsOptions(schema=schema, num_top_values=1, num_rank_histogram_buckets=2, epsilon=0.1)
    (mine,) = computing.statistics([batch], options).datasets
    same(mine, on_beam([[batch]], options)[0])
    by_name = {feature.path.step[0]: feature for feature in mine.features}
    assert [v.value for v in by_name["s"].string_stats.top_values] == ["q"]
    assert by_name["c"].string_stats.unique == 2 and not by_name["b"].HasField("string_stats")


def test_options_that_are_not_proven_equal_are_beams() -> None:
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.statistics_gen.computing import obstacle

    assert obstacle(tfdv.StatsOptions(num_top_values=3, epsilon=0.001, feature_allowlist=["a"])) == ""
    assert "sample_rate=0.5" in obstacle(tfdv.StatsOptions(sample_rate=0.5))
    assert "weight_feature='w'" in obstacle(tfdv.StatsOptions(weight_feature="w"))
    assert "label_feature" in obstacle(tfdv.StatsOptions(label_feature="y", schema=schema_pb2.Schema()))
    sparse = schema_pb2.Schema(sparse_feature=[schema_pb2.SparseFeature(name="s")])
    assert "sparse" in obstacle(tfdv.StatsOptions(schema=sparse))
    again = tfdv.StatsOptions.from_json(tfdv.StatsOptions(num_histogram_buckets=4).to_json())
    assert obstacle(again) == ""
