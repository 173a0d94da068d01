"""ArrowExampleGen beside stock CsvExampleGen on the same CSV: CPU seconds, peak memory, equality of the rows.

Each side runs its executor in a fresh child process, interleaved. CPU seconds are the child's own, of all its
threads and children, from after the imports (the same for both, and paid once by a warm runner) to the end
of the executor; the imports are printed beside them. Peak memory is the whole child's, imports included. It
does not measure wall time: on a shared machine that says little.

figures: cpu_ratio_gzip1, cpu_ratio_gzip6 (ours / stock, which always writes gzip 6), peak_mb, rows_equal (1
  or 0:
the decoded rows of all splits as multisets).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table

ROWS, QUICK_ROWS = 284_807, 12_000
SIDES = {"stock": 6, "gzip1": 1, "gzip6": 6}


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    rows = QUICK_ROWS if options.quick else ROWS
    rounds = options.rounds or (1 if options.quick else 3)
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        write_cards(folder / "data" / "creditcard.csv", rows)
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}

        def measured(side: str) -> float:
            found[side].append(in_child("run", side, folder))
            return float(found[side][-1]["cpu_s"])

        cpu = interleave({s: lambda s=s: measured(s) for s in SIDES}, rounds, warm=False)  # type: ignore[misc]
        equal = in_child("compare", "all", folder)
    table(
        ["side", "CPU s", "imports, CPU s", "peak MB", "MB written"],
        [
            [
                side,
                spread(cpu[side]),
                *(median([run[k] for run in found[side]]) for k in ("import_s", "peak_mb", "mb")),
            ]
            for side in SIDES
        ],
        title=f"{rows:,} rows x 31 columns, {rounds} rounds",
    )
    if equal["difference"]:
        print(f"rows differ: {equal['difference']}")
    finish(
        "ingest",
        {
            "cpu_ratio_gzip1": median_ratio(cpu["gzip1"], cpu["stock"]),
            "cpu_ratio_gzip6": median_ratio(cpu["gzip6"], cpu["stock"]),
            "peak_mb": max(run["peak_mb"] for side in ("gzip1", "gzip6") for run in found[side]),
            "rows_equal": float(equal["equal"]),
        },
    )


def write_cards(path: Path, rows: int) -> None:
    """A CSV of the creditcard schema: Time, V1..V28, Amount, Class; all floats but the last."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    random = np.random.default_rng(1)
    columns: dict[str, Any] = {"Time": np.sort(random.integers(0, 172_792, rows)).astype(float)}
    columns.update({f"V{number}": random.standard_normal(rows) for number in range(1, 29)})
    columns["Amount"] = np.round(random.lognormal(3, 1.5, rows), 2)
    columns["Class"] = (random.random(rows) < 0.0017).astype(np.int64)
    with path.open("wb") as file:
        # Arrow quotes names in a header, and the stock component takes the quotes for part of the name.
        file.write(",".join(columns).encode() + b"\n")
        csv.write_csv(pa.table(columns), file, csv.WriteOptions(include_header=False))


def in_child(task: str, side: str, folder: Path) -> dict[str, Any]:
    """Runs this file once more, as a child with one task; what its last line says."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}
    command = [sys.executable, __file__, "--child", task, side, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{task} {side} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def child(task: str, side: str, folder: Path) -> dict[str, Any]:
    return compare(folder) if task == "compare" else run(side, folder)


def run(side: str, folder: Path) -> dict[str, Any]:
    """One executor, from its component's own properties."""
    import resource
    import shutil

    from tfx.components import CsvExampleGen
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    from components.arrow_example_gen.component import ArrowExampleGen

    base = str(folder / "data")
    node = CsvExampleGen(base) if side == "stock" else ArrowExampleGen(base, gzip_level=SIDES[side])
    out = folder / side
    shutil.rmtree(out, ignore_errors=True)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(out)
    properties = {
        name: proto_utils.proto_to_json(value) if hasattr(value, "DESCRIPTOR") else value
        for name, value in node.exec_properties.items()
        if value is not None
    }
    executor = node.executor_spec.executor_class
    beam = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
    started = cpu_seconds()
    executor(executor.Context(beam_pipeline_args=beam, unique_id="1")).Do(
        {}, {"examples": [artifact]}, properties
    )
    return {
        "import_s": started,
        "cpu_s": cpu_seconds() - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "mb": sum(path.stat().st_size for path in out.rglob("*.gz")) / 2**20,
    }


def cpu_seconds() -> float:
    """User and system time of this process, all its threads, and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def compare(folder: Path) -> dict[str, Any]:
    """Whether ours wrote the same rows as stock, value by value, whatever the order and the split."""
    theirs = decoded(folder / "stock")
    for side in ("gzip1", "gzip6"):
        ours = decoded(folder / side)
        if ours.schema != theirs.schema:
            return {"equal": 0, "difference": f"{side}: {ours.schema} instead of {theirs.schema}"}
        if not ours.equals(theirs):
            return {
                "equal": 0,
                "difference": f"{side}: {ours.num_rows} rows, stock {theirs.num_rows}, not the same",
            }
    return {"equal": 1, "difference": ""}


def decoded(folder: Path) -> Any:
    """All rows as a table of flat columns in one fixed order. Missing values would be refused (there are
    none)."""
    import pyarrow as pa
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    files = sorted(str(path) for path in folder.rglob("*.gz"))
    decoder = ExamplesToRecordBatchDecoder()
    batches = []
    for records in tf.data.TFRecordDataset(files, "GZIP").batch(8192).as_numpy_iterator():
        batch = decoder.DecodeBatch(records.tolist())
        flat = {name: batch.column(place).flatten() for place, name in enumerate(batch.schema.names)}
        batches.append(pa.table(dict(sorted(flat.items()))))
    joined = pa.concat_tables(batches)
    return joined.sort_by([(name, "ascending") for name in joined.column_names]).combine_chunks()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))))
    else:
        main()
