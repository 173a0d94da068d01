"""A split of an Examples artifact as Transform reads it: the columns that a graph needs, in batches of bounded size."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components import columns

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 4096
# A graph makes several tensors of a batch, so it is kept smaller than what is read at once.
BATCH_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class Source:
    """The rows of `Split-<split>` at `uri`, with exactly the columns of `schema` (TFMD)."""

    uri: str
    split: str
    schema: Any

    @property
    def name(self) -> str:
        """For people."""
        return f"split {self.split!r}"

    @property
    def pattern(self) -> str:
        """The files of records, as TFX names them: what a data set's key in the analyzer cache is made of."""
        return os.path.join(self.uri, f"Split-{self.split}", "*")

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(number of the first row, batch), in stored order. Raises DamagedRecords as `columns.read_batches`."""
        first = 0
        for batch in columns.read_batches(self.uri, self.split, batch_rows=BATCH_ROWS, schema=self.schema):
            parts = max(1, min(batch.num_rows, -(-batch.nbytes // BATCH_BYTES)))
            for part in columns.cut(batch, -(-batch.num_rows // parts)):
                yield first, part
                first += part.num_rows
