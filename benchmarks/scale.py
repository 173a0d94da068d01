"""Rows against CPU seconds and memory: whole runs of card_fraud over 0.3, 1 and 3 million generated rows.

CPU seconds are those of all processes of a run, the warm host's among them. Memory is the sum over these processes,
shared pages counted once (PSS), read five times a second; the page cache of files that are read mapped counts as well.

figures: cpu_per_row_growth (CPU seconds per row at the most rows / at the fewest, fixed costs included), peak_mb (at
  the most rows). With --quick 5,000, 20,000 and 60,000 rows. --epochs: of the Trainer (1).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(CHECKOUT)

from benchmarks.local_run import OURS, PR_SET_CHILD_SUBREAPER, cpu_seconds, environment, reap  # noqa: E402
from benchmarks.report import arguments, finish, table  # noqa: E402

ROWS, QUICK_ROWS = (284_807, 1_000_000, 3_000_000), (5_000, 20_000, 60_000)
SAMPLED_S = 0.2


def main() -> None:
    """Runs the sizes one after the other and prints the figures."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = Path(tempfile.mkdtemp(prefix="scale-"))
    found = []
    for rows in QUICK_ROWS if options.quick else ROWS:
        write_data(folder / "data", rows)
        cpu, peak = run(folder, options.epochs)
        found.append((rows, cpu, 1e6 * cpu / rows, peak))
        print(f"  {rows:,} rows: {cpu:.1f} CPU s, {peak:.0f} MB", file=sys.stderr, flush=True)
    table(["rows", "CPU s", "CPU us / row", "peak MB"], found, title=f"card_fraud, {options.epochs} epoch(s)")
    finish("scale", {"cpu_per_row_growth": found[-1][2] / found[0][2], "peak_mb": found[-1][3]})
    shutil.rmtree(folder)


def write_data(folder: Path, rows: int) -> None:
    """One CSV of `rows` rows: the project's sample, drawn again and again with other seeds."""
    from pipelines.card_fraud import data

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "span-0").mkdir(parents=True)
    left, seed = rows, 11
    while left:
        part = min(left, 100_000)
        made = folder / "made"
        made.mkdir()
        data.sample(made, part, seed)
        (source,) = made.glob("*.csv")
        source.rename(folder / "span-0" / f"part-{seed}.csv")
        shutil.rmtree(made)
        left, seed = left - part, seed + 1


def run(folder: Path, epochs: int) -> tuple[float, float]:
    """(CPU seconds, peak MB) of a run from an empty HOME."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    command = [
        *OURS,
        "run",
        "card_fraud",
        "--plain",
        "--data",
        str(folder / "data"),
        "--set",
        f"epochs={epochs}",
    ]
    before = cpu_seconds()
    with _Memory() as memory, open(folder / "log.txt", "ab") as log:
        done = subprocess.run(
            command, env=environment(home), cwd=CHECKOUT, stdout=log, stderr=log, check=False
        )
    subprocess.run(
        [*OURS, "host", "stop"], env=environment(home), cwd=CHECKOUT, check=True, capture_output=True
    )
    reap()
    # 3: the model missed a bar, which one epoch is not meant to meet.
    if done.returncode not in (0, 3):
        raise SystemExit(f"{command} ended with {done.returncode}; see {folder / 'log.txt'}")
    return cpu_seconds() - before, memory.peak_mb


class _Memory:
    """The most memory that the descendants of this process had together while the block ran."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLED_S):
            self.peak_mb = max(self.peak_mb, sum(_pss_mb(pid) for pid in descendants(os.getpid())))


def descendants(root: int) -> list[int]:
    """Processes below `root`, as /proc tells at this moment."""
    parents = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as status:
                parents[int(name)] = int(status.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below = {root}
    found: list[int] = []
    while below:
        below = {pid for pid, parent in parents.items() if parent in below}
        found += below
    return found


def _pss_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024
    except (OSError, StopIteration, ValueError):
        return 0.0


if __name__ == "__main__":
    main()
