"""Numbers and times as people read them."""

from __future__ import annotations

import math

import pytest

from dashboards.drawing import words
from pipelines.base.project import Bar


def test_numbers_are_short_and_whole_on_hover() -> None:
    assert [words.short(x) for x in (0.123456, 1234567, 1234.5, 1e-7, None, True, math.nan)] == [
        "0.123", "1,234,567", "1,234", "1.00e-07", "–", "True", "not a number",
    ]  # fmt: skip
    assert 'title="0.123456"' in words.number(0.123456)
    assert [words.duration(s) for s in (0.44, 59.7, 125, 7300, 90000)] == [
        "0.4 s",
        "60 s",
        "2 min 5 s",
        "2 h 1 min",
        "1 d 1 h",
    ]


@pytest.mark.parametrize(
    ("error", "first", "rest"),
    [
        ("churn: Trainer failed: pipelines/churn/model.py:3: KeyError: 'x'; raised again as RuntimeError: end",
         "pipelines/churn/model.py:3: KeyError: 'x'", "RuntimeError: end"),
        ("card_fraud: CsvExampleGen failed: RuntimeError: end; caused by InputError: column 'Time' is missing (d.py:3)",
         "InputError: column 'Time' is missing (d.py:3)", "RuntimeError: end"),
        ("card_fraud: Trainer failed: card_fraud: run_fn failed: ValueError: no rows",
         "run_fn failed: ValueError: no rows", ""),
        ("column: 'Time' is missing", "column: 'Time' is missing", ""),
        ("its process ended without a result: signal 9", "its process ended without a result: signal 9", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_an_errors_cause_comes_first_and_whole(error: str, first: str, rest: str) -> None:
    assert words.cause(error) == (first, rest)


@pytest.mark.parametrize(
    ("value", "bounds", "shown"),
    [(0.98463, [0.985], "0.9846"), (0.985, [0.985], "0.985"), (0.9849999, [0.985], "0.9849999"),
     (0.006692, [0.03], "0.00669"), (0.9998, [1.0], "0.9998"), (None, [1.0], "–"), (0.89, [0.88, 0.99], "0.89")],
)  # fmt: skip
def test_a_number_is_told_from_the_bound_that_it_misses(
    value: float | None, bounds: list[float], shown: str
) -> None:
    assert words.beside(value, bounds) == shown


def test_a_bound_is_written_whole() -> None:
    assert words.needs([Bar("x", at_least=0.9925)]) == "≥ 0.9925"
    assert words.needs([Bar("x", at_least=0.7), Bar("x", at_most=0.999)]) == "≥ 0.7 and ≤ 0.999"


def test_what_is_only_rounding_is_0_at_an_intervals_end() -> None:
    assert words.interval(3e-18, 0.0123) == "0 … 0.0123"
    assert words.interval(-0.2, -1e-17) == "-0.2 … 0"
    assert words.interval(1e-7, 2e-7) == "1.00e-07 … 2.00e-07"
