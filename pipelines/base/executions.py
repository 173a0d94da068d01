"""The executions of a node in ML Metadata: which one is finished, and what a dead process left unfinished.

A node's attempt holds its lock from before its execution is registered until after it is published. Whoever gets
the lock therefore knows that an execution which still says NEW or RUNNING has nobody working on it. Running nodes
is node.py's; nothing here imports TFX.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from pipelines.base import run_folder, run_record
from pipelines.base.paths import Paths, metadata_url, sqlite_file

if TYPE_CHECKING:
    from ml_metadata import MetadataStore
    from ml_metadata.proto.metadata_store_pb2 import Execution

FAILURE = "viaduct_failure"
ENDED = "the process that ran it ended"
# What was told to end gets five seconds before it is killed; its lock is free a moment later.
PATIENCE_S = 8.0
POLL_S = 0.05
FINISHED, ACTIVE = ("COMPLETE", "CACHED"), ("NEW", "RUNNING")


class Busy(Exception):
    """Another living process holds the node's lock."""


@contextlib.contextmanager
def attempt(paths: Paths, run_id: str, node: str, patience_s: float | None = None) -> Iterator[None]:
    """One attempt of a node at a time: a scheduler that lost sight of an attempt may start the next one beside it.

    The second waits until the first has ended, and then finds its finished execution or takes its place. Raises
    Busy if that lasts longer than `patience_s` seconds; without a limit it waits for ever.
    """
    file = run_folder.lock_file(paths.runs / run_id, node)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        if patience_s is None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            _lock_within(lock, patience_s, f"{node} of {run_id}")
        yield


def _lock_within(lock: IO[str], patience_s: float, name: str) -> None:
    end = time.monotonic() + patience_s
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Busy(f"{name} is still at work") from None
            time.sleep(POLL_S)


def of_run(store: MetadataStore, project: str, run_id: str, node: str = "") -> list[Execution]:
    """The executions of a run (of one of its nodes, if named), oldest first."""
    names = {"pipeline": project, "pipeline_run": run_id}
    if node:
        names["node"] = f"{project}.{node}"
    contexts = [store.get_context_by_type_and_name(kind, name) for kind, name in names.items()]
    if any(context is None for context in contexts):
        return []
    return _listed(store, [f"contexts_{i}.id = {context.id}" for i, context in enumerate(contexts)])


def finished(executions: Iterable[Execution]) -> Execution | None:
    """The first of `executions` that is COMPLETE or CACHED, the only two that mean success."""
    return next((execution for execution in executions if state_of(execution) in FINISHED), None)


def are_outputs_there(store: MetadataStore, execution: Execution) -> bool:
    """Whether all that a finished execution made is LIVE still; what was cleared away has to be made again."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    events = store.get_events_by_execution_ids([execution.id])
    made = [event.artifact_id for event in events if event.type == pb.Event.OUTPUT]
    cleared = (pb.Artifact.DELETED, pb.Artifact.MARKED_FOR_DELETION)
    return all(a.state not in cleared for a in (store.get_artifacts_by_id(made) if made else []))


def state_of(execution: Execution) -> str:
    """The name of the execution's state."""
    return type(execution).State.Name(execution.last_known_state)


def fail(store: MetadataStore, executions: Iterable[Execution], reason: str) -> int:
    """Marks those of `executions` that say NEW or RUNNING as FAILED, with the reason; returns how many.

    What they had begun to write is ABANDONED. Only for who holds the node's lock.
    """
    from ml_metadata.proto import metadata_store_pb2 as pb

    active = [execution for execution in executions if state_of(execution) in ACTIVE]
    if not active:
        return 0
    events = store.get_events_by_execution_ids([execution.id for execution in active])
    written = [e.artifact_id for e in events if e.type in (pb.Event.OUTPUT, pb.Event.PENDING_OUTPUT)]
    artifacts = store.get_artifacts_by_id(written) if written else []
    pending = [artifact for artifact in artifacts if artifact.state == pb.Artifact.PENDING]
    for artifact in pending:
        artifact.state = pb.Artifact.ABANDONED
    if pending:
        store.put_artifacts(pending)
    for execution in active:
        execution.last_known_state = pb.Execution.FAILED
        execution.custom_properties[FAILURE].string_value = reason
    store.put_executions(active)
    return len(active)


def settle_run(store: MetadataStore, paths: Paths, run_id: str, reason: str, node: str = "") -> int:
    """Fails what the run (or its node) left NEW or RUNNING; returns how many. Waits for what is just ending."""
    active = [e for e in of_run(store, paths.project, run_id, node) if state_of(e) in ACTIVE]
    return _settle(store, paths, active, reason, PATIENCE_S)


def settle_project(store: MetadataStore, paths: Paths, reason: str = ENDED) -> int:
    """Fails what runs of the project that are over left NEW or RUNNING; returns how many.

    What a run's record says of its end does not matter, nor whether there is one. In a store that several HOMEs
    share, a run that this HOME knows nothing of is left to the one it belongs to.
    """
    context = store.get_context_by_type_and_name("pipeline", paths.project)
    if context is None:
        return 0
    states = " OR ".join(f"last_known_state = {state}" for state in ACTIVE)
    active = _listed(store, [f"contexts_0.id = {context.id}", f"({states})"])
    return _settle(store, paths, active, reason, 0.0, of_living_runs=False)


def _listed(store: MetadataStore, conditions: list[str]) -> list[Execution]:
    from ml_metadata import ListOptions, OrderByField

    query = " AND ".join(conditions)
    options = ListOptions(order_by=OrderByField.ID, is_asc=True, filter_query=query)
    return store.get_executions(list_options=options)


def _settle(
    store: MetadataStore,
    paths: Paths,
    active: list[Execution],
    reason: str,
    patience_s: float,
    *,
    of_living_runs: bool = True,
) -> int:
    own = sqlite_file(metadata_url(paths.home)) == paths.home / "metadata.sqlite"
    settled = 0
    for execution in active:
        contexts = {context.type: context.name for context in store.get_contexts_by_execution(execution.id)}
        if not {"pipeline_run", "node"} <= contexts.keys():
            continue  # not TFX's
        run_id, node = contexts["pipeline_run"], contexts["node"].removeprefix(f"{paths.project}.")
        folder = paths.runs / run_id
        record = run_record.read(folder / run_record.RECORD)
        if record is not None and record.alive() and not of_living_runs:
            continue
        if not folder.is_dir():
            # Nobody holds a lock in a folder that is not there.
            settled += fail(store, [execution], reason) if own else 0
            continue
        with contextlib.suppress(Busy), attempt(paths, run_id, node, patience_s):
            # Read again: it may have been published between the listing and the lock.
            settled += fail(store, store.get_executions_by_id([execution.id]), reason)
    return settled
