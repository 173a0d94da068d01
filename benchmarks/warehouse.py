"""SqlExampleGen beside a row path over a cursor, as TFX's Presto component has it, and beside the rows in a CSV file.

A PostgreSQL of the benchmark's own holds rows of ten columns: numbers, whole numbers, texts, missing values. Each side
runs its executor in a fresh child process, interleaved; CPU seconds are the child's own, of all its threads, without
the imports, and without the server's, which all but the CSV side need alike. The stock side is TFX's
BaseExampleGenExecutor over a psycopg2 cursor of the server: a dictionary and a tf.Example for each row.

figures: cpu_vs_stock (ours / the row path), cpu_vs_csv (ours / ArrowExampleGen over the CSV file), rows_equal (1 or 0:
the decoded rows of all splits as multisets, those of ours and of the row path).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table

ROWS, QUICK_ROWS = 1_000_000, 20_000
SIDES = ("stock", "ours", "csv")
PASSWORD = "of-the-benchmark"
QUERY = "SELECT * FROM measured"
TABLE = """CREATE TABLE measured AS SELECT n AS id, (n::bigint * 7919 % 1000)::int AS customer, n % 2 AS flag,
    sin(n)::float8 AS a, cos(n)::float8 AS b, n / 8.0::float8 AS c, (n % 977) / 100.0::float8 AS price,
    'product ' || n % 500 AS product, CASE WHEN n % 10 = 0 THEN NULL ELSE 'note, ' || n % 50 END AS note,
    CASE WHEN n % 20 = 0 THEN NULL ELSE exp(n % 10)::float8 END AS d FROM generate_series(1, {rows}) n"""


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rows", type=int, help=f"{ROWS:,}, or {QUICK_ROWS:,} with --quick")
    options = parser.parse_args()
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (1 if options.quick else 3)
    with database() as at, tempfile.TemporaryDirectory(prefix="warehouse-") as name:
        folder = Path(name)
        prepare(at, folder, rows)
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}

        def measured(side: str) -> float:
            found[side].append(in_child("run", side, folder, at))
            return float(found[side][-1]["cpu_s"])

        cpu = interleave({s: lambda s=s: measured(s) for s in SIDES}, rounds, warm=False)  # type: ignore[misc]
        equal = in_child("compare", "all", folder, at)
    table(
        ["side", "CPU s", "imports, CPU s", "peak MB"],
        [
            [s, spread(cpu[s]), *(median([run[k] for run in found[s]]) for k in ("import_s", "peak_mb"))]
            for s in SIDES
        ],
        title=f"{rows:,} rows x 10 columns, {rounds} rounds",
    )
    finish(
        "warehouse",
        {
            "cpu_vs_stock": median_ratio(cpu["ours"], cpu["stock"]),
            "cpu_vs_csv": median_ratio(cpu["ours"], cpu["csv"]),
            "rows_equal": float(equal["equal"]),
        },
    )


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The address of a PostgreSQL that lives as long as the block; its password is in the environment."""
    from bridges.warehouse import address
    from dags.cluster import Cluster, data_folder, free_port

    with tempfile.TemporaryDirectory(prefix="viaduct-postgresql-") as base:
        Path(base).chmod(0o711)
        cluster = Cluster(data_folder(Path(base) / "postgresql"), free_port())
        cluster.create(PASSWORD)
        try:
            cluster.start()
            os.environ[address.PASSWORD] = PASSWORD
            yield f"postgresql://postgres@127.0.0.1:{cluster.port}/postgres"
        finally:
            cluster.stop("immediate")


def prepare(at: str, folder: Path, rows: int) -> None:
    """The table, its pointer, and the same rows as a CSV file, as the server writes it."""
    from bridges.warehouse import address, pointer

    with contextlib.closing(address.connect(at)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLE.format(rows=rows))
        with (folder / "rows.csv").open("wb") as file:
            cursor.copy_expert(f"COPY ({QUERY}) TO STDOUT (FORMAT csv, HEADER)", file)
    (folder / "query.sql").write_text(QUERY)
    pointer.write(folder / "pointers", at, folder / "query.sql")


def in_child(task: str, side: str, folder: Path, at: str) -> dict[str, Any]:
    """Runs this file once more, as a child with one task; what its last line says."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}
    command = [sys.executable, __file__, "--child", task, side, str(folder), at]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{task} {side} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def child(task: str, side: str, folder: Path, at: str) -> dict[str, Any]:
    return compare(folder) if task == "compare" else run(side, folder, at)


def _node(side: str, folder: Path) -> Any:
    from tfx.proto import example_gen_pb2

    from bridges.warehouse import pointer
    from components.arrow_example_gen.component import ArrowExampleGen
    from components.sql_example_gen.component import SqlExampleGen

    if side == "csv":
        return ArrowExampleGen(str(folder / "rows.csv"))
    [base] = (folder / "pointers").iterdir()
    pattern = example_gen_pb2.Input.Split(name="all", pattern=pointer.NAME)
    return SqlExampleGen(str(base), example_gen_pb2.Input(splits=[pattern]))


def _row_executor(at: str) -> Any:
    """An executor that reads row by row, for the same node."""
    import apache_beam as beam
    from tfx.components.example_gen import base_example_gen_executor

    @beam.ptransform_fn
    def rows_to_examples(pipeline: Any, exec_properties: Any, split_pattern: str) -> Any:
        return pipeline | beam.Create([QUERY]) | beam.FlatMap(_rows, at) | beam.Map(_example)

    class RowExecutor(base_example_gen_executor.BaseExampleGenExecutor):
        def GetInputSourceToExamplePTransform(self) -> Any:
            return rows_to_examples

    # TFX logs the name of an executor's class, and refuses one that cannot be imported by it.
    RowExecutor.__qualname__ = "RowExecutor"
    globals()["RowExecutor"] = RowExecutor
    return RowExecutor


def _rows(query: str, at: str) -> Iterator[dict[str, Any]]:
    from bridges.warehouse import address

    with contextlib.closing(address.connect(at)) as connection, connection.cursor("rows") as cursor:
        cursor.itersize = 10_000
        cursor.execute(query)
        for row in cursor:
            yield {described.name: value for described, value in zip(cursor.description, row, strict=True)}


def _example(row: dict[str, Any]) -> Any:
    """As TFX's Presto component does it: by the type of each value."""
    import tensorflow as tf

    features = {}
    for name, value in row.items():
        if value is None:
            features[name] = tf.train.Feature()
        elif isinstance(value, int):
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        elif isinstance(value, float):
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        else:
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
    return tf.train.Example(features=tf.train.Features(feature=features))


def run(side: str, folder: Path, at: str) -> dict[str, Any]:
    """One executor, from its component's own properties."""
    import resource
    import shutil

    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    node = _node(side, folder)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / side)
    shutil.rmtree(artifact.uri, ignore_errors=True)
    properties = {
        name: proto_utils.proto_to_json(value) if hasattr(value, "DESCRIPTOR") else value
        for name, value in node.exec_properties.items()
        if value is not None
    }
    if side == "csv":
        # A file stands for its folder, as the driver has it.
        properties |= {
            "input_base": str(folder),
            "input_config": '{"splits": [{"name": "all", "pattern": "rows.csv"}]}',
        }
    executor = _row_executor(at) if side == "stock" else node.executor_spec.executor_class
    beam = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
    started = cpu_seconds()
    executor(executor.Context(beam_pipeline_args=beam, unique_id="1")).Do(
        {}, {"examples": [artifact]}, properties
    )
    return {
        "import_s": started,
        "cpu_s": cpu_seconds() - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cpu_seconds() -> float:
    """User and system time of this process, all its threads, and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def compare(folder: Path) -> dict[str, Any]:
    """Whether ours and the row path wrote the same rows, whatever the order and the split."""
    return {"equal": int(decoded(folder / "ours") == decoded(folder / "stock"))}


def decoded(folder: Path) -> Any:
    """All rows, each as a sorted tuple of features and their values, counted."""
    from collections import Counter

    import tensorflow as tf

    counted: Any = Counter()
    files = sorted(str(path) for path in folder.rglob("*.gz"))
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        row = {
            name: tuple(getattr(one, kind).value)
            for name, one in features.items()
            if (kind := one.WhichOneof("kind"))
        }
        counted[tuple(sorted((name, values) for name, values in row.items() if values))] += 1
    return counted


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5])))
    else:
        main()
