"""What every benchmark shares: interleave the sides, take medians, print a table, end with one JSON line.

It does: `arguments` (with `--quick`), `interleave`, `median`, `spread`, `table`, `finish`.
It does not time anything or know any subject: a side is a function that returns its own measurement.

A benchmark starts like this, so that `python benchmarks/x.py` and `python -m benchmarks.x` both work from
the repository's root (the first line also keeps `benchmarks/serving.py` from hiding the package `serving`):

    if __name__ == "__main__":
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.report import arguments, finish, interleave, median, table  # noqa: E402
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser that already has `--quick` (within a minute) and `--rounds` (0 = the benchmark's own)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="finish within a minute; figures are rougher")
    parser.add_argument(
        "--rounds", type=int, default=0, help="times each side runs (default: the benchmark's)"
    )
    return parser


def interleave(
    sides: Mapping[str, Callable[[], float]], rounds: int, *, warm: bool = True, progress: bool = True
) -> dict[str, list[float]]:
    """Runs the sides A B C, A B C, ... `rounds` times and returns each side's measurements in order.

    Every other round runs backwards (A B C, C B A), so that neither side always follows the same neighbour.
    `warm` runs each side once before, unrecorded. Progress goes to stderr, so stdout stays a report.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds!r}; a comparison needs at least 1")
    names = list(sides)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1 if warm else 0, rounds):
        for name in names if number % 2 == 0 else reversed(names):
            start = time.perf_counter()
            value = float(sides[name]())
            if number >= 0:
                samples[name].append(value)
            if progress:
                what = "warm-up" if number < 0 else f"round {number + 1}/{rounds}"
                took = time.perf_counter() - start
                print(f"  {what} {name}: {_short(value)} ({took:.1f} s)", file=sys.stderr, flush=True)
    return samples


def median(values: Sequence[float]) -> float:
    """The median; NaN where there is nothing, so that a side that could not run shows instead of raising."""
    return statistics.median(values) if values else math.nan


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the per-round ratios ours / theirs: neighbours in time share the machine's mood."""
    return median([a / b for a, b in zip(ours, theirs, strict=True) if b])


def spread(values: Sequence[float]) -> str:
    """`median (lowest .. highest)` for people."""
    if not values:
        return "no measurement"
    return f"{_short(median(values))} ({_short(min(values))} .. {_short(max(values))})"


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Prints rows under headers: first column to the left, the rest to the right."""
    cells = [[_short(cell) for cell in row] for row in rows]
    widths = [max([len(header), *(len(row[i]) for row in cells)]) for i, header in enumerate(headers)]

    def line(values: Sequence[str]) -> str:
        first, *rest = values
        padded = [value.rjust(width) for value, width in zip(rest, widths[1:], strict=True)]
        return "  ".join([first.ljust(widths[0]), *padded]).rstrip()

    if title:
        print(f"\n{title}")
    print(line(headers))
    print("  ".join("-" * width for width in widths))
    for row in cells:
        print(line(row))
    sys.stdout.flush()


def finish(benchmark: str, figures: Mapping[str, float]) -> None:
    """Prints the figures as a table and then, as the last line of stdout, the JSON object machines read.

    A figure that could not be measured must be left out by the caller (and said in words), never made up:
    NaN and infinity are refused.
    """
    bad = {name: value for name, value in figures.items() if not math.isfinite(value)}
    if bad:
        raise ValueError(f"figures {bad!r} are not finite; leave out what could not be measured and say so")
    if figures:
        table(["figure", "value"], list(figures.items()), title=f"figures of {benchmark}")
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    print(json.dumps({"benchmark": benchmark, "figures": rounded}), flush=True)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
