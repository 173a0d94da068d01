"""A Spark session that fits the bridges, and Spark's errors said in one sentence.

What is missing is said in the first seconds: Java, the master. One session lives in a process at a time, which is
Spark's own rule. Nothing is read or computed here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from pipelines.base.paths import CHECKOUT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECT_S = 3.0
DEFAULT_PORT = 7077
# Rows that the JVM hands over at once. Spark 3.5 bounds these by rows alone; see `blocks` for bytes.
BATCH_ROWS = 4096
_MASTER = re.compile(r"spark://(?P<host>\[[^]]+\]|[^:/,]+)(?::(?P<port>\d+))?")
_LOCAL = re.compile(r"local(\[(\d+|\*)(,\d+)?\])?")
# What the model server sets for itself: with the same kernels the answers are the same to the last bit.
ENGINE_ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "2"}
SERVE_ONLY = "VIADUCT_SERVE_ONLY"
# The one line of a worker's traceback that says what is wrong.
_TOLD = re.compile(
    r"^(?:[\w.]*\.)?BridgeError: (?P<text>.*?)$(?=\n\s*(?:\n|at |Traceback|During|$)|\Z)", re.M | re.S
)


def check_java() -> None:
    """Raises BridgeError where Spark would find no Java."""
    home = os.environ.get("JAVA_HOME")
    if home and not (Path(home) / "bin" / "java").is_file():
        raise BridgeError(
            f"JAVA_HOME is {home!r}, which has no bin/java. Expected a Java 17 (or 8, 11); unset it or correct it."
        )
    if not home and shutil.which("java") is None:
        raise BridgeError(
            "Java is missing, and Spark runs on it. On Debian or Ubuntu: apt-get install openjdk-17-jre-headless"
        )


def check(master: str) -> None:
    """Raises BridgeError for what a session at `master` would lack: Java, pyspark, the master."""
    check_java()
    if importlib.util.find_spec("pyspark") is None:
        raise BridgeError("pyspark is not installed: install the extra 'spark' of tfx-viaduct.")
    check_master(master)


def check_master(master: str) -> None:
    """Raises BridgeError for a master that is no local one and does not answer at its port within seconds."""
    match = _MASTER.fullmatch(master)
    if match is None:
        if _LOCAL.fullmatch(master) is None:
            raise BridgeError(f"--master is {master!r}; expected local[2] or spark://HOST:{DEFAULT_PORT}.")
        return
    address = match["host"].strip("[]"), int(match["port"] or DEFAULT_PORT)
    try:
        socket.create_connection(address, CONNECT_S).close()
    except OSError as error:
        raise BridgeError(
            f"No Spark master answers at {master} ({error.strerror or error}). `make spark` starts one on this machine."
        ) from None


def open_session(
    master: str, name: str, settings: Mapping[str, Any] | None = None, *, serve_only: bool = False
) -> SparkSession:
    """A session at `master`, or the process's own where one is open at the same master.

    `settings` are Spark's. With `serve_only` its workers load no more of TensorFlow than models need, so functions
    of users that import it cannot run there. Raises BridgeError.
    """
    check(master)
    from pyspark.sql import SparkSession

    there = SparkSession.getActiveSession()
    if there is not None and there.sparkContext.master != master:
        raise BridgeError(
            f"This process has a Spark session at {there.sparkContext.master}, asked for is {master}. Stop the first."
        )
    # Workers are forked from a process that the driver or an executor starts: both find the checkout by its path.
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    environment = {**ENGINE_ENVIRONMENT, "PYTHONPATH": path, **({SERVE_ONLY: "1"} if serve_only else {})}
    os.environ.update({"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable})
    if there is None and _LOCAL.fullmatch(master):
        os.environ.update({"SPARK_LOCAL_IP": "127.0.0.1", **environment})
    chosen = {
        **_defaults(master),
        **{f"spark.executorEnv.{key}": value for key, value in environment.items()},
    }
    builder = SparkSession.builder.master(master).appName(name)
    for key, value in {**chosen, **(settings or {})}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    # What goes wrong in tasks is told by `told`; executors of a cluster keep logs of their own.
    session.sparkContext.setLogLevel("OFF")
    return session


def _defaults(master: str) -> dict[str, Any]:
    local = _LOCAL.fullmatch(master) is not None or "//127." in master or "//localhost" in master
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.pyspark.python": sys.executable,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": BATCH_ROWS,
        # A task's files count when the task is committed, and the job's when the job is: nothing twice.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "1",
        # Slots for a barrier are looked for every 15 s otherwise.
        "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "2s",
        **({"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"} if local else {}),
    }


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What Spark raises within, as the BridgeError that a worker raised, or as Spark's own first line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise BridgeError(sentence(f"{error}")) from error


def sentence(text: str) -> str:
    """Of Spark's text, which holds tracebacks of three languages, the line that says what is wrong."""
    match = _TOLD.search(text)
    if match is not None:
        return match["text"].strip()
    causes = re.findall(r"^(?:Caused by|Exception): .*|^\w*(?:Error|Exception): .*", text, re.M)
    # Py4J's own first line says which method it was.
    lines = [line for line in text.splitlines() if line and not line.startswith("An error occurred while")]
    line = causes[-1] if causes else next(iter(lines), text).removeprefix(": ")
    return f"Spark failed: {line.removeprefix('Caused by: ').strip()[:600]}"
