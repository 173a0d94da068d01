"""What model servers say: quantiles of their histograms, Prometheus' text."""

from __future__ import annotations

import math

import pytest

from dashboards.readers import servers


def test_quantiles_of_a_histogram_lie_within_their_bucket() -> None:
    cells = [(10.0, 0.0), (20.0, 50.0), (40.0, 100.0), (math.inf, 100.0)]
    assert servers.quantile(cells, 0.5) == pytest.approx(20)
    assert servers.quantile(cells, 0.75) == pytest.approx(30)
    assert servers.quantile([(1.0, 0.0)], 0.5) is None
    assert servers.quantile([(10.0, 0.0), (math.inf, 5.0)], 0.9) == 10


def test_prometheus_text_is_read_with_escaped_labels() -> None:
    page = '# TYPE x counter\n:tensorflow:serving:request_count{model_name="a\\"b",status="OK"} 3\nbroken line\nx 1e3\n'
    assert servers.parse_metrics(page) == [
        (":tensorflow:serving:request_count", {"model_name": 'a\\"b', "status": "OK"}, 3.0),
        ("x", {}, 1000.0),
    ]
