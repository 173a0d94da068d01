"""TFMA's plots as points."""

from __future__ import annotations

import pytest

from dashboards.readers import plots


def test_the_threshold_of_the_largest_youden_index_is_chosen() -> None:
    matrices = [
        plots.Matrix(t / 10, 10 - t, 10 * (1 - t / 10) ** 2, 10 - 10 * (1 - t / 10) ** 2, t)
        for t in range(11)
    ]
    best = plots.best(matrices)
    assert best is not None and best.threshold == pytest.approx(0.5)


def test_buckets_are_joined_to_about_equal_weight() -> None:
    joined = plots.merged([(i / 100, i / 100, 1.0) for i in range(100)], 10)
    assert len(joined) == 10 and sum(n for _, _, n in joined) == 100
