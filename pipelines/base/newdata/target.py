"""The label: which column it is, what is asked of it, and the names of its classes. Never guessed in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import ProjectError, close_match
from pipelines.base.newdata.reading import Source

if TYPE_CHECKING:
    import pyarrow as pa

TASKS = ("binary", "multiclass", "regression")
# Names that columns have which are there to be predicted.
USUAL = frozenset(
    "label target class y outcome response species income survived churn churned diagnosis fraud is_fraud".split()  # noqa: SIM905
)
MOST_CLASSES = 100
# Fewer whole numbers than this are classes, unless --task says otherwise.
FEW_NUMBERS = 10
# The first of each pair is 0.
PAIRS = (
    ("no", "yes"),
    ("false", "true"),
    ("n", "y"),
    ("f", "t"),
    ("negative", "positive"),
    ("off", "on"),
    ("0", "1"),
)


@dataclasses.dataclass(frozen=True)
class Target:
    """`classes` are the label's texts in the order of their ids, () for a regression; `why` is for people."""

    name: str
    task: str
    classes: tuple[str, ...]
    why: str


def choose(source: Source, label: str | None, task: str | None) -> Target:
    """Raises ProjectError: with candidates where the label is not plain, and for one that cannot be learned."""
    table = source.table
    why = "--label says so"
    if label is None:
        usual = [name for name in table.column_names if name.lower() in USUAL]
        if len(usual) != 1:
            raise ProjectError(
                f"{source.path}: which column is to be predicted? Say --label COLUMN. {_candidates(table)}."
            )
        label, why = usual[0], "by its name; --label COLUMN takes another"
    if label not in table.column_names:
        raise ProjectError(f"{source.path}: " + close_match("Column", label, table.column_names))
    column = table.column(label)
    _check_missing(source, label, column)
    values = texts(column)
    classes = _ordered(sorted(set(values)))
    if len(classes) < 2:
        raise ProjectError(
            f"{source.path}: the label {label!r} is {classes[0]!r} in every row; expected two values at least. "
            "Take data with rows of another value, or another --label."
        )
    found = _task(column, classes, len(values))
    task = task or found
    if task == "regression":
        if not _is_number(column):
            raise ProjectError(
                f"{source.path}: the label {label!r} is text; --task regression needs numbers."
            )
        return Target(label, task, (), why)
    if len(classes) > MOST_CLASSES:
        raise ProjectError(
            f"{source.path}: the label {label!r} has {len(classes):,} different values, expected {MOST_CLASSES} at "
            f"most for classes. {'Say --task regression' if _is_number(column) else 'Take another --label'}."
        )
    if found == "regression" and not all(value.lstrip("-").isdigit() for value in classes):
        raise ProjectError(f"{source.path}: the label {label!r} has fractions; --task {task} needs classes.")
    if task == "binary" and len(classes) != 2:
        raise ProjectError(
            f"{source.path}: the label {label!r} has {len(classes)} values; --task binary needs two."
        )
    return Target(label, "binary" if len(classes) == 2 else "multiclass", classes, why)


def texts(column: Any) -> list[str]:
    """The label's values as the generated features see them: stripped text, whole numbers as digits."""
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value).strip()


def _ordered(values: Sequence[str]) -> tuple[str, ...]:
    """Alphabetical, numbers by size, and pairs such as no and yes with the negative first."""
    if all(value.lstrip("-").isdigit() for value in values):
        return tuple(sorted(values, key=int))
    for pair in PAIRS:
        if sorted(value.lower() for value in values) == sorted(pair):
            return tuple(sorted(values, key=lambda value: pair.index(value.lower())))
    return tuple(values)


def _is_number(column: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _task(column: Any, classes: Sequence[str], rows: int) -> str:
    whole = all(value.lstrip("-").isdigit() for value in classes)
    if len(classes) == 2 and (whole or not _is_number(column)):
        return "binary"
    if not _is_number(column) or (whole and len(classes) <= FEW_NUMBERS and rows >= 10 * len(classes)):
        return "multiclass"
    return "regression"


def _check_missing(source: Source, label: str, column: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = column.is_null()
    if pa.types.is_floating(column.type):
        missing = pc.or_kleene(missing, pc.fill_null(pc.is_nan(column), True))
    count = pc.sum(missing).as_py()
    if count:
        row = missing.combine_chunks().index(True).as_py() if hasattr(missing, "combine_chunks") else 0
        raise ProjectError(
            f"{source.path}: the label {label!r} has no value in {count:,} of {len(column):,} rows, first in row "
            f"{row + 1:,}. Nothing can be learned from such rows: remove them, or fill them in."
        )


def _candidates(table: pa.Table) -> str:
    found = []
    for name in table.column_names:
        column = table.column(name)
        distinct = len(column.drop_null().unique()) if not hasattr(column.type, "value_type") else 0
        if 2 <= distinct <= 20:
            found.append(f"{name!r} ({distinct} values)")
        elif _is_number(column) and distinct > 20:
            found.append(f"{name!r} (numbers)")
    return f"Candidates: {', '.join(found)}" if found else "No column has two values or more"
