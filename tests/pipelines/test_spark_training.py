"""A whole run whose Trainer is two workers of a real Spark cluster, one of which is killed in the middle."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridges.spark.cluster import Cluster
from pipelines.base import run_record
from pipelines.base.paths import Paths
from tests.conftest import missing
from tests.serving.processes import until

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]
CHECKOUT = Path(__file__).resolve().parents[2]
RUN = ("run", "digits", "--variant", "logistic", "--set", "epochs=6", "--plain", "--workers", "2", "--spark")


@pytest.fixture
def cluster(tmp_path):
    """A master and two workers of their own: other tests' session has taken the cores of theirs."""
    if shutil.which("java") is None:
        missing("Java")
    cluster = Cluster(tmp_path / "spark", memory="768m")
    cluster.start()
    yield cluster
    cluster.stop()


def _worker(rank: int) -> int:
    """The process that trains as worker `rank`; 0 where there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"components.spark_trainer.worker" in (folder / "cmdline").read_bytes():
                variables = (folder / "environ").read_bytes().split(b"\0")
                config = next(v for v in variables if v.startswith(b"TF_CONFIG="))
                if json.loads(config.partition(b"=")[2])["task"]["index"] == rank:
                    return int(folder.name)
    return 0


def test_a_worker_killed_in_an_epoch_costs_no_more_than_that_epoch(cluster, tmp_path):
    home = tmp_path / "home"
    environment = {**os.environ, "VIADUCT_HOME": str(home)}
    command = [sys.executable, "-m", "pipelines", *RUN, cluster.url]
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            log = "pipelines/digits/Trainer/model_run/*-workers/attempt-0/worker-1.log"
            until(lambda: any("Epoch 3/" in file.read_text() for file in home.glob(log)), 400)
            os.kill(_worker(1), signal.SIGKILL)
            told, _ = process.communicate(timeout=400)
        finally:
            process.kill()
            subprocess.run([*command[:3], "host", "stop"], cwd=CHECKOUT, env=environment, check=False)
    assert process.returncode == 0, told
    (record,) = run_record.read_all(Paths.of("digits", home))
    assert record.blessed and len(list(home.glob("serving/digits.logistic.sample/*"))) == 1
    (model_run,) = home.glob("pipelines/digits/Trainer/model_run/*")
    first, second = (
        re.findall(r"^Epoch (\d+)/6", (model_run / f"attempt-{attempt}-worker-0.log").read_text(), re.M)
        for attempt in (0, 1)
    )
    # The last epoch that both had ended is not trained again, and none is left out.
    assert first[0] == "1" and 2 <= int(second[0]) <= 4 and second[-1] == "6"
    node = (home / "runs" / "digits" / record.run_id / "logs" / "Trainer.log").read_text()
    assert "Worker 1 ended with -9" in node and "begin again, attempt 2" in node
