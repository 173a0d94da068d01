"""Our distances are TFDV's: its validator measures the same statistics and must come to the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.readers import distances, feature_stats

pytestmark = pytest.mark.slow
Table = dict[str, Any]
CATEGORICAL = ("class_id", "word", "many")


def _tables(rows: int, seed: int, shift: float) -> Table:
    """Columns of every kind; `shift` moves what can move."""
    chance = np.random.default_rng(seed)
    positives = 0.09 if shift else 0.002
    words = np.array([f"w{i}" for i in range(3000)])
    return {
        "float": chance.normal(size=rows) + shift,
        "same": chance.normal(size=rows),
        "tail": chance.lognormal(3, 2, rows) * (1 + shift),
        "integer": chance.poisson(20 + 5 * shift, rows),
        "label": (chance.random(rows) < positives).astype(np.int64),
        "classes": np.where(chance.random(rows) < 0.02 * shift, 10, chance.integers(0, 10, rows)),
        "class_id": np.where(chance.random(rows) < 0.02 * shift, 3, chance.integers(0, 3, rows)),
        "constant": np.full(rows, 7),
        "was_constant": np.full(rows, 7.0) if not shift else chance.normal(7, 1, rows),
        "moved_constant": np.full(rows, 7.0 + shift),
        "disjoint": chance.random(rows) + 100 * shift,
        "gaps": [None if x < 0.1 + 0.2 * shift else float(x) for x in chance.random(rows)],
        "nan": np.where(chance.random(rows) < 0.05 + 0.1 * shift, np.nan, chance.random(rows)),
        "infinite": np.where(chance.random(rows) < 0.03 + 0.03 * shift, np.inf, chance.random(rows)),
        "word": [None if x < 0.2 else words[int(x * (3 + shift))] for x in chance.random(rows)],
        "many": words[np.minimum(chance.zipf(1.3 + 0.1 * shift, rows), 2999)],
    }


def _schema(table: Table) -> Any:
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    for name, values in table.items():
        feature = schema.feature.add(name=name)
        kind = np.asarray([v for v in values if v is not None]).dtype.kind
        feature.type = {"f": schema_pb2.FLOAT, "i": schema_pb2.INT}.get(kind, schema_pb2.BYTES)
        if name == "class_id":
            feature.int_domain.is_categorical = True
        for comparator in (feature.drift_comparator, feature.skew_comparator):
            # A threshold below every distance: the validator then measures all of them.
            if name in CATEGORICAL:
                comparator.infinity_norm.threshold = 0
            else:
                comparator.jensen_shannon_divergence.threshold = 0
    return schema


def _statistics(table: Table, schema: Any) -> Any:
    import pyarrow as pa
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    # As decoded examples are: a list per row, missing where there is none. NaN stays a value.
    columns = {n: pa.array([None if v is None else [v] for v in values]) for n, values in table.items()}
    options = tfdv.StatsOptions(schema=schema, num_top_values=20, num_rank_histogram_buckets=50)
    return stats_impl.generate_statistics_in_memory(pa.table(columns).to_batches()[0], options)


def _read(statistics: Any, folder: Path) -> dict[str, feature_stats.FeatureStats]:
    file = folder / "FeatureStats.pb"
    file.write_bytes(statistics.SerializeToString())
    return feature_stats.read_split(file).features


def _measured(kind: str, schema: Any, now: Any, other: Any) -> dict[str, float]:
    import tensorflow_data_validation as tfdv

    against: dict[str, Any] = {"drift": {"previous_statistics": other}, "skew": {"serving_statistics": other}}
    anomalies = tfdv.validate_statistics(now, schema, **against[kind])
    return {
        info.path.step[0]: getattr(info, f"{kind}_measurements")[0].value
        for info in anomalies.drift_skew_info
    }


@pytest.fixture(scope="module")
def agree(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, float]]:
    def agree(kind: str, now: Any, other: Any, schema: Any) -> dict[str, float]:
        theirs = _measured(kind, schema, now, other)
        a, b = (_read(s, tmp_path_factory.mktemp("s")) for s in (now, other))
        ours = dict(zip(a, distances.distances([(a[n], b.get(n)) for n in a]), strict=True))
        assert set(theirs) == {name for name, found in ours.items() if found}
        for name, value in theirs.items():
            found = ours[name]
            assert found is not None and found.value == pytest.approx(value, abs=1e-9), name
            assert (found.measure == distances.L_INFINITY) == (name in CATEGORICAL), name
        return theirs

    return agree


@pytest.mark.parametrize("kind", ["drift", "skew"])
def test_each_kind_of_feature_is_as_far_apart_as_tfdv_says(agree: Any, kind: str) -> None:
    now, other = _tables(3000, 1, 1.0), _tables(2000, 2, 0.0)
    schema = _schema(now)
    measured = agree(kind, _statistics(now, schema), _statistics(other, schema), schema)
    assert set(measured) == set(now)
    # By hand: H(.046) - (H(.002) + H(.09)) / 2 = 0.0405, within what the sample's shares leave open.
    assert measured["label"] == pytest.approx(0.0405, abs=0.01)
    assert measured["class_id"] == pytest.approx(0.02, abs=0.015) and measured["classes"] > 0
    assert measured["constant"] == 0 and measured["disjoint"] == pytest.approx(1)


def test_nan_counts_as_it_does_in_tfdv(agree: Any) -> None:
    """With equal bounds NaN is a difference; with unequal ones TFDV leaves it out."""
    now = _tables(500, 1, 0.0)
    schema = _schema(now)
    first = _statistics(now, schema)
    for other_bounds in (False, True):
        second = _statistics(_tables(500, 2, 0.0) if other_bounds else now, schema)
        for statistics, count in ((first, 40), (second, 90)):
            for feature in statistics.datasets[0].features:
                for histogram in feature.num_stats.histograms:
                    histogram.num_nan = count
        agree("drift", first, second, schema)


def test_a_feature_without_any_value_is_compared_as_tfdv_does(agree: Any) -> None:
    now = _tables(300, 1, 0.0)
    schema = _schema(now)
    empty = now | {"gaps": [None] * 300, "word": [None] * 300}
    agree("drift", _statistics(now, schema), _statistics(empty, schema), schema)
