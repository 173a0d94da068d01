"""Counters, gauges and histograms under TensorFlow Serving's names, as Prometheus text.

The names start with a colon (`:tensorflow:serving:request_count`) and carry no `_total`, which client
libraries do not allow; hence these few lines. An increment costs under a microsecond. Thread-safe.

Where several processes serve together, each gives its numbers as plain data (`Metrics.values`), and whichever is
asked for the page adds them up (`added`). How the numbers travel is `serving.workers`' business.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

PATH = "/monitoring/prometheus/metrics"
# Scale of 10, power of 1.8, 33 buckets: from 10 microseconds to about 20 minutes.
LATENCY_BOUNDS = tuple(10 * 1.8**i for i in range(33))
SIZE_BOUNDS = tuple(float(2**i) for i in range(15))

Labels = tuple[str, ...]
# Of one metric: a number by labels, or the counts of a histogram's buckets and then the sum.
Cells = dict[Labels, float | list[float]]
# Of a process: cells by the metric's full name.
Values = Mapping[str, Cells]


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

    def cells(self) -> Cells:
        """A copy of the numbers."""
        raise NotImplementedError

    def lines(self, cells: Cells) -> list[str]:
        """The numbers as Prometheus reads them."""
        return [f"{self.name}{{{self._pairs(k)}}} {_number(v)}" for k, v in sorted(cells.items())]  # type: ignore[arg-type]

    def added(self, one: float | list[float], other: float | list[float]) -> float | list[float]:
        """Two processes' cells of the same labels as one."""
        return one + other  # type: ignore[operator]


class Counter(Metric):
    kind = "counter"

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        super().__init__(name, labels)
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def forget(self, drop: Callable[[Labels], bool]) -> None:
        """Lets go of the cells that nobody will count again."""
        with self._lock:
            self._values = {labels: value for labels, value in self._values.items() if not drop(labels)}

    def value(self, labels: Labels) -> float:
        return self._values.get(labels, 0)

    def cells(self) -> Cells:
        with self._lock:
            return dict(self._values)


class Gauge(Metric):
    """A number that goes up and down; `read` is asked when the page is made. `shared`: every process says the
    same of it, so it is not added up."""

    kind = "gauge"

    def __init__(
        self, name: str, labels: Sequence[str], read: Callable[[], dict[Labels, float]], shared: bool = False
    ) -> None:
        super().__init__(name, labels)
        self._read = read
        self._shared = shared

    def cells(self) -> Cells:
        return dict(self._read())

    def added(self, one: float | list[float], other: float | list[float]) -> float | list[float]:
        return one if self._shared else super().added(one, other)


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

    def cells(self) -> Cells:
        with self._lock:
            return {labels: list(cell) for labels, cell in self._cells.items()}

    def added(self, one: float | list[float], other: float | list[float]) -> float | list[float]:
        return [a + b for a, b in zip(one, other, strict=True)]  # type: ignore[arg-type]

    def lines(self, cells: Cells) -> list[str]:
        out = []
        for labels, cell in sorted(cells.items()):
            assert isinstance(cell, list)
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
        self.release_events = Counter(
            ":viaduct:serving:release_events", ["model_name", "version", "release", "share", "arm", "event"]
        )
        self._gauges: list[Gauge] = []
        # Asks the other processes that serve the same ports for their values.
        self.others: Callable[[], Awaitable[Sequence[Values]]] | None = None

    def gauge(
        self,
        name: str,
        labels: Sequence[str],
        read: Callable[[], dict[Labels, float]],
        *,
        shared: bool = False,
    ) -> None:
        """Adds a gauge of this server; `read` gives its values by labels. `shared` as in `Gauge`."""
        self._gauges.append(Gauge(name, labels, read, shared))

    def _all(self) -> list[Metric]:
        named = [m for m in vars(self).values() if isinstance(m, Metric)]
        return sorted([*named, *self._gauges], key=lambda m: m.name)

    def values(self, *, gauges: bool = True) -> Values:
        """This process's numbers as plain data. Without `gauges`: what stays true when the process has ended."""
        return {m.name: m.cells() for m in self._all() if gauges or not isinstance(m, Gauge)}

    def added(self, values: Iterable[Values]) -> Values:
        """Several processes' numbers as one; names that this version does not know are left out."""
        total: dict[str, Cells] = {}
        metrics = {m.name: m for m in self._all()}
        for one in values:
            for name in one.keys() & metrics.keys():
                sums = total.setdefault(name, {})
                for labels, cell in one[name].items():
                    sums[labels] = metrics[name].added(sums[labels], cell) if labels in sums else cell
        return total

    def page(self, values: Values | None = None) -> str:
        """The text that Prometheus scrapes; of this process unless `values` says otherwise."""
        values = self.values() if values is None else values
        lines = []
        for metric in self._all():
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines += metric.lines(values.get(metric.name, {}))
        return "\n".join(lines) + "\n"

    async def whole_page(self) -> str:
        """The page over all processes that serve together."""
        if self.others is None:
            return self.page()
        others = await self.others()
        return self.page(self.added([self.values(), *others]))
