"""What one caller of the model server costs the others: large bodies, and a model that hangs.

Also on its own, against a server of its own:  python benchmarks/serving_neighbours.py [--quick]
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.report import arguments, finish, table

BODY_BYTES = 10_000_000
HANG_TIMEOUT_MS = 2000
HANGING_CALLS = 8
# Kind -> (signature, one element or row; what stands last).
BODIES: dict[str, tuple[str, str, str]] = {
    "floats": ("float", "0.123456789", ""),
    "floats, one NaN": ("float", "0.123456789", "NaN"),
    "all NaN": ("float", "NaN", ""),
    "rows of floats": ("float", "[" + ",".join(["0.5"] * 100) + "]", ""),
    "nested": ("float", "[[[0.5,1.5],[1,2]]]", ""),
    "strings": ("string", '"some text"', ""),
    "strings with escapes": ("string", '"a\\n\\u00e9:"', ""),
    "base64": ("string", '{"b64":"YWJj"}', ""),
    "booleans": ("bool", "true", ""),
    "a boolean among floats": ("float", "0.123456789", "true"),
}


def write_models(folder: Path) -> None:
    """echo/1: signatures float, string, bool: x of any shape -> y, the same; hang/1: rounds [?] -> y, after so many."""
    import tensorflow as tf

    echo = tf.Module()

    def make(dtype: Any) -> Any:
        @tf.function(input_signature=[tf.TensorSpec(None, dtype, "x")])
        def call(x: Any) -> dict[str, Any]:
            return {"y": tf.identity(x)}

        return call

    echo.calls = {"float": make(tf.float32), "string": make(tf.string), "bool": make(tf.bool)}
    tf.saved_model.save(echo, str(folder / "echo" / "1"), signatures=dict(echo.calls))

    class Hang(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "rounds")])
        def call(self, rounds: Any) -> dict[str, Any]:
            x = tf.eye(64)
            for _ in tf.range(tf.reduce_max(rounds)):
                x = tf.tanh(x @ x)
            return {"y": tf.cast(rounds, tf.float32) + x[0, 0]}

    hang = Hang()
    tf.saved_model.save(hang, str(folder / "hang" / "1"), signatures={"serving_default": hang.call})


def _ask(address: str, path: str, body: str | None = None) -> tuple[int, bytes, float]:
    """Status, answer and seconds of one request on a connection of its own."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=300)
    connection.request("GET" if body is None else "POST", path, body=body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data, time.perf_counter() - begun


class _Probe:
    """Asks again and again in a thread of its own; `worst` is the longest answer in seconds."""

    def __init__(self, ask: Callable[[], float], pause_s: float) -> None:
        self.worst = 0.0
        self._ask, self._pause_s = ask, pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            self.worst = max(self.worst, self._ask())

    def __enter__(self) -> _Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def free_loop(rest: str, figures: dict[str, float]) -> None:
    """livez_worst_ms: the longest answer of /livez while bodies of 10 MB, one kind after another, are served."""
    rows = []
    for kind, (signature, element, last) in BODIES.items():
        elements = [element] * (BODY_BYTES // (len(element) + 1)) + ([last] if last else [])
        body = f'{{"signature_name":"{signature}","instances":[{",".join(elements)}]}}'
        with _Probe(lambda: _ask(rest, "/livez")[2], 0.005) as still:
            time.sleep(0.5)
        with _Probe(lambda: _ask(rest, "/livez")[2], 0.005) as busy:
            status, _, seconds = _ask(rest, "/v1/models/echo:predict", body)
        wanted = 400 if last == "true" else 200
        if status != wanted:
            raise RuntimeError(f"{kind}: the server answers {status}, not {wanted}")
        rows.append([kind, seconds, f"{busy.worst * 1e3:.1f}", f"{still.worst * 1e3:.1f}"])
        figures["livez_worst_ms"] = max(figures.get("livez_worst_ms", 0.0), busy.worst * 1e3)
    table(["10 MB of", "seconds", "worst /livez ms", "without"], rows, title="the loop stays free")


def starved(rest: str, figures: dict[str, float]) -> None:
    """starved_s: another model's longest answer while one hangs, and after its requests have timed out."""

    def other() -> float:
        status, _, seconds = _ask(
            rest, "/v1/models/echo:predict", '{"signature_name":"float","instances":[1]}'
        )
        if status != 200:
            raise RuntimeError(f"the other model answers {status}")
        return seconds

    statuses: list[int] = []

    def hang() -> None:
        statuses.append(_ask(rest, "/v1/models/hang:predict", '{"instances":[100000000]}')[0])

    other()
    with _Probe(other, 0.02) as probe:
        for _ in range(3):
            threads = [threading.Thread(target=hang) for _ in range(HANGING_CALLS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        time.sleep(1.0)
    if set(statuses) != {504}:
        raise RuntimeError(f"the hanging model answered {sorted(set(statuses))}, not 504")
    print(
        f"\n{len(statuses)} calls of a model that hangs timed out; another waited {probe.worst:.3f} s at most"
    )
    figures["starved_s"] = probe.worst


def flags(folder: Path) -> list[str]:
    """Writes the models and their configuration; what to start the server with."""
    write_models(folder)
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}\n'
        for name in ("echo", "hang")
    )
    config = folder / "neighbours.config"
    config.write_text(f"model_config_list {{\n{entries}}}\n")
    return [f"--model_config_file={config}", f"--rest_api_timeout_in_ms={HANG_TIMEOUT_MS}"]


def main() -> int:
    from benchmarks.serving import Process

    arguments((__doc__ or "").split("\n\n")[0]).parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="viaduct-bench-") as name:
        folder = Path(name)
        command = ["-m", "serving.main", "--port=0", "--rest_api_port=0", *flags(folder)]
        process = Process(folder / "log", *command)
        try:
            starved(process.rest, figures)
            free_loop(process.rest, figures)
        finally:
            process.stop()
    finish("serving_neighbours", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
