"""A table scored on a real cluster: the server's answers, whole or not at all, whoever dies in between."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from bridges.errors import BridgeError
from bridges.spark import models, scoring, tables
from serving.client import Client
from tests.serving.processes import ServerProcess, until

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]


@pytest.fixture(scope="module")
def model(finished_run):
    """card_fraud's model and the raw file of its sample, as a table."""
    run = finished_run("card_fraud")
    found = models.find(Path(run.record.pushed).parent)
    [file] = run.paths.samples.glob("*/span-0/creditcard.csv")
    return found, file, pa.csv.read_csv(file)


def test_the_answers_are_the_servers_to_the_last_bit_with_model_and_version(spark, model, tmp_path):
    found, file, raw = model
    done = scoring.score(spark, found, str(file), str(tmp_path / "scored.parquet"), block_rows=500)
    assert (done.rows, done.version) == (raw.num_rows, found.version)
    table = pq.read_table(tmp_path / "scored.parquet")
    assert table.column("model_version").unique().to_pylist() == [found.version]
    assert table.schema.names[-2:] == ["model", "model_version"]
    assert table.select(raw.schema.names).column("V3").equals(raw.column("V3"))

    with (
        ServerProcess(
            "--model_name=card_fraud", f"--model_base_path={os.path.dirname(found.path)}"
        ) as server,
        Client(server.grpc_address) as client,
    ):
        names = [one.name for one in found.features]
        # The blocks that Spark's batches of 4,096 rows are cut into: a batch of another size may round otherwise.
        for start, size in ((0, 500), (3_500, 500), (4_000, 96)):
            rows = raw.slice(start, size)
            lists = [
                pa.ListArray.from_arrays(
                    pa.array(np.arange(size + 1, dtype=np.int32)),
                    rows.column(n).combine_chunks().cast(pa.float32()),
                )
                for n in names
            ]
            encoded = RecordBatchToExamplesEncoder().encode(pa.RecordBatch.from_arrays(lists, names))
            answer = client.predict(
                "card_fraud", {"examples": np.array(encoded, object)}, signature="serve_examples"
            )
            for name, values in answer.items():
                ours = table.column(name).slice(start, size).to_numpy()
                assert ours.tobytes() == values.tobytes(), name
        one = client.predict(
            "card_fraud", {"examples": np.array(encoded[:1], object)}, signature="serve_examples"
        )
        assert one["score"][0] == pytest.approx(table.column("score")[4_000].as_py(), rel=1e-5)


def test_a_worker_and_its_executor_killed_in_the_middle_change_nothing(spark, spark_cluster, model, tmp_path):
    found, _, raw = model
    source = tmp_path / "raw"
    source.mkdir()
    for part in range(16):
        rows = raw.slice(part * 1000, 1000)
        pq.write_table(
            rows.append_column("row", pa.array(range(part * 1000, part * 1000 + 1000))),
            source / f"{part}.parquet",
        )
    spark.conf.set("spark.sql.files.openCostInBytes", str(64 << 20))
    target = tmp_path / "scored.parquet"
    errors = []

    def score() -> None:
        try:
            scoring.score(spark, found, str(source), str(target), "parquet")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=score)
    thread.start()
    try:
        # Some tasks are done when the first parts are there, others are not yet.
        until(lambda: list(tmp_path.glob(".scored.parquet*/part-*")) or errors, 120)
        assert not target.exists()
        executors = spark_cluster.executors("worker-0")
        assert executors
        for pid in [*executors, spark_cluster.processes["worker-0"].pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert thread.is_alive()
        thread.join(240)
        assert not thread.is_alive()
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")
        spark_cluster.processes["worker-0"].wait()
        spark_cluster.add_worker("worker-0")
    assert errors == []
    table = pq.read_table(target)
    assert 1 < len(list(target.iterdir())) <= 16
    assert sorted(table.column("row").to_pylist()) == list(range(16_000))
    assert not list(tmp_path.glob(".scored*"))


def test_a_failure_leaves_no_output_and_bad_tables_are_told_before_a_job(spark, model, tmp_path):
    found, file, raw = model
    head = raw.slice(0, 5)
    at = head.schema.get_field_index("V3")

    def table(column, name: str):
        pq.write_table(head.set_column(at, "V3", column), tmp_path / name)
        return str(tmp_path / name)

    target = str(tmp_path / "out.parquet")
    with pytest.raises(BridgeError, match=r"'V3' has 1 missing values .* cannot do without"):
        scoring.score(spark, found, table(pa.array([1.0, 2.0, None, 4.0, 5.0]), "gap.parquet"), target)
    with pytest.raises(BridgeError, match=r"Column 'V3' is string, and card_fraud\.sample wants floats"):
        scoring.score(spark, found, table(pa.array(list("abcde")), "text.parquet"), target)
    pq.write_table(head.remove_column(at), tmp_path / "less.parquet")
    with pytest.raises(BridgeError, match="Column 'V3' does not exist"):
        scoring.score(spark, found, str(tmp_path / "less.parquet"), target)
    pq.write_table(head.append_column("score", head.column("V3")), tmp_path / "more.parquet")
    with pytest.raises(BridgeError, match="'score' would overwrite"):
        scoring.score(spark, found, str(tmp_path / "more.parquet"), target)
    (tmp_path / "bad.csv").write_text(
        file.read_text()[:6000].rpartition("\n")[0].replace("-1.5603", "abc", 1) + "\n"
    )
    with pytest.raises(BridgeError, match=r"abc|[Mm]alformed"):
        scoring.score(spark, found, str(tmp_path / "bad.csv"), target)
    with pytest.raises(BridgeError, match="does not exist"):
        scoring.score(spark, found, str(tmp_path / "none.csv"), target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.csv",
        "gap.parquet",
        "less.parquet",
        "more.parquet",
        "text.parquet",
    ]
    few = scoring.score(spark, found, table(head.column("V3"), "text.parquet"), target)
    assert few.rows == 5
    pq.write_table(head.slice(0, 0), tmp_path / "text.parquet")
    empty = scoring.score(spark, found, str(tmp_path / "text.parquet"), str(tmp_path / "empty.parquet"))
    assert empty.rows == 0
    names = pq.read_table(tmp_path / "out.parquet").schema.names
    assert pq.read_table(tmp_path / "empty.parquet").schema.names == names
    assert scoring.score(spark, found, str(file), str(tmp_path / "out.csv")).rows == raw.num_rows
    assert (tmp_path / "out.csv" / "_SUCCESS").exists()
    with pytest.raises(BridgeError, match="exists already"):
        scoring.score(spark, found, str(file), str(tmp_path / "bad.csv"))
    jdbc = "jdbc:postgresql://127.0.0.1:1/db?user=me"
    for source, says in {
        jdbc: "names its table",
        f"{jdbc}&password=secret&dbtable=t": "Leave the password out",
        f"{jdbc}&dbtable=t": r"org\.postgresql\.Driver",
    }.items():
        with pytest.raises(BridgeError, match=says) as told:
            tables.read(spark, source, found)
        assert "secret" not in str(told.value)
