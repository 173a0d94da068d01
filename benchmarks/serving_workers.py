"""Two workers beside one process, on a model whose call is worth a core: part of `benchmarks/serving.py`.

Where there are more than two cores the servers are bound to two of them and the load generator to the others. On two
cores they share; the table then says what the generator took, since neither side could have that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import interleave, median, median_ratio, spread, table
from serving.bench.payload import grpc_payload
from serving.client.protocol import Spec

if TYPE_CHECKING:
    from benchmarks.serving import Bench, Process

CLIENTS = 16


@contextlib.contextmanager
def _bound(cores: set[int]) -> Iterator[None]:
    """What is started within runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def workers(bench: Bench, figures: dict[str, float]) -> None:
    """workers2_gain: Predict per second of two workers / of one process, both with default flags."""
    cores = sorted(os.sched_getaffinity(0))
    serving, others = set(cores[:2]), set(cores[2:]) or set(cores)
    base = f"--model_base_path={bench.folder / 'models' / 'cnn'}"
    sides = {
        "one process": ["--workers=1"],
        "one process, one thread an op": ["--workers=1", "--tensorflow_intra_op_parallelism=1"],
        "two workers": ["--workers=2"],
    }
    with _bound(serving):
        servers = {
            name: bench.server(f"workers-{number}", "--model_name=cnn", base, *flags)
            for number, (name, flags) in enumerate(sides.items())
        }
    image = np.random.default_rng(4).integers(0, 255, (1, 28, 28), dtype=np.uint8)
    payload = bench.payload("cnn", grpc_payload(Spec("cnn"), {"image": image}))
    generator: list[float] = []

    def rate(server: Process) -> Callable[[], float]:
        # Half a second of a fresh worker says little.
        seconds = max(bench.seconds, 1.5)
        measured = bench.rate(server, payload, CLIENTS, seconds=seconds, connections=CLIENTS, taken=generator)

        def run() -> float:
            with _bound(others):
                return measured()

        return run

    rates = interleave({name: rate(server) for name, server in servers.items()}, bench.rounds)
    rows = []
    for name, server in servers.items():
        cost = median(bench.costs[server, payload, CLIENTS])
        rows.append([name, spread(rates[name]), cost, median(rates[name]) * cost / 1e6, server.memory_mb()])
    headers = ["server", f"Predict/s at {CLIENTS} clients", "CPU us each", "cores used", "MB in all"]
    table(headers, rows, title="digits' cnn, batch 1")
    where = "had cores of its own" if len(cores) > 2 else "shared these two cores"
    print(f"The load generator {where} and took {median(generator):.0f} us of one for a request.")
    figures["workers2_gain"] = median_ratio(rates["two workers"], rates["one process"])
    figures["workers2_gain_single_thread"] = median_ratio(
        rates["two workers"], rates["one process, one thread an op"]
    )
    for server in servers.values():
        server.stop()
