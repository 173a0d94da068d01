"""The tables of `tables.py` by Spark's windows, for `--engine spark`: the same rows in the same order.

Spark's driver is a process of its own, as a node of a pipeline has gRPC's threads, beside which it must not be forked.
It reads the files itself, so on a cluster they lie on storage that all machines see, at the same path.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridges.errors import BridgeError
from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT
from pipelines.customer_spending.orders import NAMES
from pipelines.customer_spending.tables import TABLES

MASTER = "master"
TOLD = "error: "


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, row) of all tables, made at `options["master"]`; see tables.read_rows. Raises ProjectError with what
    Spark could not do, or which line is wrong."""
    import pyarrow.parquet as pq

    orders = [file for file in files if ".csv" in file.name.lower()]
    if not orders:
        raise ProjectError(f"No .csv among {[f.name for f in files][:5]}; expected tables of order lines.")
    with tempfile.TemporaryDirectory(prefix="spark-tables-") as folder:
        _drive(str(options[MASTER]), folder, orders)
        for name in TABLES:
            for batch in pq.ParquetFile(_file(Path(folder), name)).iter_batches():
                for row in batch.to_pylist():
                    yield name, row


def _drive(master: str, folder: str, files: Sequence[Path]) -> None:
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", __name__, master, folder, *map(str, files)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    if done.returncode:
        lines = done.stdout.splitlines() or [""]
        told = next((line for line in lines if line.startswith(TOLD)), "")
        raise ProjectError(
            told.removeprefix(TOLD) or f"Spark's driver ended with {done.returncode}: {lines[-1]}"
        )


def write_tables(session: Any, files: Sequence[Path], folder: Path) -> None:
    """Every table as FOLDER/<name>.parquet, sorted; `session` is Spark's. Raises BridgeError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bridges.spark import windows
    from bridges.spark.session import told

    with told():
        lines = windows.read_lines(session, files, NAMES).cache()
        try:
            if lines.isEmpty():
                raise BridgeError(f"{', '.join(f.name for f in files)}: no order line names a customer.")
            for name, table in windows.make_tables(lines).items():
                # By the driver: executors of other machines could not write to its disk.
                rows = pa.Table.from_pandas(table.toPandas(), preserve_index=False)
                order = [(column, "ascending") for column in windows.SORTED_BY[name]]
                pq.write_table(rows.sort_by(order), _file(folder, name))
        finally:
            lines.unpersist()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes customer_spending's tables on Spark.")
    parser.add_argument("master")
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    from bridges.spark import session

    # Few tasks where all run on this machine.
    settings = {"spark.sql.shuffle.partitions": "4"} if options.master.startswith("local") else {}
    settings["spark.sql.execution.arrow.pyspark.enabled"] = "true"
    try:
        spark = session.open_session(options.master, "customer_spending", settings)
        try:
            write_tables(spark, options.files, options.folder)
        finally:
            spark.stop()
    except BridgeError as error:
        print(f"{TOLD}{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
