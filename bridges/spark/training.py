"""Runs one command as every worker of a cluster: the tasks of a Spark barrier stage, which start and fail together.

Each task finds its place, tells the others its address, and starts the command with TF_CONFIG, the way TensorFlow's
distribution strategies are told of one another. What the command trains is its own business, and so are checkpoints:
when a worker dies Spark starts the whole stage again, and the command goes on from what it saved in `folder`, which all
machines must see. No model and no TensorFlow here.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.errors import BridgeError
from bridges.spark.session import check_java, open_session, told
from pipelines.base import whole

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLL_S = 0.2
TERM_GRACE_S = 5.0
# A worker that shows no progress for so long hangs, in a collective operation with one that died for example.
SILENCE_S = 900.0
REFUSED, PROGRESS = "refused.json", "VIADUCT_PROGRESS"
LOG_LINES = 15
NO_SLOTS = "SPARK-24819"


@dataclass(frozen=True)
class Plan:
    """What each task is told. `folder` is on storage that all machines share; `progress` is the first worker's file."""

    command: tuple[str, ...]
    folder: str
    progress: str = ""
    silence_s: float = SILENCE_S


class Lost(Exception):
    """A worker ended before its work was done; its stage starts again."""


def train(
    master: str,
    workers: int,
    plan: Plan,
    say: Callable[[str], None],
    settings: Mapping[str, Any] | None = None,
) -> int:
    """Runs the plan's command as `workers` workers at once and returns how many times the stage began.

    `say` is told of each new beginning and why. `settings` are Spark's. Raises BridgeError with the text that a worker
    left in `refused.json` of its attempt's folder, if the cluster has not that many cores, and when workers were lost
    in each of Spark's attempts (four).
    """
    if workers < 1:
        raise BridgeError(f"--workers is {workers}; expected 1 or more.")
    Path(plan.folder).mkdir(parents=True, exist_ok=True)
    with _session(master, settings or {}) as session:
        ended = _barrier(session, master, workers, plan, say)
    refused = next((outcome["refused"] for outcome in ended if outcome["refused"]), "")
    if refused:
        raise BridgeError(refused)
    return 1 + max(int(outcome["attempt"]) for outcome in ended)


@contextlib.contextmanager
def _session(master: str, settings: Mapping[str, Any]) -> Iterator[SparkSession]:
    """The process's own session where it has one, else one for as long as the training takes."""
    check_java()
    from pyspark.sql import SparkSession

    there = SparkSession.getActiveSession()
    session = open_session(master, "viaduct training", {**_SETTINGS, **settings})
    try:
        yield session
    finally:
        if there is None:
            session.stop()


def _barrier(
    session: SparkSession, master: str, workers: int, plan: Plan, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """What each worker's task says in the end."""
    over = threading.Event()
    told_of = threading.Thread(target=_tell, args=(Path(plan.folder), say, over), daemon=True)
    told_of.start()
    try:
        numbers = session.sparkContext.parallelize(range(workers), workers)
        stage = numbers.barrier().mapPartitions(_task(plan))
        with told(), _slots_told(workers, master):
            # Spark never repeats a barrier stage that gives results; one whose output is shuffled it does.
            return list(stage.map(lambda outcome: (0, outcome)).partitionBy(1).values().collect())
    finally:
        over.set()
        told_of.join()


@contextlib.contextmanager
def _slots_told(workers: int, master: str) -> Iterator[None]:
    """Spark's refusal of a barrier that has no place, in a sentence."""
    from py4j.protocol import Py4JError

    try:
        yield
    except Py4JError as error:
        if NO_SLOTS not in str(error):
            raise
        raise BridgeError(
            f"--workers is {workers}, but {master} has not as many cores free: all train at once, each on a core of "
            "its own."
        ) from error


_SETTINGS = {
    # What trains is a process beside the executor, which only watches it.
    "spark.executor.memory": "512m",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "15",
    "spark.task.cpus": "1",
    # Tasks of a barrier are not repeated one by one; a lost stage is.
    "spark.stage.maxConsecutiveAttempts": "4",
    "spark.network.timeout": "120s",
    "spark.executor.heartbeatInterval": "5s",
    "spark.python.worker.reuse": "false",
}


def _task(plan: Plan) -> Callable[[Iterator[int]], Iterator[dict[str, Any]]]:
    """What runs on the executors; everything in it travels by pickle."""

    def work(_: Iterator[int]) -> Iterator[dict[str, Any]]:
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        rank = context.partitionId()
        host = context.getTaskInfos()[rank].address.rpartition(":")[0].strip("[]")
        begun = len(list(Path(plan.folder).glob("attempt-*")))
        with held_port() as port:
            gathered = [part.split(" ") for part in context.allGather(f"{host}:{port} {begun}")]
            # The first worker's count is everybody's: another may count a folder that the first has just made.
            attempt = int(gathered[0][1])
            folder = Path(plan.folder) / f"attempt-{attempt}"
            folder.mkdir(parents=True, exist_ok=True)
            everybody = [address for address, _ in gathered]
            yield {"attempt": attempt, "refused": _work(plan, folder, rank, everybody)}

    return work


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port that the kernel gives nobody else while the block runs. A server that binds it as servers do
    (SO_REUSEADDR; TensorFlow's refuses SO_REUSEPORT) gets it all the same, since the socket here never listens."""
    with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if holder.family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.bind(("", 0))
        yield holder.getsockname()[1]


def _work(plan: Plan, folder: Path, rank: int, everybody: Sequence[str]) -> str:
    """Runs the command as worker `rank`; '' when it ended well, the text of a refusal, Lost for what else ended it."""
    progress = Path(plan.progress) if plan.progress and rank == 0 else folder / f"progress-{rank}.json"
    progress.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "TF_CONFIG": json.dumps(
            {"cluster": {"worker": list(everybody)}, "task": {"type": "worker", "index": rank}}
        ),
        PROGRESS: str(progress),
    }
    log = folder / f"worker-{rank}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            plan.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        code = _watch(process, plan, folder, progress)
    except Lost as lost:
        reason = str(lost)
    else:
        reason = "" if code == 0 else f"ended with {code}"
    finally:
        _end(process)
    if not reason:
        return ""
    if refusal := _refusal(folder):
        return refusal
    tail = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    whole.write(folder / f"lost-{rank}.json", json.dumps({"worker": rank, "reason": reason, "log": tail}))
    raise Lost(f"worker {rank} {reason}")


def _watch(process: subprocess.Popen[bytes], plan: Plan, folder: Path, progress: Path) -> int:
    """The command's exit code. Raises Lost where it is silent for too long, or another was refused its work."""
    alive = time.monotonic()
    seen = 0
    while (code := process.poll()) is None:
        with contextlib.suppress(OSError):
            if (now := progress.stat().st_mtime_ns) != seen:
                seen, alive = now, time.monotonic()
        if time.monotonic() - alive > plan.silence_s:
            raise Lost(f"showed no progress for {plan.silence_s:g} s")
        if (folder / REFUSED).exists():
            # Whoever was refused has ended, and nobody else will come further without.
            return _last(process)
        time.sleep(POLL_S)
    return code


def _last(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(TERM_GRACE_S)
    except subprocess.TimeoutExpired:
        return -1


def _refusal(folder: Path) -> str:
    try:
        return str(json.loads((folder / REFUSED).read_text(encoding="utf-8"))["text"])
    except (OSError, ValueError, KeyError):
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        if _last(process) == -1 and process.poll() is None:
            process.kill()
            process.wait()


def _tell(folder: Path, say: Callable[[str], None], over: threading.Event) -> None:
    """Says which workers were lost, as their tasks write it down; a task that is killed itself writes nothing."""
    known: set[Path] = set()
    attempts: set[Path] = set()
    while True:
        last = over.wait(POLL_S)
        for file in sorted(set(folder.glob("attempt-*/lost-*.json")) - known):
            known.add(file)
            lost = json.loads(file.read_text(encoding="utf-8"))
            say("\n".join([f"Worker {lost['worker']} {lost['reason']}; the last it said:", *lost["log"]]))
        for begun in sorted(set(folder.glob("attempt-*")) - attempts):
            attempts.add(begun)
            if len(attempts) > 1:
                say(f"A worker was lost. All begin again, attempt {len(attempts)}, from the last checkpoint.")
        if last:
            return
