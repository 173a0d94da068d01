"""How to read and write: the settings of one ArrowExampleGen, checked once, carried as canonical JSON.

The JSON travels as one execution property, so two equal settings give equal cache keys. It holds no path.
"""

from __future__ import annotations

import dataclasses
import json

from pipelines.base.csv_reading import UTF_8, trouble

DEFAULT_PIECE_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of the reader (columns, split_key, column_names, quoting, those of CsvReading) and of the writer.

    `piece_bytes`: raw bytes that one Beam element reads and one shard per split comes from. The rows of a
    split do not depend on it, their distribution over shards does. `batch_rows`: rows encoded at a time.
    `delimiter`, `null_values`, `decimal`, `thousands`, `encoding` are for CSV files and those of
    pipelines.base.csv_reading. `label`: a column that every row must have a value of; "" for none.
    `split_time`: a column of times, the later of which go to the later splits.
    """

    columns: tuple[str, ...] | None = None
    split_key: str | None = None
    delimiter: str | None = None
    column_names: tuple[str, ...] | None = None
    quoting: bool = True
    gzip_level: int = 1
    piece_bytes: int = DEFAULT_PIECE_BYTES
    batch_rows: int = 8192
    null_values: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    encoding: str = UTF_8
    label: str = ""
    split_time: str | None = None

    def __post_init__(self) -> None:
        for field in ("columns", "column_names"):
            names = getattr(self, field)
            if names is None:
                continue
            if isinstance(names, str) or not names or not all(isinstance(n, str) and n for n in names):
                raise ValueError(f"{field}={names!r}: expected a non-empty list of column names")
            if len(set(names)) != len(names):
                raise ValueError(f"{field}={list(names)!r} names a column twice")
            object.__setattr__(self, field, tuple(names))
        if self.split_key and self.split_time:
            raise ValueError(f"split_key={self.split_key!r} and split_time={self.split_time!r}: expected one")
        if self.label and self.columns is not None and self.label not in self.columns:
            raise ValueError(f"columns={list(self.columns)!r} leaves out the label {self.label!r}")
        wrong = trouble(self.delimiter, self.null_values, self.decimal, self.thousands, self.encoding)
        if wrong:
            raise ValueError(wrong)
        object.__setattr__(self, "delimiter", self.delimiter or None)
        object.__setattr__(self, "null_values", tuple(self.null_values))
        if not 0 <= self.gzip_level <= 9:
            raise ValueError(f"gzip_level={self.gzip_level!r}: expected 0 (none) to 9 (smallest)")
        if self.piece_bytes < 1 or self.piece_bytes > 1 << 30:
            raise ValueError(f"piece_bytes={self.piece_bytes!r}: expected 1 to 2**30")
        if self.batch_rows < 1:
            raise ValueError(f"batch_rows={self.batch_rows!r}: expected at least 1")

    def to_json(self) -> str:
        """Canonical: only what differs from the defaults, keys in order."""
        defaults = Options()
        set_here = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(defaults, field.name)
        }
        return json.dumps(set_here, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Options:
        values = json.loads(text)
        for field in ("columns", "column_names", "null_values"):
            if values.get(field) is not None:
                values[field] = tuple(values[field])
        return cls(**values)
