"""Does what a plan says: one process at a time, project by project, each under the lock that its nodes respect.

For each project the plan is made twice: once to measure sizes, at leisure, and once under the lock, which is what is
done. What lies in the temporary folder, on whichever disk that is, is removed at once; all else goes to the trash.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base import executions, leftovers, metadata
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.housekeeping import planning, trash, turns
from pipelines.base.housekeeping.planning import Plan, Question, Thing
from pipelines.base.housekeeping.trash import Item
from pipelines.base.paths import Paths, metadata_url, sqlite_file

if TYPE_CHECKING:
    from ml_metadata import MetadataStore

PATIENCE_S = 30.0


@dataclass
class Done:
    """What came of it: things taken away, bytes in the trash and bytes freed for good, what could not be done."""

    moved: list[Thing] = field(default_factory=list)
    freed: int = 0
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Artifacts:
    """States of artifacts in one metadata store. See trash.States."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store

    def deleted(self, artifacts: Sequence[int]) -> bool:
        from ml_metadata.proto import metadata_store_pb2 as pb

        found = self._store.get_artifacts_by_id(list(artifacts))
        return bool(found) and all(artifact.state == pb.Artifact.DELETED for artifact in found)

    def mark(self, artifacts: Sequence[int], *, deleted: bool) -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        found = self._store.get_artifacts_by_id(list(artifacts))
        for artifact in found:
            artifact.state = pb.Artifact.DELETED if deleted else pb.Artifact.LIVE
        self._store.put_artifacts(found)


@contextlib.contextmanager
def opened(home: Path) -> Iterator[MetadataStore | None]:
    """ML Metadata of `home`; None where it is a file that is not there: then there is no artifact to ask about.

    What it says while the block runs is told in a sentence (ProjectError).
    """
    from ml_metadata import errors

    url = metadata_url(home)
    file = sqlite_file(url)
    if file is not None and not file.exists():
        yield None
        return
    store = metadata.store(url)
    try:
        yield store
    except errors.StatusError as error:
        raise ProjectError(metadata.explain(url, error)) from error


def look(question: Question) -> Plan:
    """The plan alone. Nothing is written."""
    with opened(question.home) as store:
        return planning.every(question, store)


def apply(question: Question) -> Done:
    """Ends what a killed process began, purges what is old in the trash, and takes away what goes."""
    home, done = question.home, Done()
    with trash.alone(home), opened(home) as store:
        states = _states(store)
        # First what makes room: on a full disk the rest needs some.
        for name in planning.projects(home):
            leftovers.sweep(Paths.of(name, home))
        done.failed += trash.mend(home, states)
        freed, failed = trash.purge(home, trash.KEPT_S, question.now)
        done.freed += freed
        done.failed += failed
        for name in planning.projects(home):
            if store is not None:  # what a killed process left RUNNING keeps nothing
                executions.settle_project(store, Paths.of(name, home))
            planning.project(question, name, store)  # measures, so that the lock is held for moments
            try:
                with turns.clearing(Paths.of(name, home), PATIENCE_S):
                    _throw(question, planning.project(question, name, store), states, done)
            except turns.Busy as error:
                done.notes.append(f"{error}; looked at the next time")
            except OSError as error:
                done.failed.append(f"{name}: {error}. Nothing of it was changed.")
        _throw(question, planning.shared(question), states, done)
    return done


def _throw(question: Question, plan: Plan, states: trash.States, done: Done) -> None:
    done.notes += plan.notes
    now = [thing for thing in plan.going if thing.kind == planning.TEMPORARY]
    for thing in now:
        done.freed += _remove(thing)
    things = [thing for thing in plan.going if thing.kind != planning.TEMPORARY]
    batch = trash.plan(question.home, things, time.time())
    done.failed += trash.throw(batch, states)
    kept = {(item.project, item.kind, item.name) for item in batch.items}
    done.moved += [thing for thing in things if (thing.project, thing.kind, thing.name) in kept]


def _remove(thing: Thing) -> int:
    for path in thing.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return thing.bytes


def restore(home: Path, wanted: str = "") -> tuple[list[Item], list[str]]:
    """Puts back what lies in the trash: all of it, or what a date, a project or a name's part names."""

    def is_wanted(item: Item) -> bool:
        places = [target for _, target in item.moves]
        return (
            not wanted
            or wanted in (item.project, item.kind)
            or any(wanted in text for text in (item.name, *places))
        )

    with trash.alone(home), opened(home) as store:
        states = _states(store)
        trash.mend(home, states)
        if not any(is_wanted(item) for batch in trash.batches(home) for item in batch.items):
            what = f" that {wanted!r} names" if wanted else ""
            raise ViaductError(f"There is nothing{what} in {home / trash.TRASH}.")
        return trash.restore(home, states, is_wanted)


def empty(home: Path) -> tuple[int, list[str]]:
    """Removes all that is in the trash for good: (bytes, what could not be removed)."""
    with trash.alone(home), opened(home) as store:
        trash.mend(home, _states(store))
        return trash.purge(home, 0.0, time.time())


class _None:
    """Where there is no metadata store no artifact is anything."""

    def deleted(self, artifacts: Sequence[int]) -> bool:
        return False

    def mark(self, artifacts: Sequence[int], *, deleted: bool) -> None:
        raise ViaductError("there is no ML Metadata to say so")


def _states(store: MetadataStore | None) -> trash.States:
    return _None() if store is None else Artifacts(store)
