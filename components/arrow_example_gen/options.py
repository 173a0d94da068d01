"""How to read and write: the settings of one ArrowExampleGen, checked once, carried as canonical JSON.

The JSON travels as one execution property, so two equal settings give equal cache keys. It holds no path.
"""

from __future__ import annotations

import dataclasses
import json

DEFAULT_SPAN_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of the reader (columns, split_key, delimiter, column_names, quoting) and of the writer.

    `span_bytes`: raw bytes that one Beam element reads and one shard per split comes from. The rows of a
    split do not depend on it, their distribution over shards does. `batch_rows`: rows encoded at a time.
    """

    columns: tuple[str, ...] | None = None
    split_key: str | None = None
    delimiter: str | None = None
    column_names: tuple[str, ...] | None = None
    quoting: bool = True
    gzip_level: int = 1
    span_bytes: int = DEFAULT_SPAN_BYTES
    batch_rows: int = 8192

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
        if self.delimiter is not None and (
            len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n'
        ):
            raise ValueError(
                f"delimiter={self.delimiter!r}: expected one ASCII character, such as ',' or '\\t'"
            )
        if not 0 <= self.gzip_level <= 9:
            raise ValueError(f"gzip_level={self.gzip_level!r}: expected 0 (none) to 9 (smallest)")
        if self.span_bytes < 1 or self.span_bytes > 1 << 30:
            raise ValueError(f"span_bytes={self.span_bytes!r}: expected 1 to 2**30")
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
        for field in ("columns", "column_names"):
            if values.get(field) is not None:
                values[field] = tuple(values[field])
        return cls(**values)
