"""The bridges to Spark: what handing rows over costs, and what scoring there costs beside one process.

CPU seconds are of all processes: driver, JVM and Python workers, each read from /proc before and after a job, after a
first job that starts workers and loads the model. The input is a Parquet file that each job reads, and what it costs
to read it alone is printed beside. Rates are rows per CPU second.

blocks:   30 floats a row in one array column, through the same numpy function by `map_blocks` and by a pandas_udf.
scoring:  rows of card_fraud from Parquet to Parquet by its newest model of HOME (production's, if there is one), in
          Spark (local[2]) and straight: one process that reads batches, encodes them by the same code, and calls the
          same engine.

figures: blocks_vs_pandas_udf (ours / pandas, of rates), score_vs_straight (ours / straight, of CPU).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
from benchmarks.report import arguments, finish, interleave, median_ratio, spread, table

WIDTH = 30
PROJECT = "card_fraud"
ROWS = {"blocks": (4_000_000, 400_000), "scoring": (1_000_000, 100_000)}


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    rows = {name: sizes[1 if options.quick else 0] for name, sizes in ROWS.items()}
    from bridges.spark import models, session
    from pipelines.base import production
    from pipelines.base.paths import Paths

    # Production's where there is one, else the first that was pushed.
    served = production.pushed_names(Paths.of(PROJECT))
    model = models.find(served[0] if served else PROJECT)
    spark = session.open_session("local[2]", "benchmark", {"spark.driver.memory": "2g"}, serve_only=True)
    with tempfile.TemporaryDirectory(prefix="spark-") as name:
        folder = Path(name)
        write_vectors(folder / "vectors.parquet", rows["blocks"])
        write_cards(folder / "cards.parquet", rows["scoring"], [one.name for one in model.features or ()])
        sides = {**block_sides(spark, folder), **scoring_sides(spark, folder, model)}
        cpu = interleave({name: lambda job=job: spent(job) for name, job in sides.items()}, rounds)  # type: ignore[misc]
    spark.stop()
    table(
        ["side", "CPU s"],
        [[name, spread(values)] for name, values in cpu.items()],
        title=f"{rows}, {rounds} rounds",
    )
    finish(
        "spark",
        {
            # Of rates: the same rows, so the inverse of the seconds.
            "blocks_vs_pandas_udf": median_ratio(cpu["pandas_udf"], cpu["map_blocks"]),
            "score_vs_straight": median_ratio(cpu["score"], cpu["straight"]),
        },
    )


def write_vectors(path: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = np.random.default_rng(1).standard_normal(rows * WIDTH).astype(np.float32)
    offsets = np.arange(rows + 1, dtype=np.int32) * WIDTH
    column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
    pq.write_table(pa.table({"v": column}), path, row_group_size=100_000, use_dictionary=False)


def write_cards(path: Path, rows: int, names: list[str]) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(2)
    columns = {name: random.standard_normal(rows).astype(np.float32) for name in names}
    columns |= {"Amount": random.lognormal(3, 1.5, rows), "Time": np.arange(rows, dtype=np.float64)}
    pq.write_table(pa.table(columns), path, row_group_size=50_000, use_dictionary=False)


def block_sides(spark: Any, folder: Path) -> dict[str, Any]:
    """Reading alone, and the same weighted sum of each row both ways; results are added up, not kept."""
    import numpy as np
    import pandas as pd
    from pyspark.sql import functions

    from bridges.spark import blocks

    weights = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    path = str(folder / "vectors.parquet")

    def udf(column: pd.Series) -> pd.Series:
        return pd.Series(np.stack(column.to_numpy()) @ weights)

    udf.__annotations__ = {"column": pd.Series, "return": pd.Series}
    weighted = functions.pandas_udf(udf, "float")

    def read() -> None:
        spark.read.parquet(path).selectExpr("sum(v[0])").collect()

    def by_blocks() -> None:
        frame = spark.read.parquet(path)
        answers = blocks.map_blocks(
            lambda block: {"y": block["v"] @ weights}, frame, trim=True, outputs="y float"
        )
        answers.selectExpr("sum(y)").collect()

    def by_pandas() -> None:
        spark.read.parquet(path).select(weighted("v").alias("y")).selectExpr("sum(y)").collect()

    return {"read alone": read, "map_blocks": by_blocks, "pandas_udf": by_pandas}


def scoring_sides(spark: Any, folder: Path, model: Any) -> dict[str, Any]:
    import itertools

    import pyarrow as pa
    import pyarrow.parquet as pq

    from bridges.spark import models, scoring, steps

    numbers = itertools.count()
    step = steps.step_of(model, spark.read.parquet(str(folder / "cards.parquet")).schema, {}, None)

    def score() -> None:
        scoring.score(
            spark, model, str(folder / "cards.parquet"), str(folder / f"scored-{next(numbers)}.parquet")
        )

    def straight() -> None:
        models.loaded(model)
        file = pq.ParquetFile(folder / "cards.parquet")
        writer = None
        for batch in file.iter_batches(4096):
            answers = step.run(batch)
            names = [field.name for field in step.fields]
            arrays = [pa.array(answers[name]) for name in names]
            told = [pa.array([model.name] * batch.num_rows), pa.array([model.version] * batch.num_rows)]
            columns, every = (
                [*batch.columns, *arrays, *told],
                [*batch.schema.names, *names, "model", "model_version"],
            )
            out = pa.Table.from_arrays(columns, every)
            writer = writer or pq.ParquetWriter(folder / "straight.parquet", out.schema)
            writer.write_table(out)
        if writer is not None:
            writer.close()

    return {"score": score, "straight": straight}


def spent(job: Any) -> float:
    """CPU seconds of this process and all below it while the job runs."""
    before = cpu_seconds()
    job()
    return cpu_seconds() - before


def cpu_seconds() -> float:
    """User and system time of this process and its living descendants, with that of their children that have ended."""
    processes: dict[int, tuple[int, float]] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        processes[int(stat.parent.name)] = (int(values[1]), sum(map(int, values[11:15])) / tick)
    total = 0.0
    for pid, (_, seconds) in processes.items():
        above = pid
        while above in processes and above != os.getpid():
            above = processes[above][0]
        total += seconds if above == os.getpid() else 0.0
    return total


if __name__ == "__main__":
    main()
