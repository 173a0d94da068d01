"""What served versions answered and what became of it, joined by request id: HOME/watch/<served name>/answers.sqlite.

Request logs bring answers, files of outcomes (serving/ab) what became of them, in whichever order. Both stay for so
many days, and of a request the first outcome counts. A look is one transaction, and to take the same file twice changes
nothing: so a kill at any moment costs nothing. It judges nothing.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.base.project import Evaluation
from pipelines.base.watching.quality import truth

FILE = "answers.sqlite"
DAY_S = 86400.0
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (id TEXT PRIMARY KEY, version INTEGER, at REAL, predicted REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes (id TEXT PRIMARY KEY, at REAL, actual REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, read INTEGER) WITHOUT ROWID;
"""


class Answer(NamedTuple):
    """at: Unix seconds. predicted: what `quality.measure` takes; None where the answer holds no single prediction."""

    request_id: str
    version: int
    at: float
    predicted: float | None


class Joined(NamedTuple):
    """Of one version: its answers, those with an outcome, and of these the ones that can be compared, [n] each."""

    answers: int
    outcomes: int
    predicted: list[float]
    actual: list[float]


class Answers:
    """One file, opened by `opened`; not for several threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(self, answers: Sequence[Answer]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", answers)

    def hear(self, folder: Path, name: str, evaluation: Evaluation) -> int:
        """Takes up the outcomes called `name` that servers and people have left in `folder` since; how many."""
        from serving.ab.ledger import OUTCOMES
        from serving.ab.lines import Reader

        places = dict(self._db.execute("SELECT name, read FROM files"))
        reader = Reader(folder, OUTCOMES, places)
        # Earlier ones first, though they may be in files of several servers.
        told = sorted(
            (line for line in reader.fresh() if name in (line.get("v") or {})),
            key=lambda line: float(line.get("t", 0)),
        )
        rows = [
            (str(line.get("id")), float(line.get("t", 0)), truth(line["v"][name], evaluation))
            for line in told
        ]
        before = self._db.total_changes
        self._db.executemany("INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?)", rows)
        heard = self._db.total_changes - before
        there = {file: at for file, at in reader.places.items() if (folder / file).exists()}
        if there != places:
            self._db.execute("DELETE FROM files")
            self._db.executemany("INSERT INTO files VALUES (?, ?)", there.items())
        return heard

    @property
    def changed(self) -> bool:
        """Whether anything was taken up or forgotten since it was opened."""
        return self._db.total_changes > 0

    def forget(self, before: float) -> None:
        """What is older than `before`, Unix seconds."""
        for table in ("answers", "outcomes"):
            self._db.execute(f"DELETE FROM {table} WHERE at < ?", (before,))

    def joined(self) -> dict[int, Joined]:
        """By version."""
        found = {
            version: Joined(count, 0, [], [])
            for version, count in self._db.execute("SELECT version, count(*) FROM answers GROUP BY version")
        }
        pairs = "SELECT version, predicted, actual FROM answers JOIN outcomes USING (id) ORDER BY id"
        for version, predicted, actual in self._db.execute(pairs):
            of = found[version]
            found[version] = of._replace(outcomes=of.outcomes + 1)
            if predicted is not None and actual is not None:
                of.predicted.append(predicted)
                of.actual.append(actual)
        return found


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Answers]:
    """What is known in a watch's folder; written as a whole when the block ends, and not at all where it raises.

    A file that SQLite does not take for one of its own is put aside: what it knew is gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        db = _connect(folder / FILE)
    except sqlite3.DatabaseError:
        (folder / FILE).replace(folder / f"{FILE}.broken")
        db = _connect(folder / FILE)
    with contextlib.closing(db), db:
        yield Answers(db)


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=60)
    try:
        db.executescript(_TABLES)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def answer_of(record: bytes, log: Any, version: int, at: float, evaluation: Evaluation) -> Answer | None:
    """A record of a request log as an answer; None where it bears no id, so that no outcome can name it."""
    from serving.wire import feedback

    request_id = feedback.LogId.FromString(record).request_id
    return Answer(request_id, version, at, predicted(log, evaluation)) if request_id else None


def predicted(log: Any, evaluation: Evaluation) -> float | None:
    """What a PredictionLog's answer says: the score of class 1, the number of the likeliest class, or the value.

    None where it answers several rows, which have one outcome between them, or has no such output.
    """
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        return _of_outputs(log.predict_log.response.outputs, evaluation)
    results = (
        log.multi_inference_log.response.results
        if kind == "multi_inference_log"
        else [getattr(log, kind).response]
        if kind
        else []
    )
    for result in results:
        found = _of_result(result, evaluation)
        if found is not None:
            return found
    return None


def _of_outputs(outputs: Any, evaluation: Evaluation) -> float | None:
    from serving.client.tensors import decode
    from serving.errors import ServingError

    name = evaluation.prediction_key or (next(iter(outputs)) if len(outputs) == 1 else "")
    if name not in outputs:
        return None
    try:
        array = decode(outputs[name])
    except ServingError:
        return None
    if array.dtype.kind not in "fiub" or (array.ndim and len(array) != 1):
        return None
    return _of_scores([float(value) for value in np.ravel(array)], evaluation)


def _of_scores(scores: list[float], evaluation: Evaluation) -> float | None:
    """Of one row."""
    if not scores or not all(map(math.isfinite, scores)):
        return None
    if len(scores) == 1:
        return scores[0]
    if evaluation.task == "multiclass":
        return float(int(np.argmax(scores)))
    return scores[1] if evaluation.task == "binary" and len(scores) == 2 else None


def _of_result(result: Any, evaluation: Evaluation) -> float | None:
    """Of a Classify's or Regress's answer, or of one task of a MultiInference's."""
    part = getattr(result, "result", result)
    names = {field.name for field, _ in result.ListFields()}
    regressions = getattr(result, "regression_result", part) if "regression_result" in names else part
    classes = getattr(result, "classification_result", part) if "classification_result" in names else part
    if hasattr(regressions, "regressions") and len(regressions.regressions) == 1:
        return _of_scores([float(regressions.regressions[0].value)], evaluation)
    if not hasattr(classes, "classifications") or len(classes.classifications) != 1:
        return None
    rows = list(classes.classifications[0].classes)
    labels = [truth(row.label, evaluation) if row.label else None for row in rows]
    scores = [float(row.score) for row in rows]
    if None in labels:
        return _of_scores(scores, evaluation)
    by_label = dict(zip(labels, scores, strict=True))
    if evaluation.task == "binary":
        return by_label.get(1.0)
    return max(by_label, key=lambda label: by_label[label]) if by_label else None
