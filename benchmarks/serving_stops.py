"""Latencies at half load beside a process that only counts: part of `benchmarks/serving.py`.

A process that counts in a loop is late only when the machine stops it. Asked at the same even times as the server is,
its lateness is what nobody's answer could be free of.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import median, table

if TYPE_CHECKING:
    from benchmarks.serving import Bench

# The bar: p99 at half load within so many times the larger of the counting process's p99 and the lone p50.
ALLOWED = 3.0


def _count(rate: float, seconds: float) -> list[float]:
    """Milliseconds by which a loop that only counts is late at even times."""
    late = []
    start = time.perf_counter()
    due, end, step = start, start + seconds, 1 / rate
    while due < end:
        now = time.perf_counter()
        while due <= now and due < end:
            late.append((now - due) * 1e3)
            due += step
    return late


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))] if values else float("nan")


def half_load(bench: Bench, sides: dict[str, tuple[str, Path, float]], figures: dict[str, float]) -> None:
    """Latencies of requests that are due at even times; `sides`: name -> (address, payload, requests/s)."""
    rows = []
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        for name, (address, payload, rate) in sides.items():
            lone, half, counting = [], [], []
            for _ in range(bench.rounds):
                lone.append(bench.load(address, payload, 1, client="own")["latency_ms"])
                half.append(bench.load(address, payload, 32, rate=rate)["latency_ms"])
                found = pool.map(_count, [rate] * cores, [bench.seconds] * cores)
                counting.append(_p99([late for one in found for late in one]))
            shown = [
                median([one["p50"] for one in lone]),
                *(median([one[p] for one in half]) for p in ("p50", "p90", "p99")),
                median(counting),
            ]
            rows.append([name, rate, *(f"{value:.2f}" for value in shown)])
            allowed = [max(calm["p50"], late) * ALLOWED for calm, late in zip(lone, counting, strict=True)]
            p99s = [busy["p99"] for busy in half]
            figures[f"{name}_half_load_p99_ms"] = median(p99s)
            figures[f"{name}_half_load_p99_vs_allowed"] = median(
                [p99 / bar for p99, bar in zip(p99s, allowed, strict=True)]
            )
    headers = ["side", "requests/s", "lone p50 ms", "p50", "p90", "p99", "p99 of counting"]
    table(headers, rows, title="half load")
