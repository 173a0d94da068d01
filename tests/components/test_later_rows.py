"""Splits by time: later rows in later splits, rows of one moment together, nobody's split empty."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import later_rows
from components.shards import InputError


@given(
    st.lists(st.integers(0, 30), min_size=3, max_size=200),
    st.lists(st.integers(1, 5), min_size=2, max_size=3),
)
def test_every_row_of_a_split_is_later_than_all_of_the_splits_before(
    times: list[int], buckets: list[int]
) -> None:
    known = np.array(times, float)
    if len(set(times)) < len(buckets):
        with pytest.raises(InputError, match="one for each split"):
            later_rows.bounds(known, buckets, "t", "a.csv")
        return
    place = later_rows.split_numbers(known, later_rows.bounds(known, buckets, "t", "a.csv"))
    assert set(place) == set(range(len(buckets)))
    for number in range(1, len(buckets)):
        assert known[place == number].min() > known[place == number - 1].max()


def test_the_share_is_that_of_the_buckets_where_the_moments_allow_it() -> None:
    times = np.random.default_rng(1).permutation(1_000).astype(float)
    place = later_rows.split_numbers(times, later_rows.bounds(times, [4, 1], "t", "a.csv"))
    assert np.bincount(place).tolist() == [800, 200]
    years = np.repeat([2007.0, 2008.0, 2009.0], [110, 114, 120])
    place = later_rows.split_numbers(years, later_rows.bounds(years, [4, 1], "t", "a.csv"))
    assert np.bincount(place).tolist() == [224, 120]


def test_dates_and_times_with_zones_are_put_in_their_order() -> None:
    texts = pa.array(["2024-02-29T13:05:00Z", "2024-02-29", "2024-02-29 14:00:00+02:00", "2023-12-31"])
    assert np.argsort(later_rows.moments(texts, "t", "a.csv")).tolist() == [3, 1, 2, 0]
    numbers = pa.chunked_array([pa.array([3, 1]), pa.array([2])])
    assert later_rows.moments(numbers, "t", "a.csv").tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "values", [["2024-01-01", None], ["2024-01-01", "soon"], [1.5, None], [1.5, float("nan")]]
)
def test_a_row_without_a_moment_is_refused_with_its_value(values: list[object]) -> None:
    with pytest.raises(InputError, match=r"a\.csv: split_time 't' is .* in a row; expected a date"):
        later_rows.moments(pa.array(values), "t", "a.csv")
