"""What the servers have counted of a release: numbers by share, arm and kind, added up, and as the judge takes them.

A cell is (share, arm, what): a number. `asked` requests reached an arm and `errors`, `nonfinite` of them had that
event; `timed` of them were timed and `slow` of those were slow. In the shadow both arms see the same requests.
Standard library and numpy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from serving.release.judge import Counts

Cell = tuple[str, str, str]
Tally = Counter[Cell]

BASELINE, CANDIDATE = "baseline", "candidate"
SHADOW = "shadow"
# Each guard's event and what it is counted among.
GUARDS = {"errors": "asked", "slow": "timed", "nonfinite": "asked"}
# Both arms of the shadow run every request: an event of either is as likely to be the candidate's.
SHADOW_SHARE = 0.5


def share_name(share: float) -> str:
    """How a share is called among the labels of a metric."""
    return SHADOW if share == 0 else f"{share:g}"


def of_cells(values: Mapping[tuple[str, ...], Any], name: str, number: int) -> Tally:
    """What the counter of `serving.telemetry.metrics` holds of one release."""
    found: Tally = Counter()
    for (model, _version, release, share, arm, what), count in values.items():
        if model == name and release == str(number):
            found[share, arm, what] += int(count)
    return found


def to_json(tally: Mapping[Cell, float]) -> list[list[Any]]:
    return [[*cell, number] for cell, number in sorted(tally.items())]


def from_json(rows: Any) -> Tally:
    """What `to_json` made; whatever else stands there counts as nothing."""
    found: Tally = Counter()
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and len(row) == 4 and isinstance(row[3], int | float):
            found[str(row[0]), str(row[1]), str(row[2])] += row[3]  # type: ignore[assignment]
    return found


def added(tallies: Iterable[Tally]) -> Tally:
    total: Tally = Counter()
    for one in tallies:
        total.update(one)
    return total


def of(tally: Tally, what: str, arm: str = CANDIDATE, *, share: str | None = None) -> float:
    """One number, over all shares or at one."""
    return sum(n for (s, a, w), n in tally.items() if a == arm and w == what and share in (None, s))


def counts(tally: Tally, guard: str) -> list[Counts]:
    """A guard's counts, one for each share that held."""
    among = GUARDS[guard]
    found = []
    for share in sorted({cell[0] for cell in tally}):
        cells = ((arm, what) for what in (guard, among) for arm in (CANDIDATE, BASELINE))
        numbers = [float(tally[share, arm, what]) for arm, what in cells]
        found.append(Counts(SHADOW_SHARE if share == SHADOW else float(share), *numbers))
    return [one for one in found if 0 < one.share < 1]
