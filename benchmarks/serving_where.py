"""Where the time of a request goes: parsing, checking, the call, formatting, and what is left, which is writing and all
that gRPC or HTTP do. `python benchmarks/serving.py --where` prints the table and puts it into serving/README.md.

    python benchmarks/serving_where.py FOLDER     times the stages of the models in FOLDER; prints a JSON object

The stages are timed in a process of their own that does for each request what the server does, in the same order; a
stage's time is the median of its processor time. What a request costs in all is the server's processor time under
eight clients.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

if TYPE_CHECKING:
    from benchmarks.serving import Bench

README = ROOT / "serving" / "README.md"
BEGIN = "<!-- where the time goes: made by benchmarks/serving.py -->"
END = "<!-- end of where -->"
STAGES = ("parse", "check", "call", "format")
# Name of the column -> model, input, rows, values a row.
CASES = {"1 row of 10": ("dense", "x", 1, 10), "100 rows of 784": ("wide", "x", 100, 784)}


def _bodies(model: str, name: str, rows: int, values: int) -> tuple[bytes, bytes]:
    """A PredictRequest, and the JSON of the same rows."""
    import numpy as np

    from serving.bench.payload import grpc_payload
    from serving.client.protocol import Spec

    x = np.random.default_rng(6).random((rows, values)).round(4)
    body = json.dumps({"instances": x.tolist()}).encode()
    return grpc_payload(Spec(model), {name: x.astype(np.float32)}), body


def stages(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Microseconds of each stage, by column."""
    from serving.engine import saved_model, tf_runtime
    from serving.engine.checks import check_inputs, checked_inputs, predict_signature
    from serving.handlers import Handlers
    from serving.rest import answers, bodies, documents
    from serving.wire import messages, model_spec, tensors

    tf_runtime.serve_only()
    # Only what makes responses is used, which needs no models.
    handlers = Handlers(None, None)  # type: ignore[arg-type]
    found: dict[str, dict[str, float]] = {}
    for case, (name, _, rows, values) in CASES.items():
        by_grpc, by_rest = _bodies(name, "x", rows, values)
        model = saved_model.load(str(folder / name / "1"))

        def parse_grpc(data: bytes = by_grpc) -> Any:
            request = messages.PredictRequest.FromString(data)
            model_spec.read(request.model_spec)
            return {entry.key: tensors.decode(entry.value, entry.key) for entry in request.inputs}

        def parse_rest(data: bytes = by_rest, model: Any = model) -> Any:
            signature = predict_signature(model, "")
            return bodies.predict_inputs(documents.parse(data), signature.inputs)[0]

        def format_grpc(outputs: Any, name: str = name) -> bytes:
            data: bytes = handlers.predict_response(name, 1, "serving_default", outputs).SerializeToString()
            return data

        def check(inputs: Any, model: Any = model) -> Any:
            signature = predict_signature(model, "")
            return checked_inputs(signature, check_inputs(signature, inputs))

        call = predict_signature(model, "").run
        found[f"gRPC, {case}"] = _timed([parse_grpc, check, call, format_grpc], repeats)
        form = lambda outputs: answers.predict_response(outputs, "rows")  # noqa: E731
        found[f"REST, {case}"] = _timed([parse_rest, check, call, form], max(20, repeats // 10))
    return found


def _timed(calls: list[Callable[..., Any]], repeats: int) -> dict[str, float]:
    first, *rest = calls
    times: list[list[int]] = [[] for _ in calls]
    for _ in range(repeats):
        start = time.process_time_ns()
        value = first()
        end = time.process_time_ns()
        times[0].append(end - start)
        for place, call in enumerate(rest, 1):
            start = end
            value = call(value)
            end = time.process_time_ns()
            times[place].append(end - start)
    return {stage: sorted(t)[len(t) // 2] / 1e3 for stage, t in zip(STAGES, times, strict=True)}


def where(bench: Bench, config: Path) -> None:
    """Measures, prints the table and puts it into the page."""
    import subprocess

    from benchmarks.report import median
    from serving.bench.payload import http_request
    from serving.client.protocol import parse_address

    command = [sys.executable, "benchmarks/serving_where.py", str(bench.folder / "models")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    server = bench.server("where", f"--model_config_file={config}")
    for case, (name, given, rows, values) in CASES.items():
        by_grpc, by_rest = _bodies(name, given, rows, values)
        request = http_request(parse_address(server.rest), f"/v1/models/{name}:predict", by_rest)
        for way, body in (("gRPC", by_grpc), ("REST", request)):
            payload = bench.payload(f"where-{name}-{way}", body)
            rate = bench.rate(server, payload, 8, rest=way == "REST")
            for _ in range(bench.rounds):
                rate()
            column = found[f"{way}, {case}"]
            column["in all"] = median(bench.costs[server, payload, 8])
            column["the rest"] = column["in all"] - sum(column[stage] for stage in STAGES)
    text = _markdown(found)
    print(text)
    page = README.read_text(encoding="utf-8")
    before, _, after = page.partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after.partition(END)[2]}", encoding="utf-8")


def _markdown(found: dict[str, dict[str, float]]) -> str:
    lines = [f"| us of a core | {' | '.join(found)} |", "|---|" + "---:|" * len(found)]
    names = {
        "parse": "parse: bytes to arrays",
        "check": "check: against the signature",
        "call": "call: the graph",
        "format": "format: arrays to bytes",
        "the rest": "write: all that gRPC or HTTP and the loop do",
        "in all": "in all",
    }
    for stage, shown in names.items():
        lines.append(f"| {shown} | {' | '.join(f'{column[stage]:,.0f}' for column in found.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    print(json.dumps(stages(Path(sys.argv[1]), 2000)))
