"""What each kind of column is taken for. Small made columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipelines.base.newdata import columns
from pipelines.base.newdata.columns import Role

N = 200
CYCLE = list(range(N))


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("age", [number % 60 for number in CYCLE], Role.NUMBER),
        ("charge", [number * 0.37 for number in CYCLE], Role.NUMBER),
        ("row", CYCLE, Role.OUT),
        ("order_id", [number * 7 for number in CYCLE], Role.OUT),
        ("customerId", [f"c{number}" for number in CYCLE], Role.OUT),
        ("patient_id", [number // 4 * 13 for number in CYCLE], Role.KEY),
        ("zip", [number % 9 + 10_000 for number in CYCLE], Role.CATEGORY),
        ("tract", [17_031_000_000 + number % 8 for number in CYCLE], Role.CATEGORY),
        ("plan", [("monthly", "yearly")[number % 2] for number in CYCLE], Role.CATEGORY),
        ("since", [f"20{number % 20 + 10}-03-{number % 28 + 1:02}" for number in CYCLE], Role.DATE),
        ("at", [f"2024-02-29T13:{number % 60:02}:00Z" for number in CYCLE], Role.DATE),
        ("start_time", [1_400_000_000 + 977 * number for number in CYCLE], Role.MOMENT),
        ("price", [1_400_000_000 + 977 * number for number in CYCLE], Role.NUMBER),
        ("note", [f"the {number} line was down for a day" for number in CYCLE], Role.TEXT),
        ("colour", ["red"] * N, Role.OUT),
        ("empty", pa.nulls(N), Role.OUT),
        ("tags", pa.array([["a"]] * N), Role.OUT),
    ],
)
def test_a_column_becomes_what_its_values_and_its_name_say(name: str, values: Any, role: Role) -> None:
    (column,) = columns.judge(pa.table({name: values}))
    assert column.role is role, column.about
    assert column.about


def test_missing_values_and_nan_are_counted_and_decide_nothing() -> None:
    values = pa.array([None, float("nan"), *(number * 0.5 for number in range(6))])
    (column,) = columns.judge(pa.table({"x": values}))
    assert column.missing == 0.25 and column.role is Role.NUMBER and column.type == "FLOAT"


def test_the_logarithm_is_for_long_tails_of_what_is_never_negative() -> None:
    tailed = [1.0] * 190 + [1000.0] * 10
    table = pa.table({"gain": tailed, "balance": [v - 2 for v in tailed], "even": CYCLE_AS_FLOAT})
    assert [column.long_tail for column in columns.judge(table)] == [True, False, False]


CYCLE_AS_FLOAT = [float(number % 50) for number in CYCLE]
