"""Counts of text values: exact, whatever fits into memory."""

from __future__ import annotations

import collections

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def counted(batches: list[list[bytes]], most: int, held_bytes: int) -> tuple[int, list[tuple[bytes, int]]]:
    from components.statistics_gen.top_values import ValueCounter

    counter = ValueCounter(most, held_bytes)
    for values in batches:
        counter.add(pa.array(values, pa.large_binary()))
    return tuple(counter.result())  # type: ignore[return-value]


@settings(max_examples=50, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.sampled_from([b"a", b"b", b"\xff", b"", b"\n", b"bb"]), min_size=1), min_size=1
    ),
    most=st.integers(1, 7),
)
def test_the_most_frequent_values_come_first_and_of_equals_the_greater(
    batches: list[list[bytes]], most: int
) -> None:
    expected = collections.Counter(value for values in batches for value in values)
    ranked = sorted(expected.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
    assert counted(batches, most, 1 << 20) == (len(expected), ranked[:most])


@pytest.mark.parametrize("held_bytes", [1 << 30, 100_000])
def test_values_that_do_not_fit_into_memory_are_counted_on_the_disk(held_bytes: int) -> None:
    batches = [
        [f"value {(number * 7) % 60_000:>20}".encode() for number in range(start, start + 20_000)]
        for start in range(0, 200_000, 20_000)
    ]
    expected = collections.Counter(value for values in batches for value in values)
    ranked = sorted(expected.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
    assert counted(batches, 1000, held_bytes) == (60_000, ranked[:1000])
