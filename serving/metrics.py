"""Counters, gauges and histograms under TensorFlow Serving's names, as Prometheus text.

The names start with a colon (`:tensorflow:serving:request_count`) and carry no `_total`, which client
libraries do not allow; hence these few lines. An increment costs under a microsecond. Thread-safe.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Sequence

PATH = "/monitoring/prometheus/metrics"
# Scale of 10, power of 1.8, 33 buckets: from 10 microseconds to about 20 minutes.
LATENCY_BOUNDS = tuple(10 * 1.8**i for i in range(33))
SIZE_BOUNDS = tuple(float(2**i) for i in range(15))

Labels = tuple[str, ...]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


class Metric:
    """Base of the three kinds; `name` is the full name with colons."""

    kind = "untyped"

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name = name
        self.labels = tuple(labels)
        self._lock = threading.Lock()

    def _pairs(self, values: Labels) -> str:
        return ",".join(f'{k}="{_escaped(v)}"' for k, v in zip(self.labels, values, strict=True))

    def lines(self) -> list[str]:
        raise NotImplementedError


class Counter(Metric):
    kind = "counter"

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        super().__init__(name, labels)
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def value(self, labels: Labels) -> float:
        return self._values.get(labels, 0)

    def lines(self) -> list[str]:
        with self._lock:
            items = sorted(self._values.items())
        return [f"{self.name}{{{self._pairs(k)}}} {_number(v)}" for k, v in items]


class Gauge(Counter):
    """A number that goes up and down; `read` is asked when the page is made."""

    kind = "gauge"

    def __init__(self, name: str, labels: Sequence[str], read: Callable[[], dict[Labels, float]]) -> None:
        super().__init__(name, labels)
        self._read = read

    def lines(self) -> list[str]:
        return [f"{self.name}{{{self._pairs(k)}}} {_number(v)}" for k, v in sorted(self._read().items())]


class Histogram(Metric):
    kind = "histogram"

    def __init__(self, name: str, labels: Sequence[str], bounds: Sequence[float] = LATENCY_BOUNDS) -> None:
        super().__init__(name, labels)
        self._bounds = tuple(bounds)
        self._cells: dict[Labels, list[float]] = {}

    def add(self, labels: Labels, value: float) -> None:
        place = bisect.bisect_right(self._bounds, value)
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                cell = self._cells[labels] = [0.0] * (len(self._bounds) + 2)
            cell[place] += 1
            cell[-1] += value

    def lines(self) -> list[str]:
        with self._lock:
            cells = sorted((k, list(c)) for k, c in self._cells.items())
        out = []
        for labels, cell in cells:
            pairs = self._pairs(labels)
            prefix = f"{pairs}," if pairs else ""
            total = 0.0
            for bound, count in zip([*map(_number, self._bounds), "+Inf"], cell, strict=False):
                total += count
                out.append(f'{self.name}_bucket{{{prefix}le="{bound}"}} {_number(total)}')
            out.append(f"{self.name}_sum{{{pairs}}} {_number(cell[-1])}")
            out.append(f"{self.name}_count{{{pairs}}} {_number(total)}")
        return out


class Metrics:
    """All metrics of one server. Latencies are in microseconds, as the original's."""

    def __init__(self) -> None:
        serving, model = ":tensorflow:serving:", ":tensorflow:cc:saved_model:"
        batching = f"{serving}batching_session:"
        self.request_count = Counter(f"{serving}request_count", ["model_name", "status"])
        self.request_latency = Histogram(f"{serving}request_latency", ["model_name", "API", "entrypoint"])
        self.runtime_latency = Histogram(f"{serving}runtime_latency", ["model_name", "API", "runtime"])
        self.example_counts = Histogram(f"{serving}request_example_counts", ["model"], SIZE_BOUNDS)
        self.example_total = Counter(f"{serving}request_example_count_total", ["model"])
        self.load_attempts = Counter(f"{model}load_attempt_count", ["model_path", "status"])
        self.load_latency = Counter(f"{model}load_latency", ["model_path"])
        self.warmup_latency = Histogram(f"{serving}model_warmup_latency", ["model_path", "status"])
        self.batch_size = Histogram(f"{batching}processed_batch_size", ["model_name"], SIZE_BOUNDS)
        self.batch_padding = Histogram(f"{batching}padding_size", ["model_name"], SIZE_BOUNDS)
        self.request_log_count = Counter(f"{serving}request_log_count", ["model_name", "status"])
        self._gauges: list[Gauge] = []

    def gauge(self, name: str, labels: Sequence[str], read: Callable[[], dict[Labels, float]]) -> None:
        """Adds a gauge of this server; `read` gives its values by labels."""
        self._gauges.append(Gauge(name, labels, read))

    def page(self) -> str:
        """The text that Prometheus scrapes."""
        metrics = [m for m in vars(self).values() if isinstance(m, Metric)] + self._gauges
        lines = []
        for metric in sorted(metrics, key=lambda m: m.name):
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines += metric.lines()
        return "\n".join(lines) + "\n"
