"""What several workers' states of one version amount to: pure functions.

A version that is wanted is as far as the worker that is furthest behind, and failed where it failed in any; one that
is not wanted any more is gone when it is gone everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from serving.core.manager import ENDED_STATES_KEPT
from serving.core.servable import ServableState, State

# Name, version, folder: the same number from another folder is another version.
Key = tuple[str, int, str]


class Report(NamedTuple):
    """What one worker says of a version."""

    state: State
    error: tuple[str, str] | None = None


def agreed(reports: Sequence[Report | None], *, wanted: bool) -> Report | None:
    """One report for all; None where nobody knows the version and nobody wants it. None in `reports`: that worker
    has not heard of it."""
    said = [report for report in reports if report is not None]
    failed = [report for report in said if report.error is not None]
    if wanted:
        if failed:
            return max(failed, key=lambda report: report.state.value)
        if said and len(said) == len(reports) and all(r.state is State.AVAILABLE for r in said):
            return Report(State.AVAILABLE)
        begun = any(report.state in (State.LOADING, State.AVAILABLE) for report in said)
        return Report(State.LOADING if begun else State.START)
    if not said:
        return None
    states = {report.state for report in said}
    if states == {State.END}:
        return failed[0] if failed else Report(State.END)
    if states & {State.UNLOADING, State.END}:
        return Report(State.UNLOADING)
    return Report(min(states, key=lambda state: state.value))


def forget_ended(states: dict[int, ServableState], known: Collection[int]) -> None:
    """Marks as ended what no worker knows any more, and keeps as many ended ones as a single process does."""
    for version, state in states.items():
        if version not in known and state.state is not State.END:
            states[version] = ServableState(state.id, State.END, state.error)
    ended = sorted(version for version, state in states.items() if state.state is State.END)
    for version in ended[: max(0, len(ended) - ENDED_STATES_KEPT)]:
        del states[version]
