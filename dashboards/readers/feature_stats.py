"""TFDV's statistics (FeatureStats.pb), schema and anomalies as plain values for tables and histograms.

Reads the protos of tensorflow_metadata; computes nothing anew: what two features share is in `distances` and
`shared_bins`. A feature's histogram is a list of (low, high, count); top values are (value, count).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Kinds of tensorflow_metadata's Histogram.
STANDARD, QUANTILES = 0, 1
Bins = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class FeatureStats:
    """One feature in one split. Counts are weighted by nothing; `missing` is a fraction of the split's rows.

    `bins` is TFDV's standard histogram and `tenths` its about equally full buckets, both of finite values; `infinite`
    and `nan` count the others. `ranks` holds the values of a categorical feature, whatever their type, as far as
    TFDV kept them.
    """

    name: str
    type: str
    rows: int
    present: int
    missing: float
    values: tuple[int, int] = (0, 0)
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None
    zeros: float | None = None
    unique: int | None = None
    length: float | None = None
    bins: Bins = ()
    tenths: Bins = ()
    infinite: float = 0.0
    nan: float = 0.0
    categorical: bool = False
    top: tuple[tuple[str, float], ...] = ()
    ranks: tuple[tuple[str, float], ...] = ()

    @property
    def numeric(self) -> bool:
        return self.mean is not None

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The bounds of `tenths`, minimum first, maximum last."""
        return (self.tenths[0][0], *(high for _, high, _ in self.tenths)) if self.tenths else ()


class Features(Mapping[str, FeatureStats]):
    """The features of a split by name, in the file's order, each read when it is first asked for.

    Thousands of features take a second to read; a page shows thirty. Thread-safe: two threads read the same.
    """

    def __init__(self, messages: Mapping[str, Any], rows: int, kinds: Mapping[int, str]) -> None:
        self._messages, self._rows, self._kinds = messages, rows, kinds
        self._read: dict[str, FeatureStats] = {}

    def __getitem__(self, name: str) -> FeatureStats:
        known = self._read.get(name)
        if known is None:
            message = self._messages[name]
            known = self._read[name] = _feature(message, self._rows, self._kinds[message.type])
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)


@dataclass(frozen=True)
class Split:
    """A split's statistics."""

    name: str
    rows: int
    features: Mapping[str, FeatureStats] = field(default_factory=dict)


def read_split(file: Path) -> Split:
    """Statistics of one split from its FeatureStats.pb. Raises DecodeError for another file."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
    name = file.parent.name.removeprefix("Split-")
    if not statistics.datasets:
        return Split(name, 0)
    # Sliced statistics hold several data sets; the one of all examples comes first.
    dataset = statistics.datasets[0]
    rows = int(dataset.num_examples)
    kinds = {number: kind.lower() for kind, number in statistics_pb2.FeatureNameStatistics.Type.items()}
    return Split(name, rows, Features({_name(f): f for f in dataset.features}, rows, kinds))


def _name(feature: Any) -> str:
    return ".".join(feature.path.step) or feature.name


def _feature(feature: Any, rows: int, kind: str) -> FeatureStats:
    which = feature.WhichOneof("stats")
    stats: Any = getattr(feature, which) if which else None
    common = getattr(stats, "common_stats", None)
    present = int(common.num_non_missing) if common is not None else 0
    missing = 1 - present / rows if rows else 0.0
    values = (int(common.min_num_values), int(common.max_num_values)) if common is not None else (0, 0)
    basic: dict[str, Any] = {
        "name": _name(feature),
        "type": kind,
        "rows": rows,
        "present": present,
        "missing": missing,
        "values": values,
    }
    if which == "num_stats":
        return FeatureStats(**basic, **_numbers(stats))
    if which == "string_stats":
        return FeatureStats(
            **basic,
            categorical=True,
            unique=int(stats.unique),
            length=float(stats.avg_length),
            top=tuple((_text(v.value), float(v.frequency)) for v in stats.top_values[:20]),
            ranks=tuple((_text(b.label), float(b.sample_count)) for b in stats.rank_histogram.buckets),
        )
    if which == "bytes_stats":
        return FeatureStats(
            **basic,
            unique=int(stats.unique) or None,
            length=float(stats.avg_num_bytes),
            minimum=float(stats.min_num_bytes),
            maximum=float(stats.max_num_bytes),
        )
    return FeatureStats(**basic)


def _numbers(stats: Any) -> dict[str, Any]:
    kinds: dict[int, Any] = {}
    for histogram in stats.histograms:
        kinds.setdefault(histogram.type, histogram)
    standard, tenths = kinds.get(STANDARD), kinds.get(QUANTILES)
    bins, infinite = _finite(standard)
    total = stats.common_stats.tot_num_values or stats.common_stats.num_non_missing
    return {
        "mean": stats.mean,
        "deviation": stats.std_dev,
        "minimum": stats.min,
        "median": stats.median,
        "maximum": stats.max,
        "zeros": stats.num_zeros / total if total else 0.0,
        "bins": bins,
        "tenths": _finite(tenths)[0],
        "infinite": infinite,
        "nan": float(standard.num_nan) if standard is not None else 0.0,
    }


def _finite(histogram: Any) -> tuple[Bins, float]:
    """The buckets between finite bounds, and how many values are in others."""
    if histogram is None:
        return (), 0.0
    buckets = [(b.low_value, b.high_value, b.sample_count) for b in histogram.buckets]
    # One sum instead of twenty questions: thousands of features have all their bounds finite.
    if math.isfinite(sum([low + high for low, high, _ in buckets])):
        return tuple(buckets), 0.0
    finite = tuple([b for b in buckets if math.isfinite(b[0]) and math.isfinite(b[1])])
    if len(finite) == len(buckets):
        return finite, 0.0
    return finite, sum(count for _, _, count in buckets) - sum(count for _, _, count in finite)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class SchemaFeature:
    """What the schema says of a feature, in words."""

    name: str
    type: str
    presence: str
    shape: str
    domain: str


def read_schema(folder: Path) -> list[SchemaFeature]:
    """The schema artifact's features. Raises ParseError or OSError for what is no schema."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    text = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    schema = text_format.Parse(text, schema_pb2.Schema(), allow_unknown_field=True)
    domains = {d.name: ", ".join(d.value) for d in schema.string_domain}
    return [_schema_feature(feature, domains) for feature in schema.feature]


def _schema_feature(feature: Any, domains: dict[str, str]) -> SchemaFeature:
    from tensorflow_metadata.proto.v0 import schema_pb2

    presence = (
        f"in {feature.presence.min_fraction:.0%} of rows" if feature.presence.min_fraction else "optional"
    )
    if feature.HasField("shape"):
        shape = " × ".join(str(dim.size) for dim in feature.shape.dim) or "one value"
    elif feature.HasField("value_count"):
        upper = f" to {feature.value_count.max}" if feature.value_count.max else " or more"
        shape = f"{feature.value_count.min}{upper} values"
    else:
        shape = ""
    which = feature.WhichOneof("domain_info")
    if which == "domain":
        domain = domains.get(feature.domain, feature.domain)
    elif which in ("int_domain", "float_domain"):
        limits = getattr(feature, which)
        low = f"{limits.min:g}" if limits.HasField("min") else "−∞"
        high = f"{limits.max:g}" if limits.HasField("max") else "∞"
        domain = f"{low} … {high}" + (" (categorical)" if getattr(limits, "is_categorical", False) else "")
    elif which == "string_domain":
        domain = ", ".join(feature.string_domain.value)
    else:
        domain = which.removesuffix("_domain") if which else ""
    kind = schema_pb2.FeatureType.Name(feature.type).lower()
    return SchemaFeature(feature.name, kind, presence, shape, domain)


@dataclass(frozen=True)
class Drift:
    """A distance that TFDV measured because the schema asks for it."""

    split: str
    feature: str
    kind: str
    measure: str
    value: float
    threshold: float


def read_drift(file: Path) -> list[Drift]:
    """Drift and skew in an anomalies file (SchemaDiff.pb)."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    anomalies = anomalies_pb2.Anomalies.FromString(file.read_bytes())
    split = file.parent.name.removeprefix("Split-")
    listed = []
    kinds = anomalies_pb2.DriftSkewInfo.Measurement.Type
    for info in anomalies.drift_skew_info:
        for kind, measurements in (("drift", info.drift_measurements), ("skew", info.skew_measurements)):
            for m in measurements:
                measure = kinds.Name(m.type).lower().replace("_", " ")
                listed.append(Drift(split, ".".join(info.path.step), kind, measure, m.value, m.threshold))
    return listed
