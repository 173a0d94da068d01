"""What decides which rows judge: a key whose rows belong together, a time after which they came, or chance.

A key is taken by itself where a column looks like one. A time never is: whether a date says when a row came about, or
when somebody was born, is for a person to say; what could be one is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pipelines.base.errors import ProjectError, close_match
from pipelines.base.newdata.columns import Column, Role

TIME, KEY = "time", "key"


def asked(split_by: str, columns: Sequence[str], label: str) -> tuple[str, str]:
    """(how, column) of `--split-by`; ("", "") for none. Raises ProjectError."""
    if not split_by:
        return "", ""
    how, colon, column = split_by.partition(":")
    if not colon or how not in (TIME, KEY):
        raise ProjectError(
            f"--split-by is {split_by!r}; expected time:COLUMN (later rows judge) or key:COLUMN."
        )
    if column not in columns:
        raise ProjectError("--split-by: " + close_match("Column", column, columns))
    if column == label:
        raise ProjectError(f"--split-by: {column!r} is the label, which cannot say which rows judge.")
    return how, column


def one_key(judged: Sequence[Column], how: str, by: str) -> list[Column]:
    """The columns with at most one key: the one that was asked for, else the first that looks like one, and none where
    a time splits. Other keys are left out. Raises ProjectError where a row has no value of what splits."""
    found = {column.name: column for column in judged}
    if how and found[by].missing:
        raise ProjectError(
            f"--split-by {how}:{by}: {found[by].missing:.1%} of the rows have no value of it; every row needs one."
        )
    keys = [column.name for column in judged if column.role is Role.KEY and column.missing == 0]
    key = by if how == KEY else keys[0] if keys and how != TIME else ""
    made = []
    for column in judged:
        if column.name == key:
            if column.type == "FLOAT":
                raise ProjectError(
                    f"--split-by key:{by}: fractions are no key; expected whole numbers or text."
                )
            column = dataclasses.replace(column, role=Role.KEY, about="rows of one value stay in one split")
        elif column.role is Role.KEY:
            column = dataclasses.replace(column, role=Role.OUT, about="an id")
        elif column.name == by:
            column = dataclasses.replace(
                column, about=f"{column.about}; the rows are split by it, later ones judge"
            )
        made.append(column)
    return made


def times(judged: Sequence[Column]) -> list[str]:
    """Columns that could say when a row came about."""
    return [
        column.name for column in judged if column.role in (Role.DATE, Role.MOMENT) and column.missing == 0
    ]
