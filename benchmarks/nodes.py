"""One node at a time: StatisticsGen, Transform and the Evaluator by our executors and by TFX's own, on the same inputs.

A run of card_fraud makes the inputs (examples, schema, transform graph, model); then each node's executor is called
in fresh children, ours and stock in turn. CPU seconds are those of the child and what it started, from after the
imports (which the warm host pays once, and which are the same for both) to the end of the executor.

figures: statistics_cpu, transform_cpu, evaluator_cpu (ours / stock at 284,807 rows; three slices), the same with
  `_small` (20,000 rows), and equal: 1 if what both sides made is equal, as nodes_equal.py says. With --quick only the
  small ones, from 5,000 rows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(CHECKOUT)

from benchmarks import node_calls  # noqa: E402
from benchmarks.local_run import write_data  # noqa: E402
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table  # noqa: E402

ROWS, SMALL, QUICK_ROWS = 284_807, 20_000, 5_000
# Name of the figure: node of the spine, TFX's component of which it is.
NODES = {"statistics": "StatisticsGen", "transform": "Transform", "evaluator": "Evaluator"}
SIDES = ("ours", "stock")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--node", choices=NODES, action="append", help="only this one (may be repeated)")
    options = parser.parse_args()
    nodes = options.node or list(NODES)
    sizes = {"_small": QUICK_ROWS} if options.quick else {"": ROWS, "_small": SMALL}
    rounds = options.rounds or (1 if options.quick else 3)
    figures: dict[str, float] = {}
    # Kept on failure, so that the logs can be read.
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))
    different: list[str] = []
    for suffix, rows in sizes.items():
        prepared = prepare(folder / str(rows), rows)
        found = {node: measure(prepared, node, rounds) for node in nodes}
        table(
            ["node", "ours, CPU s", "stock, CPU s", "ours, peak MB", "stock, peak MB"],
            [
                [
                    NODES[node],
                    *(spread(sides[side]["cpu"]) for side in SIDES),
                    *(median(sides[side]["peak"]) for side in SIDES),
                ]
                for node, sides in found.items()
            ],
            title=f"{rows:,} rows x 31 columns, {rounds} rounds",
        )
        for node, sides in found.items():
            figures[f"{node}_cpu{suffix}"] = median_ratio(sides["ours"]["cpu"], sides["stock"]["cpu"])
            different += [
                f"{rows:,} rows, {node}: {told}" for told in child("compare", node, "", prepared)["told"]
            ]
    for told in different:
        print(f"different: {told}")
    finish("nodes", {**figures, "equal": float(not different)})
    shutil.rmtree(folder)


def prepare(folder: Path, rows: int) -> Path:
    """A HOME with one run of card_fraud over `rows` generated rows."""
    folder.mkdir(parents=True)
    write_data(folder / "data", rows)
    home = folder / "home"
    environment = {**os.environ, "VIADUCT_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "pipelines"]
    run = [*command, "run", "card_fraud", "--plain", "--data", str(folder / "data"), "--set", "epochs=1"]
    with open(folder / "log.txt", "ab") as log:
        done = subprocess.run(run, env=environment, cwd=CHECKOUT, stdout=log, stderr=log, check=False)
        subprocess.run(
            [*command, "host", "stop"], env=environment, cwd=CHECKOUT, stdout=log, stderr=log, check=False
        )
    # 3: the model missed a bar, which one epoch is not meant to meet.
    if done.returncode not in (0, 3):
        raise SystemExit(f"{run} ended with {done.returncode}; see {folder / 'log.txt'}")
    return home


def measure(home: Path, node: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """{side: {"cpu": seconds per round, "peak": MB per round}}"""
    found: dict[str, dict[str, list[float]]] = {side: {"cpu": [], "peak": []} for side in SIDES}

    def once(side: str) -> float:
        told = child("run", node, side, home)
        for key in ("cpu", "peak"):
            found[side][key].append(told[key])
        return float(told["cpu"])

    interleave({side: lambda side=side: once(side) for side in SIDES}, rounds, warm=False)  # type: ignore[misc]
    return found


def child(task: str, node: str, side: str, home: Path) -> dict[str, Any]:
    """Runs this file once more, as a child with one task; what its last line says."""
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_USE_LEGACY_KERAS": "1",
        "VIADUCT_HOME": str(home),
    }
    command = [sys.executable, __file__, "--child", task, node, side, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=CHECKOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{task} {node} {side} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run(node: str, side: str, home: Path) -> dict[str, float]:
    """Calls the node's executor on what it was given in the run."""
    import resource

    from pipelines.base import stack

    stack.import_all()
    call = node_calls.of_run(
        home, "card_fraud", NODES[node], home / "nodes" / side / node, stock=side == "stock"
    )
    before = cpu_seconds()
    call.run()
    return {
        "cpu": cpu_seconds() - before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cpu_seconds() -> float:
    """User and system time of this process, all its threads, and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def compare(node: str, home: Path) -> dict[str, list[str]]:
    """What is different between the two sides' outputs, in words."""
    from benchmarks import nodes_equal

    ours, stock = (home / "nodes" / side / node for side in SIDES)
    return {"told": getattr(nodes_equal, node)(ours, stock)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        task, node, side, home = sys.argv[2:6]
        print(json.dumps(run(node, side, Path(home)) if task == "run" else compare(node, Path(home))))
    else:
        main()
