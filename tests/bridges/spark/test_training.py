"""A command run by every task of a barrier stage on a real cluster: who is who, who dies, who is refused."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from bridges.errors import BridgeError
from bridges.spark import training


def on_cluster(test):  # type: ignore[no-untyped-def]
    """Marks a test that needs the cluster."""
    for mark in (pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")):
        test = mark(test)
    return test


# A worker without TensorFlow: says who it is, then does what the test asks of it. Its folder is its attempt's.
BEGIN = """
import json, os, pathlib, signal, socket, sys, time
config = json.loads(os.environ["TF_CONFIG"])
rank, everybody = config["task"]["index"], config["cluster"]["worker"]
folder = max(pathlib.Path(sys.argv[1]).glob("attempt-*"))
first = folder.name == "attempt-0"
(folder / f"seen-{rank}.json").write_text(json.dumps(everybody))
"""


def _plan(folder: Path, program: str, **options: float) -> training.Plan:
    return training.Plan((sys.executable, "-c", BEGIN + program, str(folder)), str(folder), **options)  # type: ignore[arg-type]


def test_a_held_port_is_for_a_server_that_is_told_of_it():
    with training.held_port() as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("0.0.0.0", port))
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("0.0.0.0", port))
            server.listen()
            # Only who listens is given connections.
            with socket.create_connection(("127.0.0.1", port)):
                server.accept()[0].close()


@on_cluster
def test_every_worker_knows_all_addresses_and_has_its_own(spark, spark_cluster, tmp_path):
    serve = (
        "host, _, port = everybody[rank].rpartition(':')\n"
        "server = socket.socket()\n"
        "server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "server.bind((host, int(port)))\n"
    )
    assert training.train(spark_cluster.url, 2, _plan(tmp_path, serve), print) == 1
    seen = [json.loads((tmp_path / "attempt-0" / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    assert seen[0] == seen[1] and len(set(seen[0])) == 2


@on_cluster
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (
            "if first and rank == 1: os.kill(os.getpid(), signal.SIGKILL)\nif first: time.sleep(600)",
            "ended with -9",
        ),
        ("if first and rank == 0: time.sleep(600)", "showed no progress for 3 s"),
    ],
    ids=["killed", "silent"],
)
def test_a_lost_worker_makes_all_begin_again_and_is_told(spark, spark_cluster, tmp_path, program, reason):
    said: list[str] = []
    plan = _plan(tmp_path, program, silence_s=3.0)
    assert training.train(spark_cluster.url, 2, plan, said.append) == 2
    assert any(reason in text for text in said) and any("begin again, attempt 2" in text for text in said)


@on_cluster
def test_what_one_worker_is_refused_ends_all_at_once(spark, spark_cluster, tmp_path):
    refuse = (
        "if rank == 1:\n"
        "    (folder / 'refused.json').write_text(json.dumps({'text': 'the loss is not finite'}))\n"
        "    sys.exit(1)\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(BridgeError, match=r"^the loss is not finite$"):
        training.train(spark_cluster.url, 2, _plan(tmp_path, refuse), print)
    assert not (tmp_path / "attempt-1").exists()


@on_cluster
def test_more_workers_than_cores_are_refused(spark, spark_cluster, tmp_path):
    with pytest.raises(BridgeError, match=r"--workers is 9, but spark://.* has not as many cores free"):
        training.train(spark_cluster.url, 9, _plan(tmp_path, ""), print)


def test_a_master_that_is_not_there_is_said_before_anything_starts(tmp_path):
    with pytest.raises(BridgeError, match=r"No Spark master answers at spark://127.0.0.1:9"):
        training.train("spark://127.0.0.1:9", 2, _plan(tmp_path, ""), print)
