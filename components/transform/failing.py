"""Which row and which feature preprocessing_fn fails on, found by trying: nobody has to read TensorFlow's trace.

It is asked only after a batch failed. It halves the batch until one row is left, then puts a sound row's values in
place of that row's, feature by feature, until it passes. What fails only in company is said to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import ProjectError

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN_FEATURES, _SHOWN_CHARACTERS, _TRIED_ROWS = 20, 80, 16
Apply = Callable[["pa.RecordBatch"], Any]


def explain(apply: Apply, batch: pa.RecordBatch, first: int, where: str, error: Exception) -> ProjectError:
    """The error for people. `first` is the number of the batch's first row in `where`, counted from 0."""
    row = _failing_row(apply, batch)
    told = f"It says: {_in_short(error).rstrip('.')}"
    if row is None:
        return ProjectError(
            f"preprocessing_fn fails on rows {first + 1:,} to {first + batch.num_rows:,} of {where}, and on none of "
            f"them alone, so it makes something of a whole batch, which can be of any size. {told}."
        )
    one = _rows(batch, [row])
    features = _culprits(apply, batch, one, row)
    names = ", ".join(map(repr, features))
    what = f"feature{'s' if len(features) > 1 else ''} {names} of row" if features else "row"
    return ProjectError(
        f"preprocessing_fn fails on {what} {first + row + 1:,} of {where}: {_shown(one, features)}. {told}. "
        "Mend the data, or let features.py deal with such values."
    )


def _failing_row(apply: Apply, batch: pa.RecordBatch) -> int | None:
    """The number of a row that fails by itself."""
    low, high = 0, batch.num_rows
    while high - low > 1:
        middle = (low + high) // 2
        if not _passes(apply, _rows(batch, range(low, middle))):
            high = middle
        elif not _passes(apply, _rows(batch, range(middle, high))):
            low = middle
        else:
            return None
    return low if not _passes(apply, _rows(batch, [low])) else None


def _culprits(apply: Apply, batch: pa.RecordBatch, one: pa.RecordBatch, row: int) -> list[str]:
    """Features of the failing row any of which a sound row's value mends."""
    import pyarrow as pa

    tried = [number for number in range(batch.num_rows) if number != row][:_TRIED_ROWS]
    sound = next((s for n in tried if _passes(apply, s := _rows(batch, [n]))), None)
    if sound is None:
        return []
    found = []
    for number, name in enumerate(batch.schema.names):
        columns = list(one.columns)
        columns[number] = sound.column(number)
        if _passes(apply, pa.RecordBatch.from_arrays(columns, schema=batch.schema)):
            found.append(name)
    return found


def _passes(apply: Apply, batch: pa.RecordBatch) -> bool:
    try:
        apply(batch)
    except Exception:
        return False
    return True


def _rows(batch: pa.RecordBatch, numbers: Any) -> pa.RecordBatch:
    import pyarrow as pa

    return batch.take(pa.array(list(numbers), pa.int64()))


def _shown(one: pa.RecordBatch, features: list[str]) -> str:
    """The row's values, those of `features` first; long ones cut."""
    values = dict(zip(one.schema.names, (column[0].as_py() for column in one.columns), strict=True))
    names = [*features, *(name for name in values if name not in features)]
    parts = [f"{name!r}: {_short(values[name])}" for name in names[:_SHOWN_FEATURES]]
    return "{" + ", ".join(parts) + (", ..." if len(names) > _SHOWN_FEATURES else "") + "}"


def _short(value: Any) -> str:
    if value is None:
        return "missing"
    plain = [v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for v in value]
    text = repr(plain[0] if len(plain) == 1 else plain[:20])
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _in_short(error: Exception) -> str:
    """What TensorFlow says, without its account of nodes and stacks."""
    text = str(getattr(error, "message", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    skipped = (
        "Graph execution error",
        "Detected at node",
        "Stack trace",
        "<stack traces",
        "[[{{node",
        "[Op:",
    )
    told = [line for line in lines if not line.startswith(skipped)]
    return f"{type(error).__name__}: {' '.join(told or lines)[:400]}"
