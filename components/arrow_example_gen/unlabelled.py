"""Rows without a label: counted while rows are read, and then named by file and line.

Neither training nor evaluation can use such a row, and TensorFlow would say so much later, in words about shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading import diagnosing, parquet_rows
from components.arrow_example_gen.reading.pieces import Piece
from components.shards import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_NAMED = 5


class Unlabelled:
    """Gathers the rows of one task whose label is missing or NaN. Not for several threads."""

    def __init__(self, options: Options) -> None:
        self._options, self._count = options, 0
        self._rows: dict[Piece, int] = {}
        self._places: dict[Piece, list[int]] = {}

    def see(self, piece: Piece, batch: pa.RecordBatch) -> None:
        """The piece's next rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        label = self._options.label
        if not label:
            return
        column = batch.column(batch.schema.get_field_index(label))
        first = self._rows.get(piece, 0)
        self._rows[piece] = first + batch.num_rows
        is_float = pa.types.is_floating(column.type)
        if not column.null_count and not (is_float and pc.any(pc.is_nan(column)).as_py()):
            return
        gone = pc.is_null(column, nan_is_null=is_float)
        rows = pc.indices_nonzero(gone).to_pylist()
        self._count += len(rows)
        if sum(map(len, self._places.values())) < _NAMED:
            self._places.setdefault(piece, []).extend(first + row for row in rows[:_NAMED])

    def facts(self) -> dict[str, Any]:
        """{"count", "places": pairs such as ["a.csv", "line 7"]}, for which the files are read once more."""
        places: list[list[str]] = []
        for piece, rows in self._places.items():
            if piece.file.kind == "csv":
                numbers, what = diagnosing.lines_of(piece, rows, self._options), "line"
            else:
                before = parquet_rows.rows_before(piece)
                numbers, what = [before + row + 1 for row in rows], "row"
            places += [[piece.file.path, f"{what} {number}"] for number in numbers]
        return {"count": self._count, "places": places[:_NAMED]}


def refuse(label: str, told: Iterable[Mapping[str, Any]], rows: int) -> None:
    """Raises InputError if any task has found rows without the label among all `rows`."""
    told = list(told)
    count = sum(part["count"] for part in told)
    if not count:
        return
    places = [place for part in told for place in part["places"]][:_NAMED]
    by_file: dict[str, list[str]] = {}
    for path, place in places:
        by_file.setdefault(path, []).append(place)
    listed = "; ".join(f"{path}, {', '.join(numbers)}" for path, numbers in by_file.items())
    more = f" and {count - len(places):,} more" if count > len(places) else ""
    raise InputError(
        f"The label {label!r} has no value in {count:,} of {rows:,} rows: {listed}{more}. Drop these "
        "rows or fill in the label; words that stand for nothing are null_values."
    )
