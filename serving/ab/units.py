"""The users of an A/B test and what they did: who was asked by which version, joined with outcomes by request id.

A user belongs to the version that the first of their requests was given to, whichever answered in the end. An outcome
counts where it was here within the test's window after that first request; a user is counted when the window is over,
and nothing changes their value from then on, so that whoever looks at any time sees the beginning of the same story.
Of one request and name the first outcome counts: to send it again changes nothing. Reads only.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serving.ab.ledger import FOLDER, OUTCOMES, SEEN
from serving.ab.lines import Reader
from serving.ab.outcomes import Value
from serving.ab.proportions import Floats
from serving.ab.trial import SHARE, Trial


class Settled(NamedTuple):
    """Users whose window is over, in the order in which it ended: when (seconds since 1970), whether they are B's, and
    their value."""

    at: Floats
    is_b: Floats
    value: Floats


class Joined(NamedTuple):
    """`first`: of every user so far, in order, when the first request came and whether it was B's, [users, 2].
    `counts`: what became of the outcomes of this metric, by word."""

    settled: Settled
    first: Floats
    counts: dict[str, int]


class Feedback:
    """What is kept beside one model. `read` goes on where it ended; not to be shared by threads."""

    def __init__(self, base_path: str | Path) -> None:
        folder = Path(base_path) / FOLDER
        self._seen, self._told = Reader(folder, SEEN), Reader(folder, OUTCOMES)
        # Release -> request id -> (user, time, whether B's).
        self._requests: dict[int, dict[str, tuple[str, float, bool]]] = {}
        # Request id -> name -> (time, value): the first one.
        self.outcomes: dict[str, dict[str, tuple[float, Value]]] = {}
        # Name -> outcomes that came again; and those with another value.
        self._again: Counter[str] = Counter()
        self._other: Counter[str] = Counter()

    def read(self) -> None:
        """Takes up what has been written since."""
        for line in self._seen.fresh():
            try:
                request = (str(line["u"]), float(line["t"]), bool(line["b"]))
                self._requests.setdefault(int(line["r"]), {})[str(line["id"])] = request
            except (KeyError, TypeError, ValueError):
                continue
        for line in sorted(self._told.fresh(), key=lambda one: float(one.get("t", 0))):
            for name, value in dict(line.get("v") or {}).items():
                known = self.outcomes.setdefault(str(line.get("id")), {})
                if name not in known:
                    known[name] = (float(line.get("t", 0)), value)
                else:
                    self._again[name] += 1
                    self._other[name] += known[name][1] != value

    @property
    def torn(self) -> int:
        """Lines that a kill or a power cut has left incomplete."""
        return self._seen.torn + self._told.torn

    def joined(self, release: int, trial: Trial, now: float) -> Joined:
        """The users of a release's test as of `now`, seconds since 1970."""
        requests, order = self._requests.get(release, {}), self._users(release)
        values, counts = self._values(requests, dict(order), trial)
        over = [
            (at + trial.window_s, is_b, values.get(user, 0.0))
            for user, (at, is_b) in order
            if at + trial.window_s <= now
        ]
        columns = np.array(over, np.float64).reshape(-1, 3).T
        counts["again"], counts["another value"] = self._again[trial.metric], self._other[trial.metric]
        table = np.array([one for _, one in order], np.float64).reshape(-1, 2)
        return Joined(Settled(*columns), table, {"torn lines": self.torn, **counts})

    def arms(self, release: int) -> Floats:
        """Of every user of a release so far, in order, whether they are B's."""
        return np.array([is_b for _, (_, is_b) in self._users(release)], np.float64)

    def _users(self, release: int) -> list[tuple[str, tuple[float, bool]]]:
        """(user, (when the first request came, whether it was B's)) in the order of coming."""
        first: dict[str, tuple[float, bool]] = {}
        for user, at, is_b in self._requests.get(release, {}).values():
            if user not in first or at < first[user][0]:
                first[user] = (at, is_b)
        return sorted(first.items(), key=lambda one: (one[1][0], one[0]))

    def _values(
        self,
        requests: dict[str, tuple[str, float, bool]],
        first: dict[str, tuple[float, bool]],
        trial: Trial,
    ) -> tuple[dict[str, float], Counter[str]]:
        values: dict[str, float] = {}
        counts: Counter[str] = Counter({"requests": len(requests)})
        for request_id, told in self.outcomes.items():
            if trial.metric not in told:
                continue
            at, value = told[trial.metric]
            request = requests.get(request_id)
            if request is None:
                counts["of no request of this test"] += 1
                continue
            user = request[0]
            if at > first[user][0] + trial.window_s:
                counts["late"] += 1
            elif isinstance(value, str) or (trial.kind == SHARE and value not in (0.0, 1.0)):
                counts["of the wrong kind"] += 1
            else:
                counts["counted"] += 1
                before = values.get(user, 0.0)
                values[user] = max(before, value) if trial.kind == SHARE else before + value
        return values, counts
