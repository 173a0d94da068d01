"""What is said about columns that were read as they stand: only what is worth saying, however the rows are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from components.arrow_example_gen import remarks


def said(*parts: Sequence[str | None], zeros: dict[str, str] | None = None) -> list[str]:
    """The remarks on column c of text, of which each part is one task's batch."""
    import pyarrow as pa

    facts = []
    for part in parts:
        of_task = remarks.Remarks(["c"], zeros or {})
        of_task.see(pa.RecordBatch.from_arrays([pa.array(part, pa.string())], ["c"]))
        facts.append(json.loads(json.dumps(of_task.facts())))
    return remarks.words(facts)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            ["1.5"] * 54 + ["NA"] * 6,
            "c: 54 numbers and 6 'NA': read as text. Say null_values=['NA'] (--csv-null=NA) if that means a missing "
            "value.",
        ),
        (
            ["7,952.00"] * 60,
            "c: 60 like '7,952.00', numbers but for their separators: read as text. Say thousands=',' "
            "(--csv-thousands=,).",
        ),
        (
            ["7,25", "8", "-0,5"] * 20,
            "c: 20 numbers and 40 like '7,25', numbers but for their decimal comma: read as text. Say decimal=',' "
            "(--csv-decimal ,).",
        ),
        (
            ["$5.50", "12%", "€1,200"] * 20 + ["?"],
            "c: 60 like '$5.50', numbers but for their unit and 1 '?': read as text. Say null_values=['?'] "
            "(--csv-null='?') if that means a missing value. Write numbers without a unit.",
        ),
        (
            ["1", "2", "3", "1,000", "-"],
            "c: 3 numbers, 1 like '1,000', numbers but for their separators and 1 '-': read as text. Say "
            "null_values=['-'] (--csv-null=-) if that means a missing value and thousands=',' (--csv-thousands=,).",
        ),
    ],
)
def test_numbers_that_were_read_as_text_are_told_with_what_kept_them_from_it(
    values: list[str], words: str
) -> None:
    assert said(values) == [words]
    assert said(values[:2], values[2:]) == [words]


@pytest.mark.parametrize(
    "values",
    [
        ["monthly", "yearly"] * 300,
        ["a1", "7", "b2"] * 100,
        [f"10.0.0.{n}" for n in range(99)],
        [f"2024-01-{n:02}" for n in range(1, 29)],
        [str(n) for n in range(300)] + [f"x{n}" for n in range(300)],
        ["9223372036854775808", "1"],
        [None, None],
        [],
    ],
)
def test_text_and_large_numbers_are_not_remarked_on(values: list[str | None]) -> None:
    assert said(values) == []


def test_line_ends_in_values_and_lost_zeros_are_told() -> None:
    (words,) = said(["yearly"], ["monthly\npaid", "x"])
    assert words.startswith(
        "c: values such as 'monthly\\npaid' hold a line end, which no vocabulary file can"
    )
    assert "'007' lose their leading zeros" in said(["x"], zeros={"c": "007"})[0]
