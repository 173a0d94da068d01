"""A label that cannot be learnt is told from the statistics of its column, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from components.example_validator.label import Label, trouble

BINARY = Label("left", "binary")


def statistics(name: str, splits: dict[str, Sequence[Any]]) -> dict[str, Any]:
    """What TFDV finds of a column with these values (None: missing) beside a column without holes."""
    import numpy as np
    from tensorflow_metadata.proto.v0 import statistics_pb2 as pb

    found = {}
    for split, values in splits.items():
        told = pb.DatasetFeatureStatistics(num_examples=len(values))
        told.features.add(type=pb.FeatureNameStatistics.INT).path.step.append("months")
        present = [value for value in values if value is not None]
        feature = told.features.add()
        feature.path.step.append(name)
        if present and isinstance(present[0], str):
            feature.type, common = pb.FeatureNameStatistics.STRING, feature.string_stats.common_stats
            feature.string_stats.unique = len(set(present))
            for value in sorted(set(present)):
                feature.string_stats.rank_histogram.buckets.add(
                    label=value, sample_count=present.count(value)
                )
        else:
            feature.type, common = pb.FeatureNameStatistics.FLOAT, feature.num_stats.common_stats
            numbers = np.array([value for value in present if value == value], float)
            feature.num_stats.histograms.add(num_nan=len(present) - len(numbers))
            feature.num_stats.min = float(numbers.min(initial=np.inf))
            feature.num_stats.max = float(numbers.max(initial=-np.inf))
        common.num_non_missing, common.num_missing = len(present), len(values) - len(present)
        found[split] = told
    return found


@pytest.mark.parametrize(
    ("label", "train", "evaluation", "words"),
    [
        (BINARY, [0, 1, None, 1], [0, 1, 1], ["'left' has no value in 1 of 7 rows (1 in train)"]),
        (BINARY, [0, 1.0, float("nan")], [0, None], ["in 2 of 5 rows (1 in train, 1 in eval)"]),
        (BINARY, [0, 0, 0], [0], ["one class (0) in 4 rows", "nothing to learn"]),
        (BINARY, [1, 1, 1], [0, 1], ["one class (1) in 3 rows of split train"]),
        (
            BINARY,
            ["True", "False", "True"],
            ["False"],
            ["'left' is text ('False' in 2 rows, 'True' in 2", "0 or 1"],
        ),
        (BINARY, [1, 2, 2], [1, 2], ["numbers from 1 to 2; 0 to 1 is expected"]),
        (Label("left", "multiclass"), ["a", "b", "c"], ["a"], ["is text", "0, 1, 2 and on"]),
        (Label("left", "multiclass", ("a", "b", "c")), [0, 3], [1], ["from 0 to 3; 0 to 2 is expected"]),
        (Label("left", "multiclass"), [-1, 3], [1], ["from -1 to 3"]),
        (Label("left", "regression"), [2.5, 2.5], [2.5], ["one value (2.5)"]),
        (Label("left", "regression"), ["2.5", "x"], ["x"], ["is text", "a number is expected"]),
        (
            Label("left", "multiclass", ("a", "b"), direct=False),
            ["a", "b", "x", "x"],
            ["a"],
            ["'left' is 'x' in 2 rows, which is no class of the card: a, b"],
        ),
        (Label("left", "binary", direct=False), ["a", "a"], ["a"], ["one class ('a') in 3 rows"]),
        (
            Label("months_", "binary"),
            [0, 1],
            [0, 1],
            ["'months_' is no column of the data", "Did you mean 'months'"],
        ),
    ],
)
def test_a_label_that_cannot_be_learnt_is_told_with_what_to_do(
    label: Label, train: list[Any], evaluation: list[Any], words: list[str]
) -> None:
    told = trouble(Label.from_json(label.to_json()), statistics("left", {"train": train, "eval": evaluation}))
    assert all(word in told for word in words), told


@pytest.mark.parametrize(
    ("label", "train", "evaluation"),
    [
        (BINARY, [0, 1, 1], [0, 0]),
        (BINARY, [0.0, 1.0], [1.0]),
        (Label("left", "multiclass"), [0, 5, 9], [3, 4]),
        (Label("left", "regression"), [-2.5, 1e9], [7]),
        (Label("left", "binary", direct=False), [1, 2, 2], [1]),
        (Label("left", "binary", ("no", "yes"), direct=False), ["no", "yes"], ["no"]),
        (Label("left", "binary", ("stays", "leaves"), direct=False), ["n", "y"], ["n"]),
        (Label("made", "own", direct=False), [0, 1], [1]),
    ],
)
def test_a_label_that_can_be_learnt_passes(label: Label, train: list[Any], evaluation: list[Any]) -> None:
    assert trouble(label, statistics("left", {"train": train, "eval": evaluation})) == ""
