"""Intervals of every metric in every slice: against formulas, and against TFMA's metrics of the rows drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.components.evaluator.measuring import reference


def found(rows: Any, config: Any) -> dict[Any, dict[tuple[str, str, bool], Any]]:
    from components.evaluator.measuring import computing, uncertainty

    intervals, _ = uncertainty.uncertainty(rows, computing.measure(rows, config))
    return {
        key: {(k.name, k.model_name, k.is_diff): interval for k, interval in of_slice.items()}
        for key, of_slice in intervals.items()
    }


def some_rows(count: int, share: float = 0.3, seed: int = 0, places: int = 2) -> Any:
    random = np.random.default_rng(seed)
    labels = (random.random(count) < share).astype(int)
    scores = np.clip(labels * 0.3 + random.random(count) * 0.7, 0, 1)
    near = np.clip(scores + random.normal(0, 0.05, count), 0, 1)
    return reference.rows(
        labels, {"candidate": near, "baseline": scores}, random.integers(0, places, count).tolist()
    )


METRICS = ("ExampleCount", "Recall", "AUC", 'AUC:{"curve": "PR", "name": "auc_pr"}', "F1Score", "Calibration")


def test_an_area_spreads_as_delong_says_and_a_share_as_its_formula() -> None:
    rows = some_rows(2000)
    one = found(rows, reference.config(*METRICS, baseline=True))[()]
    labels, scores = rows.labels == 1, rows.predictions["candidate"]
    # DeLong, DeLong and Clarke-Pearson 1988: the variance of the placement values of both classes.
    below = (scores[labels][:, None] > scores[~labels][None]) + 0.5 * (
        scores[labels][:, None] == scores[~labels][None]
    )
    spread = math.sqrt(
        below.mean(axis=1).var(ddof=1) / labels.sum() + below.mean(axis=0).var(ddof=1) / (~labels).sum()
    )
    auc = one["auc", "candidate", False]
    assert auc.value == pytest.approx(below.mean(), abs=1e-3)
    assert (auc.high - auc.low) / (2 * 1.96) == pytest.approx(spread, rel=0.12)
    recall = one["recall", "candidate", False]
    expected = math.sqrt(recall.value * (1 - recall.value) / labels.sum())
    assert (recall.high - recall.low) / (2 * 1.96) == pytest.approx(expected, rel=0.12)


def test_every_metric_but_counts_of_rows_has_an_interval_in_every_slice_and_for_differences() -> None:
    by_slice = found(some_rows(600), reference.config(*METRICS, baseline=True))
    names = {"recall", "auc", "auc_pr", "f1_score", "calibration"}
    for of_slice in by_slice.values():
        assert {name for name, model, diff in of_slice if model == "candidate" and not diff} == names
        assert {name for name, _, diff in of_slice if diff} == names
        for interval in of_slice.values():
            assert interval.low < interval.value < interval.high


def test_differences_on_the_same_rows_are_surer_than_the_values() -> None:
    one = found(some_rows(2000), reference.config("AUC", baseline=True))[()]
    change, own = one["auc", "candidate", True], one["auc", "candidate", False]
    assert change.high - change.low < 0.7 * (own.high - own.low)


def test_resampled_areas_are_tfmas_of_the_rows_drawn() -> None:
    import itertools

    from components.confidence import resampling
    from components.evaluator.measuring import computing, uncertainty

    rows = some_rows(60, seed=4)
    config = reference.config("AUC", 'AUC:{"curve": "PR", "name": "auc_pr"}', baseline=True)
    intervals, plan = uncertainty.uncertainty(rows, computing.measure(rows, config))
    order = uncertainty._order(rows)
    ((_, drawn),) = resampling.blocks(plan)
    for column, (name, metric) in itertools.product((1, 7), (("auc", "ROC"), ("auc_pr", "PR"))):
        again = np.repeat(order, np.round(drawn[:, column]).astype(int))
        sample = reference.rows(
            rows.labels[again], {m: p[again] for m, p in rows.predictions.items()}, [0] * len(again)
        )
        expected = {
            (k.name, k.model_name, k.is_diff): v
            for k, v in computing.measure(sample, config).slices[()].items()
        }
        samples = {(k.name, k.model_name, k.is_diff): i.samples for k, i in intervals[()].items()}
        key = (name, "candidate", False)
        value = next(i.value for k, i in intervals[()].items() if (k.name, k.model_name, k.is_diff) == key)
        # Samples are expanded about the value, as for few rows.
        from components.confidence.intervals import expansion

        positives = min((rows.labels == 1).sum(), (rows.labels == 0).sum())
        raw = value + (samples[key][column - 1] - value) / expansion(float(positives))
        assert raw == pytest.approx(expected[key], abs=2e-3), (metric, column)


def test_the_same_rows_in_another_order_have_the_same_intervals() -> None:
    from components.evaluator.measuring.rows import Rows
    from components.evaluator.measuring.slicing import Slices

    rows = some_rows(300)
    order = np.random.default_rng(1).permutation(300)
    other = Rows(
        rows.labels[order],
        {name: values[order] for name, values in rows.predictions.items()},
        Slices(rows.slices.keys, [layer[order] for layer in rows.slices.layers]),
    )
    config = reference.config(*METRICS, baseline=True)
    mine, theirs = found(rows, config), found(other, config)
    for key, of_slice in mine.items():
        for metric, interval in of_slice.items():
            again = theirs[key][metric]
            assert (interval.low, interval.high) == pytest.approx((again.low, again.high), abs=1e-6), metric


def test_a_slice_with_one_class_has_no_area_and_no_interval_of_it() -> None:
    rows = reference.rows([1, 0] * 20 + [0] * 20, {"": np.linspace(0, 1, 60)}, [0] * 40 + [1] * 20)
    by_slice = found(rows, reference.config("AUC", "FallOut"))
    assert ("auc", "", False) in by_slice[("place", 0),]
    assert ("auc", "", False) not in by_slice[("place", 1),] and ("fall_out", "", False) in by_slice[
        ("place", 1),
    ]


def test_many_slices_are_cut_coarser_and_still_have_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.evaluator.measuring import uncertainty

    config = reference.config("Recall", "AUC", baseline=True)
    fine = found(some_rows(3000, places=12), config)[()]["auc", "candidate", False]
    # As 150 slices and more would be.
    monkeypatch.setattr(uncertainty, "SLICES_OF_MOST", 0)
    by_slice = found(some_rows(3000, places=12), config)
    coarse = by_slice[()]["auc", "candidate", False]
    assert len(by_slice) == 13 and coarse.value == fine.value
    assert (coarse.low, coarse.high) == pytest.approx((fine.low, fine.high), abs=2e-3)
