"""How much of a column may be missing, by the split that lacks most of it."""

from __future__ import annotations

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.schema_gen.executor import bound_missing


@pytest.mark.parametrize(
    ("train", "evaluation", "fraction"),
    [
        ((400, 0), (100, 0), 1.0),
        ((400, 8), (100, 1), 0.91),  # 2 % are missing: 9 % may be
        ((400, 8), (100, 4), 0.87),  # the split that lacks most decides
        ((400, 100), (100, 25), 0.45),
        ((400, 240), (100, 60), 0.0),  # a column that is mostly missing may be missing more
    ],
)
def test_a_share_of_missing_values_may_double_and_grow_by_five_points(
    train: tuple[int, int], evaluation: tuple[int, int], fraction: float
) -> None:
    schema = bounded(train, evaluation)
    assert schema.feature[0].presence.min_fraction == pytest.approx(fraction)
    assert schema.feature[0].presence.min_count == 1


def test_a_column_too_rare_for_every_split_need_not_be_there_at_all() -> None:
    assert not bounded((400, 395), (100, 100)).feature[0].HasField("presence")
    assert not bounded((400, 300), (20, 15)).feature[0].HasField("presence")


def bounded(*splits: tuple[int, int]) -> schema_pb2.Schema:
    """The schema of a column after splits of (rows, missing)."""
    whole = all(missing == 0 for _, missing in splits)
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="charge")
    feature.presence.min_count, feature.presence.min_fraction = 1, float(whole)
    told = []
    for rows, missing in splits:
        split = statistics_pb2.DatasetFeatureStatistics(num_examples=rows)
        if missing < rows:
            stats = split.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
            stats.path.step.append("charge")
            stats.num_stats.common_stats.num_non_missing = rows - missing
        told.append(split)
    bound_missing(schema, told)
    return schema
