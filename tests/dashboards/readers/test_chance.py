"""What chance and coarse bins make of two samples is told from a change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.readers import chance, feature_stats
from dashboards.readers.distances import distance
from dashboards.readers.feature_stats import FeatureStats
from tests.dashboards.synthetic.statistics import statistics

RANDOM = np.random.default_rng(7)


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(values: Sequence[Any], categorical: Sequence[str] = ()) -> FeatureStats:
        file = tmp_path / "FeatureStats.pb"
        file.write_bytes(statistics({"x": values}, categorical).SerializeToString())
        return feature_stats.read_split(file).features["x"]

    return read


def _changed(one: FeatureStats, other: FeatureStats) -> bool:
    found = distance(one, other)
    assert found is not None
    return chance.changed(found, one, other)


def test_samples_of_one_distribution_have_not_changed(read: Any) -> None:
    for draw in (
        lambda n: RANDOM.normal(size=n),
        lambda n: RANDOM.lognormal(3, 2, n),
        lambda n: RANDOM.poisson(4, n),
        lambda n: RANDOM.integers(0, 100_000, n),
        lambda n: (RANDOM.random(n) < 0.01).astype(int),
        lambda n: np.full(n, 3),
    ):
        assert not _changed(read(draw(8000)), read(draw(2000)))
    words = [f"w{i}" for i in range(50)]
    assert not _changed(read(list(RANDOM.choice(words, 8000))), read(list(RANDOM.choice(words, 2000))))


def test_one_far_value_is_a_distance_to_tfdv_and_no_change_here(read: Any) -> None:
    plain, far = np.linspace(0, 1, 5000), np.append(np.linspace(0, 1, 4999), 100.0)
    found = distance(read(plain), read(far))
    assert found is not None and found.value > 0.5
    assert not _changed(read(plain), read(far))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (RANDOM.normal(size=2000), RANDOM.normal(size=2000) + 2),
        (RANDOM.lognormal(3, 1.5, 2000), 3 * RANDOM.lognormal(3, 1.5, 2000)),
        (np.repeat([0, 1], [910, 90]), np.repeat([0, 1], [998, 2])),
        (np.repeat([0, 1], [500, 500]), np.repeat([0, 1, 2], [490, 490, 20])),
        (np.linspace(0, 1, 1000), np.append(np.linspace(0, 1, 980), np.linspace(100, 101, 20))),
        (np.full(500, 3.0), np.full(500, 4.0)),
        (RANDOM.normal(size=2000), 2 * RANDOM.normal(size=2000)),
        (RANDOM.poisson(30, 5000), RANDOM.poisson(31, 5000)),
    ],
    ids=[
        "shifted",
        "tripled",
        "rarer_label",
        "new_class",
        "new_range",
        "other_constant",
        "wider",
        "slightly_more",
    ],
)
def test_each_kind_of_change_is_seen(read: Any, before: Any, now: Any) -> None:
    assert _changed(read(now), read(before))


def test_a_new_value_is_seen_beside_a_larger_difference_that_chance_makes(read: Any) -> None:
    # 2 % of a new value, 2.5 % less of one that has a third: five deviations of the one, 1.2 of the other.
    before = ["a"] * 330 + ["b"] * 340 + ["c"] * 330
    now = ["a"] * 305 + ["b"] * 345 + ["c"] * 330 + ["new"] * 20
    one, other = read(now * 2), read(before * 2)
    found = distance(one, other)
    assert found is not None and (found.at, found.value) == ("a", pytest.approx(0.025))
    assert chance.surprises(one, other) == ["new"] and _changed(one, other)
