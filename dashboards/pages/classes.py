"""The classes of a project by the words of its card, beside the numbers that data and models have for them.

A project of elsewhere, or one whose card names no classes, keeps its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dashboards.drawing.words import short
from pipelines.base.project import Evaluation, Project

# Classes that an answer is told with, and rows of it.
LIKELIEST, MOST_ROWS = 3, 20


def evaluation_of(card: Project | None) -> Evaluation:
    """What the card says of its evaluation; nothing for a project without one."""
    return card.evaluation if card is not None else Evaluation(task="own")


def label_keys(card: Project | None) -> tuple[str, ...]:
    """The columns that may hold the label in the raw data, the likeliest first."""
    said = evaluation_of(card)
    keys = (said.raw_label_key, said.label_key, said.label_key.removesuffix("_xf"))
    return tuple(dict.fromkeys(key for key in keys if key))


def named(card: Project | None, column: str, value: str) -> str:
    """'3 (dress)' where `column` holds the label and its value has a name, else the value."""
    said = evaluation_of(card)
    if not column or column.removesuffix("_xf") != said.label_key.removesuffix("_xf"):
        return value
    name = said.class_name(value)
    return value if name == value else f"{value} ({name})"


def named_slice(card: Project | None, key: str) -> str:
    """A slice's key with the label's values by name: 'label = 3 (dress), country = de'."""
    parts = (part.partition(" = ") for part in key.split(", "))
    return ", ".join(f"{column}{sign}{named(card, column, value)}" for column, sign, value in parts)


def in_words(card: Project | None, outputs: Mapping[str, Any]) -> list[str]:
    """What a model answered, a line for each row: the likeliest classes with their shares, or the class it chose.

    [] where the card names no classes, or no output holds one share for each class or a class's number.
    """
    said = evaluation_of(card)
    count = len(said.classes)
    if not count:
        return []
    shares = _rows(outputs.get(said.prediction_key)) or next(
        (rows for value in outputs.values() if (rows := _rows(value)) and _are_shares(rows, count)), []
    )
    if shares and _are_shares(shares, count):
        return [_likeliest(said.classes, row) for row in shares[:MOST_ROWS]]
    chosen = _rows(outputs.get(said.label_key)) if said.label_key else []
    if chosen and all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c < count for c in chosen):
        return [said.classes[c] for c in chosen[:MOST_ROWS]]
    return []


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _are_shares(rows: list[Any], count: int) -> bool:
    return all(
        isinstance(row, list)
        and len(row) == count
        and all(isinstance(v, int | float) and math.isfinite(v) and -1e-6 <= v <= 1 + 1e-6 for v in row)
        for row in rows
    )


def _likeliest(classes: tuple[str, ...], shares: list[float]) -> str:
    order = sorted(range(len(shares)), key=lambda at: -shares[at])[:LIKELIEST]
    return ", ".join(f"{classes[at]}: {short(float(shares[at]))}" for at in order)
