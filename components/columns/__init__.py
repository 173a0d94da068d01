"""The rows of an Examples artifact once more, as columns: what executors of ours read instead of decoding records.

Beside `Split-<name>/*.gz`, which every TFX component reads, lie `columns/<name>-*.arrow` and `columns/manifest.json`
(see manifest.py): Arrow IPC files with the same rows in the same order. Whoever reads through `read_batches` gets

    large_list<item: float>, large_list<item: int64>, large_list<item: large_binary>    a feature with values
    null                                                                                a feature that never has a kind

per feature, exactly what `tfx_bsl.coders.example_coder.ExamplesToRecordBatchDecoder` makes of the records, and so what
TFDV, TFT and TFMA take: a feature that a row lacks is a null list, one that is there without values an empty list,
columns are ordered by name (with a `schema`: the schema's features in its order, missing ones all null). Two things
are different from one batch of TFXIO's to another anyway: how many rows a batch has, and whether a feature without a
value in the whole batch has a column in it.

It holds the format, its writer and its reader; which rows there are is the ExampleGens' and Transform's business.
"""

from components.columns.reading import BATCH_ROWS, DamagedRecords, cut, read_batches, rows_of

__all__ = ["BATCH_ROWS", "DamagedRecords", "cut", "read_batches", "rows_of"]
