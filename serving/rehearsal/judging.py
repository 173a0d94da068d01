"""The bars of a rehearsal: pure functions over what was seen. A bar is told whether it was met or missed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from serving.rehearsal.driving import Arm, Slice
from serving.rehearsal.terms import Terms


@dataclass(frozen=True)
class Bar:
    """`value` None: there was nothing to compare with, which misses no bar."""

    name: str
    passed: bool
    value: float | None
    text: str

    def plain(self) -> dict[str, Any]:
        value = self.value if self.value is None or math.isfinite(self.value) else str(self.value)
        return {**asdict(self), "value": value}


def latency_ratios(current: Sequence[Slice], candidate: Sequence[Slice]) -> list[float]:
    """Of the p99s of each pair of slices, candidate to current; pairs without answers of both are left out."""
    pairs = zip(current, candidate, strict=False)
    return [two.p99 / one.p99 for one, two in pairs if one.latencies and two.latencies]


def too_slow(terms: Terms, current: Arm, candidate: Arm) -> bool:
    """Whether the median of the pairs so far misses the bar."""
    ratios = latency_ratios(current.slices, candidate.slices)
    return bool(ratios) and float(np.median(ratios)) > terms.latency_ratio


def bars(terms: Terms, candidate: Arm, current: Arm | None, apart: float | None) -> list[Bar]:
    """All of them, in the order in which they are told. apart: see parity; None where it was not asked for."""
    errors = f"{candidate.errors} of {candidate.requests} requests failed"
    first = f": {candidate.texts[0]}" if candidate.texts else ""
    found = [
        Bar("errors", candidate.errors == 0 < candidate.requests, candidate.errors, errors + first),
        Bar("finite", candidate.nonfinite == 0, candidate.nonfinite,
            f"{candidate.nonfinite} different answers had numbers that are none"),
        _latency(terms, candidate, current),
        _memory(terms, candidate, current),
    ]  # fmt: skip
    if apart is not None and terms.parity is not None:
        said = f"answers are up to {apart:.2g} from the export's own, {terms.parity:g} are allowed"
        found.append(Bar("parity", apart <= terms.parity, apart, said))
    return found


def _latency(terms: Terms, candidate: Arm, current: Arm | None) -> Bar:
    p99 = float(np.median([one.p99 for one in candidate.slices if one.latencies] or [math.nan])) * 1e3
    ratios = [] if current is None else latency_ratios(current.slices, candidate.slices)
    if not ratios:
        return Bar("latency", True, None, f"p99 {p99:.3g} ms; no version is served to compare it with")
    ratio = float(np.median(ratios))
    said = f"p99 {ratio:.3g} times the served version's (median of {len(ratios)} pairs; {p99:.3g} ms)"
    return Bar("latency", ratio <= terms.latency_ratio, ratio, f"{said}, {terms.latency_ratio:g} are allowed")


def _memory(terms: Terms, candidate: Arm, current: Arm | None) -> Bar:
    megabytes = candidate.stage.peak / 2**20
    said = f"{megabytes:.0f} MB at the peak"
    passed = terms.memory_mb is None or megabytes <= terms.memory_mb
    if terms.memory_mb is not None:
        said += f", {terms.memory_mb:g} are allowed"
    if current is None or not current.stage.peak:
        return Bar("memory", passed, None, said)
    ratio = candidate.stage.peak / current.stage.peak
    said += f", {ratio:.3g} times the served version's, {terms.memory_ratio:g} are allowed"
    return Bar("memory", passed and ratio <= terms.memory_ratio, ratio, said)
