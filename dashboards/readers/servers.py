"""What model servers say of themselves: versions, metrics, signatures; and one request to them.

Talks REST to the addresses the dashboard was started with, and to no other. A server that is down or slow costs
a page at most TIMEOUT_S once per KEPT_S. Does not start, stop or configure servers.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 0.5
REQUEST_TIMEOUT_S = 20.0
KEPT_S = 3.0
METRICS_PATH = "/monitoring/prometheus/metrics"
# Twenty minutes at one sample in five seconds.
SAMPLES = 240
LINE = re.compile(r"^(?P<name>[:\w]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Point:
    """Totals of one model at one time: requests, errors, latency histogram (upper bound in µs -> count)."""

    at: float
    requests: float
    errors: float
    latency: tuple[tuple[float, float], ...]
    batches: tuple[tuple[float, float], ...] = ()


@dataclass
class ModelState:
    """A model on a server. `versions` are (number, state, error)."""

    name: str
    versions: list[tuple[int, str, str]] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


@dataclass
class ServerState:
    """One server; `problem` says why it could not be asked, `counted` whether it tells its metrics."""

    address: str
    problem: str = ""
    counted: bool = True
    models: list[ModelState] = field(default_factory=list)


class Servers:
    """The servers a dashboard was told of. Thread-safe."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self.addresses = tuple(dict.fromkeys(address.rstrip("/") for address in addresses))
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, ServerState]] = {}
        self._history: dict[tuple[str, str], deque[Point]] = {}

    def states(self, names: Iterable[str]) -> list[ServerState]:
        """Every server's state, asked side by side; `names` are the models that may be there."""
        wanted = sorted(set(names))
        if not self.addresses:
            return []
        with ThreadPoolExecutor(len(self.addresses)) as pool:
            return list(pool.map(lambda address: self._state(address, wanted), self.addresses))

    def served(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Available versions by model over all servers."""
        versions: dict[str, list[str]] = {}
        for server in self.states(names):
            for model in server.models:
                versions.setdefault(model.name, []).extend(
                    str(number) for number, state, _ in model.versions if state == "AVAILABLE"
                )
        return versions

    def _state(self, address: str, names: list[str]) -> ServerState:
        with self._lock:
            kept = self._known.get(address)
        if kept is not None and time.monotonic() - kept[0] < KEPT_S:
            return kept[1]
        state = self._ask(address, names)
        with self._lock:
            self._known[address] = (time.monotonic(), state)
        return state

    def _ask(self, address: str, names: list[str]) -> ServerState:
        import httpx

        state = ServerState(address)
        try:
            with httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False) as http:
                page = http.get(METRICS_PATH)
                state.counted = page.status_code == 200
                samples = parse_metrics(page.text) if state.counted else []
                known = sorted({*names, *(s[1].get("model_name", "") for s in samples)} - {""})
                for name in known:
                    model = self._model(http, name)
                    if model is not None:
                        if state.counted:
                            model.points = self._remember(address, name, point_of(samples, name))
                        state.models.append(model)
        except httpx.HTTPError as error:
            state.problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return state

    @staticmethod
    def _model(http: Any, name: str) -> ModelState | None:
        from urllib.parse import quote

        answer = http.get(f"/v1/models/{quote(name, safe='')}")
        try:
            listed = answer.json()["model_version_status"] if answer.status_code == 200 else []
        except (ValueError, KeyError, TypeError):
            return None
        versions = [
            (
                int(v.get("version", 0)),
                str(v.get("state", "?")),
                str(v.get("status", {}).get("error_message", "")),
            )
            for v in listed
        ]
        return ModelState(name, sorted(versions, reverse=True)) if versions else None

    def _remember(self, address: str, name: str, point: Point) -> list[Point]:
        with self._lock:
            history = self._history.setdefault((address, name), deque(maxlen=SAMPLES))
            if history and point.requests < history[-1].requests:
                history.clear()  # the server was started anew
            history.append(point)
            return list(history)

    def metadata(self, address: str, model: str, version: int | None) -> Any:
        """The signatures of a served version (ModelMetadata). Raises ServingError."""
        with self._client(address) as client:
            return client.metadata(model, version=version, timeout=5.0)

    def predict(
        self, address: str, model: str, version: int | None, signature: str, inputs: str, rows: bool
    ) -> Any:
        """The answer to a request typed as JSON: outputs by name as plain lists, and milliseconds.

        `rows` says that `inputs` are examples (a list of objects) for a signature that takes serialized ones.
        Raises ServingError from the server, ValueError for what is no JSON or does not fit.
        """
        try:
            value = _bytes(json.loads(inputs))
        except ValueError as error:
            raise ValueError(f"The inputs are no JSON: {error}") from error
        with self._client(address) as client:
            start = time.perf_counter()
            if rows:
                given = [value] if isinstance(value, dict) else value
                answer = client.predict_examples(model, given, version=version, signature=signature)
            else:
                answer = client.predict(model, value, version=version, signature=signature)
            took = 1000 * (time.perf_counter() - start)
        return {name: _plain(array) for name, array in answer.items()}, took

    def _client(self, address: str) -> Any:
        if address not in self.addresses:
            raise ValueError(
                f"{address!r} is not a server of this dashboard; known: {', '.join(self.addresses)}."
            )
        from serving.client import Client
        from serving.client.results import Retry

        return Client(address, timeout=REQUEST_TIMEOUT_S, retry=Retry(attempts=1))


def _bytes(value: Any) -> Any:
    """JSON with every {"b64": text} as the bytes it stands for. Raises ValueError for what is no base64."""
    if isinstance(value, dict):
        if set(value) == {"b64"} and isinstance(value["b64"], str):
            return base64.b64decode(value["b64"], validate=True)
        return {name: _bytes(item) for name, item in value.items()}
    return [_bytes(item) for item in value] if isinstance(value, list) else value


def _plain(array: Any) -> Any:
    def text(value: Any) -> Any:
        if isinstance(value, list):
            return [text(v) for v in value]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    return text(array.tolist())


def parse_metrics(page: str) -> list[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of Prometheus' text format; lines of another form are passed over."""
    samples = []
    for line in page.splitlines():
        match = LINE.match(line)
        if match:
            try:
                value = float(match["value"])
            except ValueError:
                continue
            samples.append((match["name"], dict(LABEL.findall(match["labels"] or "")), value))
    return samples


def point_of(samples: list[tuple[str, dict[str, str], float]], model: str) -> Point:
    """The totals of one model."""
    requests = errors = 0.0
    latency: dict[float, float] = {}
    batches: dict[float, float] = {}
    for name, labels, value in samples:
        if model not in (labels.get("model_name"), labels.get("model")):
            continue
        if name.endswith("serving:request_count"):
            requests += value
            errors += value if labels.get("status", "OK").upper() != "OK" else 0.0
        elif name.endswith("serving:request_latency_bucket"):
            bound = float(labels["le"])
            latency[bound] = latency.get(bound, 0.0) + value
        elif name.endswith("processed_batch_size_bucket"):
            batches[float(labels["le"])] = batches.get(float(labels["le"]), 0.0) + value
    return Point(
        time.time(), requests, errors, tuple(sorted(latency.items())), tuple(sorted(batches.items()))
    )


def quantile(histogram: Iterable[tuple[float, float]], share: float) -> float | None:
    """The value below which `share` of a cumulative histogram lies, straight within its bucket; None if empty."""
    cells = list(histogram)
    total = cells[-1][1] if cells else 0.0
    if not total:
        return None
    low = below = 0.0
    for bound, count in cells:
        if count >= share * total:
            if bound == float("inf"):
                return low
            return low + (bound - low) * ((share * total - below) / (count - below) if count > below else 1.0)
        low, below = bound, count
    return low


def rates(points: list[Point]) -> list[tuple[float, float]]:
    """(time, requests per second) between each two samples."""
    return [
        (b.at, (b.requests - a.requests) / (b.at - a.at))
        for a, b in itertools.pairwise(points)
        if b.at > a.at
    ]
