"""The model server beside what one would write by hand, and beside itself with other settings.

    python benchmarks/serving.py [--quick] [--rounds N]

    python benchmarks/serving.py --where     where the time of a request goes; writes the table of serving/README.md

All servers run at once, each in a process of its own; clients are another process (`serving.bench.cli`, which asks by
its own HTTP/2 client, and REST by wrk where that is installed) that asks one server at a time, sides in turn. The
models are small ones made here (`benchmarks/serving_peers.py`): there the server's own cost shows. Where exports of
digits or card_fraud are found under HOME/serving, batching is measured on them too. Figures, with `ours / theirs` for
rates (larger is better) unless a name says otherwise:

  predict_c8_vs_empty_handler    Predict, batch 1, 8 clients / the same gRPC server with an empty handler
  predict_c8_vs_plain_signature  the same / a server that calls tf.saved_model.load's signature
  batched_c32_gain, batched_c1_gain  --enable_batching (adaptive) / without, on a recurrent model whose call has a
                                 price of its own; with _rows (tf.Examples), _dense, _digits, _card_fraud on the
                                 others. A call of rows, dense and card_fraud costs 10-40 us, a tenth of what gRPC
                                 does: little more than 1 is all there is to gain there
  rest_c8_vs_fastapi_keras       REST predict / FastAPI with a Keras model's call
  grpc_half_load_p99_ms, rest_..., empty_...   p99 at half load, beside (_vs_allowed, at most 1) three times the larger
                                 of a lone client's p50 and the p99 of a process that only counts, asked at the same
                                 times; empty is the empty handler at gRPC's rate
  workers2_gain                  digits' cnn, 16 clients: --workers=2 / one process; _single_thread: / one process with
                                 --tensorflow_intra_op_parallelism=1, which costs a small model least
  float_val_vs_tensor_content    latency of 100 x 784 floats, one form / the other (smaller is better)
  swap_failed, swap_p99_ratio, swap_rss_growth   20 new versions under 8 clients: failed requests, p99 with /
                                 without swaps, growth of the server's memory as a share
  ready_s                        seconds from start to ready, warm files
  livez_worst_ms                 longest answer of /livez while JSON bodies of 10 MB of many kinds are served
  starved_s                      another model's longest wait while one hangs (eight calls at a time)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from benchmarks import serving_neighbours  # noqa: E402
from benchmarks.report import arguments, finish, interleave, median, median_ratio, spread, table  # noqa: E402
from benchmarks.serving_stops import half_load  # noqa: E402
from benchmarks.serving_where import where  # noqa: E402
from benchmarks.serving_workers import workers  # noqa: E402
from serving.bench.payload import grpc_payload, http_request, inputs_for, rest_payload  # noqa: E402
from serving.client import Client  # noqa: E402
from serving.client.protocol import Spec, parse_address  # noqa: E402
from serving.client.request_logs import records  # noqa: E402
from serving.client.tensors import example  # noqa: E402
from serving.errors import ServingError  # noqa: E402
from serving.telemetry.memory import memory  # noqa: E402
from serving.wire.protos import predict_pb2, prediction_log_pb2, types_pb2  # noqa: E402

SWAPS = 20
READY = re.compile(r"ready (?:grpc=(\S+) rest=(\S+)|(\d+))")


class Process:
    """A server process; `.grpc` and `.rest` are addresses, `.ready_s` how long its start took."""

    def __init__(self, log: Path, *command: str) -> None:
        start = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        with open(log, "wb") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if found := READY.search(line):
                break
        else:
            raise RuntimeError(f"{command} ended with {self.popen.wait()}:\n{log.read_text()[-2000:]}")
        self.ready_s = time.monotonic() - start
        threading.Thread(target=self.popen.stdout.read, daemon=True).start()
        grpc, rest, port = found.groups()
        self.grpc = grpc or f"127.0.0.1:{port}"
        self.rest = f"http://{rest or self.grpc}"

    def family(self) -> list[int]:
        """Its process number and those of its workers."""
        tasks = Path(f"/proc/{self.popen.pid}/task").glob("*/children")
        return [self.popen.pid, *(int(pid) for file in tasks for pid in file.read_text().split())]

    def memory_mb(self) -> float:
        """Of it and its workers, pages that they share counted once."""
        return sum(memory(pid) for pid in self.family()) / 2**20

    def rss(self) -> float:
        """Resident megabytes."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def cpu(self) -> float:
        """Seconds of processor time it and its workers have used."""
        total = 0
        for pid in self.family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Bench:
    """The servers, the payloads and the length of a measurement."""

    def __init__(
        self, folder: Path, stack: contextlib.ExitStack, seconds: float, rounds: int, quick: bool = False
    ) -> None:
        self.folder = folder
        self.quick = quick
        self.stack = stack
        self.seconds = seconds
        self.rounds = rounds
        self.warm_up = min(0.3, seconds / 4)
        self.costs: dict[tuple[Process, Path, int], list[float]] = {}

    def start(self, name: str, *command: str) -> Process:
        process = Process(self.folder / f"{name}.log", *command)
        self.stack.callback(process.stop)
        return process

    def server(self, name: str, *flags: str) -> Process:
        return self.start(name, "-m", "serving.main", "--port=0", "--rest_api_port=0", *flags)

    def payload(self, name: str, data: bytes) -> Path:
        path = self.folder / f"{name}.request"
        path.write_bytes(data)
        return path

    def load(self, address: str, payload: Path, clients: int, **more: float | str) -> dict[str, Any]:
        """One run of the load generator; raises where a request failed that should not."""
        options = {"seconds": self.seconds, "warm-up": self.warm_up, **more}
        command = [sys.executable, "-m", "serving.bench.cli", address, "--payload", str(payload), "--json"]
        command += [f"--clients={clients}", *(f"--{key}={value}" for key, value in options.items())]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            raise RuntimeError(f"the load generator failed on {address}: {done.stderr[-1000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def rate(
        self,
        server: Process,
        payload: Path,
        clients: int,
        rest: bool = False,
        seconds: float = 0.0,
        connections: int = 0,
        taken: list[float] | None = None,
    ) -> Callable[[], float]:
        """A side: requests per second. Keeps what each request cost the server in `.costs`, and what it cost the
        generator in `taken`."""
        address = server.rest if rest else server.grpc
        seconds = seconds or self.seconds
        # wrk asks faster than the client that warms up for it.
        warm_up = 0.0 if rest else self.warm_up
        options = {"seconds": seconds, "warm-up": warm_up, "connections": connections}

        def run() -> float:
            before = server.cpu()
            result = self.load(address, payload, clients, **options)
            if result["errors"]:
                raise RuntimeError(f"{address}: {result['errors']} {result['error_texts']}")
            if taken is not None:
                taken.append(result["generator_cpu_us"])
            # The clock runs from the first uncounted request on, so the uncounted ones are estimated in.
            asked = max(1.0, result["requests"] * (1 + warm_up / seconds))
            cost = (server.cpu() - before) / asked * 1e6
            self.costs.setdefault((server, payload, clients), []).append(cost)
            return result["rate"]

        return run

    def latency(self, address: str, payload: Path, clients: int, which: str = "p50") -> Callable[[], float]:
        return lambda: self.load(address, payload, clients)["latency_ms"][which]


def _config(models: dict[str, Path]) -> str:
    entries = [
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
        for name, path in models.items()
    ]
    return "model_config_list {\n  " + "\n  ".join(entries) + "\n}\n"


def _exports() -> dict[str, Path]:
    """digits and card_fraud where a pipeline has pushed them."""
    from pipelines.base import production
    from pipelines.base.paths import Paths

    found = {name: Paths.of(name) for name in ("digits", "card_fraud")}
    served = {name: production.pushed_names(paths) for name, paths in found.items()}
    return {name: found[name].served(names[0]) for name, names in served.items() if names}


def _export_payload(bench: Bench, ours: Process, name: str, path: Path) -> Path | None:
    """A request for an exported model: its own warm-up request, else random numbers; None for text."""
    newest = max((c for c in path.iterdir() if c.name.isdigit()), key=lambda c: int(c.name))
    warm_up = newest / "assets.extra" / "tf_serving_warmup_requests"
    if warm_up.is_file():
        for record in records(warm_up):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") == "predict_log":
                request = log.predict_log.request
                request.model_spec.name = name
                request.model_spec.ClearField("version_choice")
                return bench.payload(name, request.SerializeToString())
    rows = [{**{f"V{i}": 0.1 for i in range(1, 29)}, "Time": 1.0, "Amount": 9.5}]
    try:
        with Client(ours.grpc) as client:
            inputs = inputs_for(client, Spec(name), rows=rows if name == "card_fraud" else None)
            client.predict(name, inputs)
    except ServingError as error:
        print(f"  {name}: left out, {error}")
        return None
    return bench.payload(name, grpc_payload(Spec(name), inputs))


def predict_rates(bench: Bench, ours: Process, figures: dict[str, float]) -> None:
    """gRPC and REST against the hand-written servers."""
    models = str(bench.folder / "models")
    peers = "benchmarks/serving_peers.py"
    empty = bench.start("empty", peers, "empty")
    plain = bench.start("plain", peers, "plain", models)
    fastapi = bench.start("fastapi", peers, "fastapi", models)
    x = np.random.default_rng(1).random((1, 10), dtype=np.float32)
    by_grpc = bench.payload("dense", grpc_payload(Spec("dense"), {"x": x}))
    by_rest = bench.payload("dense_rest", rest_payload(parse_address(ours.rest), Spec("dense"), {"x": x}))
    body = json.dumps({"instances": x.tolist()}).encode()
    rows = http_request(parse_address(fastapi.rest), "/v1/models/dense:predict", body)
    by_fastapi = bench.payload("dense_fastapi", rows)
    rates = interleave(
        {
            "empty handler": bench.rate(empty, by_grpc, 8),
            "ours": bench.rate(ours, by_grpc, 8),
            "plain signature": bench.rate(plain, by_grpc, 8),
            "ours, REST": bench.rate(ours, by_rest, 8, rest=True),
            "FastAPI + keras": bench.rate(fastapi, by_fastapi, 8, rest=True),
        },
        bench.rounds,
    )
    costs = [(empty, by_grpc), (ours, by_grpc), (plain, by_grpc), (ours, by_rest), (fastapi, by_fastapi)]
    table(
        ["server", "Predict/s at 8 clients", "CPU us each"],
        [
            [name, spread(values), median(bench.costs[server, payload, 8])]
            for (name, values), (server, payload) in zip(rates.items(), costs, strict=True)
        ],
        title="small dense model, batch 1",
    )
    figures["predict_c8_vs_empty_handler"] = median_ratio(rates["ours"], rates["empty handler"])
    figures["predict_c8_vs_plain_signature"] = median_ratio(rates["ours"], rates["plain signature"])
    figures["rest_c8_vs_fastapi_keras"] = median_ratio(rates["ours, REST"], rates["FastAPI + keras"])
    half = median(rates["ours"]) / 2
    sides = {
        "grpc": (ours.grpc, by_grpc, half),
        "rest": (ours.rest, by_rest, median(rates["ours, REST"]) / 2),
        # What the machine and gRPC do to an answer that costs nothing.
        "empty": (empty.grpc, by_grpc, half),
    }
    half_load(bench, sides, figures)


def batching(
    bench: Bench, ours: Process, batched: Process, exports: dict[str, Path], figures: dict[str, float]
) -> None:
    """Adaptive batching against none, at 32 clients and at one."""
    x = np.random.default_rng(2).random(30)
    row = np.array([example({f"V{i}": float(v) for i, v in enumerate(x)}).SerializeToString()], dtype=object)
    dense = bench.payload("dense", grpc_payload(Spec("dense"), {"x": np.ones((1, 10), np.float32)}))
    words = grpc_payload(Spec("words"), {"words": np.arange(40, dtype=np.int32)[None]})
    payloads = {"": bench.payload("words", words)}
    if not bench.quick:
        rows = bench.payload("rows", grpc_payload(Spec("rows"), {"examples": row}))
        payloads |= {"_rows": rows, "_dense": dense}
    for name, path in exports.items():
        if (payload := _export_payload(bench, ours, name, path)) is not None:
            payloads[f"_{name}"] = payload
    lines = []
    for suffix, payload in payloads.items():
        for clients in (32, 1):
            rounds, seconds = bench.rounds, bench.seconds
            if clients == 1:  # its two rates differ by less than two runs of one server do
                rounds, seconds = 4 * rounds, seconds / 2
            rates = interleave(
                {
                    f"unbatched{suffix} c{clients}": bench.rate(ours, payload, clients, seconds=seconds),
                    f"batched{suffix} c{clients}": bench.rate(batched, payload, clients, seconds=seconds),
                },
                rounds,
            )
            without, with_ = rates.values()
            figures[f"batched_c{clients}_gain{suffix}"] = median_ratio(with_, without)
            costs = [median(bench.costs[server, payload, clients]) for server in (ours, batched)]
            lines.append([(suffix or "_words")[1:], clients, spread(without), spread(with_), *costs])
    headers = ["model", "clients", "unbatched/s", "batched/s", "CPU us unbatched", "CPU us batched"]
    table(headers, lines, title="adaptive batching, batch 1")


def tensor_forms(bench: Bench, ours: Process, figures: dict[str, float]) -> None:
    """100 x 784 floats in the two forms of the protocol."""
    x = np.random.default_rng(3).random((100, 784), dtype=np.float32)
    packed = predict_pb2.PredictRequest.FromString(grpc_payload(Spec("wide"), {"x": x}))
    listed = predict_pb2.PredictRequest()
    listed.CopyFrom(packed)
    listed.inputs["x"].tensor_content = b""
    listed.inputs["x"].dtype = types_pb2.DT_FLOAT
    listed.inputs["x"].float_val.extend(x.ravel().tolist())
    times = interleave(
        {
            "tensor_content": bench.latency(
                ours.grpc, bench.payload("packed", packed.SerializeToString()), 1
            ),
            "float_val": bench.latency(ours.grpc, bench.payload("listed", listed.SerializeToString()), 1),
        },
        bench.rounds,
    )
    table(["form", "ms"], [[name, spread(v)] for name, v in times.items()], title="100 x 784 floats")
    figures["float_val_vs_tensor_content"] = median_ratio(times["float_val"], times["tensor_content"])


def swaps(bench: Bench, figures: dict[str, float], gap_s: float) -> None:
    """20 pushes under 8 clients, on a server of its own."""
    base = bench.folder / "swapped"
    shutil.copytree(bench.folder / "models" / "dense" / "1", base / "1")
    server = bench.server("swap", "--model_name=dense", f"--model_base_path={base}")
    payload = bench.payload("dense", grpc_payload(Spec("dense"), {"x": np.ones((1, 10), np.float32)}))
    seconds = SWAPS * gap_s + 2
    still = bench.load(server.grpc, payload, 8, seconds=seconds / 2)
    before = server.rss()
    stop = threading.Event()

    def push() -> None:
        for version in range(2, SWAPS + 2):
            if stop.wait(gap_s):
                return
            aside = base.parent / f"aside-{version}"
            shutil.copytree(base / "1", aside)
            aside.rename(base / str(version))

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        swapped = bench.load(server.grpc, payload, 8, seconds=seconds)
    finally:
        stop.set()
        pusher.join()
    time.sleep(1.0)
    after = server.rss()
    seen = len(swapped["versions"])
    p99, still_p99 = swapped["latency_ms"]["p99"], still["latency_ms"]["p99"]
    print(
        f"\n{SWAPS} swaps: {seen} versions answered, {sum(swapped['errors'].values())} of "
        f"{swapped['requests']:,} requests failed {swapped['error_texts'] or ''}\n"
        f"p99 {p99:.2f} ms with swaps, {still_p99:.2f} ms without; memory {before:.0f} -> {after:.0f} MB"
    )
    figures["swap_failed"] = sum(swapped["errors"].values())
    figures["swap_p99_ratio"] = p99 / still_p99
    figures["swap_rss_growth"] = after / before - 1
    figures["swap_versions_seen"] = seen


def readiness(bench: Bench, figures: dict[str, float]) -> None:
    times = []
    for number in range(bench.rounds):
        base = bench.folder / "models" / "dense"
        process = Process(bench.folder / f"ready{number}.log", "-m", "serving.main", "--port=0",
                          "--rest_api_port=0", f"--model_base_path={base}")  # fmt: skip
        times.append(process.ready_s)
        process.stop()
    print(f"\nfrom start to ready: {spread(times)} s")
    figures["ready_s"] = median(times)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="viaduct-bench-") as folder:
        yield Path(folder)


def main() -> int:
    parser = arguments((__doc__ or "").split("\n\n")[0])
    parser.add_argument("--where", action="store_true", help="only the table of where a request's time goes")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = 0.6 if options.quick else 3.0
    figures: dict[str, float] = {}
    # Killed by a time limit, it must not leave its servers running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with _folder() as folder, contextlib.ExitStack() as stack:
        bench = Bench(folder, stack, seconds, rounds, options.quick)
        models = folder / "models"
        subprocess.run(
            [sys.executable, "benchmarks/serving_peers.py", "models", str(models)], cwd=ROOT, check=True
        )
        exports = {} if options.quick else _exports()
        served = {**{name: models / name for name in ("dense", "wide", "rows", "words")}, **exports}
        config = folder / "models.config"
        config.write_text(_config(served))
        if options.where:
            where(bench, config)
            return 0
        ours = bench.server("ours", f"--model_config_file={config}")
        batched = bench.server("batched", f"--model_config_file={config}", "--enable_batching")
        predict_rates(bench, ours, figures)
        batching(bench, ours, batched, exports, figures)
        tensor_forms(bench, ours, figures)
        workers(bench, figures)
        swaps(bench, figures, gap_s=0.2 if options.quick else 1.0)
        readiness(bench, figures)
        neighbours = bench.server("neighbours", *serving_neighbours.flags(folder))
        serving_neighbours.starved(neighbours.rest, figures)
        serving_neighbours.free_loop(neighbours.rest, figures)
    finish("serving", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
