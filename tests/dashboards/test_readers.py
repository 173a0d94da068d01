"""The readers alone: distances, curves, quantiles, graphs, records; against values known by other means."""

from __future__ import annotations

import itertools
import math
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from dashboards import distances, drawing, evaluation, intervals, plots, samples, servers, tfrecord, words
from dashboards.feature_stats import FeatureStats
from dashboards.files import Cache, Files, Missing


def _uniform(low: float, high: float) -> FeatureStats:
    edges = tuple(low + (high - low) * i / 10 for i in range(11))
    bins = tuple((a, b, 10.0) for a, b in itertools.pairwise(edges))
    return FeatureStats("x", "float", 100, 100, 0.0, mean=0.0, quantiles=edges, bins=bins)


def test_equal_distributions_are_at_distance_zero_and_separate_ones_at_one() -> None:
    assert distances.jensen_shannon(_uniform(0, 1), _uniform(0, 1)) == 0
    assert distances.jensen_shannon(_uniform(0, 1), _uniform(5, 6)) == pytest.approx(1, abs=1e-9)


def test_half_overlapping_uniforms_are_at_the_distance_of_the_formula() -> None:
    # p = 1 on [0, 1], q = 1 on [0.5, 1.5]: on each half without the other 1/2 * 1/2 * log2(2), the rest cancels.
    assert distances.jensen_shannon(_uniform(0, 1), _uniform(0.5, 1.5)) == pytest.approx(0.5, abs=1e-6)


def test_a_long_tail_in_one_sample_is_no_distance() -> None:
    one = _uniform(0, 1)
    tail = FeatureStats(
        "x", "float", 100, 100, 0.0, mean=0.0, quantiles=(*one.quantiles[:-1], 5000.0),
        bins=((0.0, 500.0, 99.9), (4500.0, 5000.0, 0.1)),
    )  # fmt: skip
    assert distances.jensen_shannon(one, tail) < 0.06


def test_l_infinity_is_the_largest_difference_of_shares() -> None:
    assert distances.l_infinity([("a", 50), ("b", 50)], [("a", 20), ("c", 80)]) == pytest.approx(0.8)


def test_records_are_read_up_to_a_torn_one(tmp_path: Path) -> None:
    file = tmp_path / "x"
    whole = b"".join(struct.pack("<QI", 3, 0) + data + b"\0\0\0\0" for data in (b"abc", b"def"))
    file.write_bytes(whole + struct.pack("<QI", 10, 0) + b"half")
    assert list(tfrecord.records(file)) == [b"abc", b"def"]
    file.write_bytes(struct.pack("<QI", 1 << 60, 0) + b"x")
    assert list(tfrecord.records(file)) == []


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


def test_arrows_that_others_imply_are_left_out() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    assert drawing.reduced(edges) == [("a", "b"), ("b", "c")]


def test_a_graph_with_a_circle_is_still_drawn() -> None:
    boxes = [drawing.Box("a", "a"), drawing.Box("b", "<b>")]
    picture = drawing.graph(boxes, [("a", "b"), ("b", "a")], "circle")
    assert "&lt;b&gt;" in picture and picture.count("<rect") == 4


def test_the_threshold_of_the_largest_youden_index_is_chosen() -> None:
    matrices = [
        plots.Matrix(t / 10, 10 - t, 10 * (1 - t / 10) ** 2, 10 - 10 * (1 - t / 10) ** 2, t)
        for t in range(11)
    ]
    best = plots.best(matrices)
    assert best is not None and best.threshold == pytest.approx(0.5)


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("found", "rows", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(found: int, rows: int, low: float, high: float) -> None:
    assert intervals.wilson(found / rows, rows) == pytest.approx((low, high), abs=5e-5)


def _measured(classes: dict[str, str], metrics: dict[str, float], **config: Any) -> evaluation.Evaluation:
    """An evaluation of all rows whose config names `classes` by their names in the results."""
    specs = [{"className": c, "config": f'{{"name": "{name}"}}'} for name, c in classes.items()]
    values = {name: evaluation.Value(value) for name, value in metrics.items()}
    return evaluation.Evaluation(
        [evaluation.Slice("", metrics=values)], config={"metricsSpecs": [{"metrics": specs}], **config}
    )


CLASSES = {
    "recall": "Recall",
    "precision": "Precision",
    "fall_out": "FallOut",
    "right": "BinaryAccuracy",
    "auc": "AUC",
}
# 60 of 80 positives found, 15 of 120 negatives taken for positives.
METRICS = {
    "recall": 0.75,
    "precision": 0.8,
    "fall_out": 0.125,
    "right": 0.825,
    "auc": 0.9,
    "example_count": 200.0,
}


def test_shares_are_bounded_by_what_they_are_shares_of() -> None:
    matrices = {"": plots.Plots("", [plots.Matrix(0.5, 60, 15, 105, 20)])}
    found = intervals.with_intervals(_measured(CLASSES, METRICS), matrices).overall.metrics
    for name, rows in {"recall": 80, "precision": 75, "fall_out": 120, "right": 200}.items():
        assert (found[name].low, found[name].high) == pytest.approx(intervals.wilson(METRICS[name], rows)), (
            name
        )
    assert found["auc"].low is None and found["example_count"].low is None


def test_weighted_rows_foreign_thresholds_and_missing_counts_give_no_interval() -> None:
    matrices = {"": plots.Plots("", [plots.Matrix(0.5, 60, 15, 105, 20)])}

    def bounded(given: evaluation.Evaluation, counts: dict[str, plots.Plots]) -> set[str]:
        metrics = intervals.with_intervals(given, counts).overall.metrics
        return {name for name, value in metrics.items() if value.low is not None}

    assert bounded(_measured(CLASSES, METRICS), {}) == {"right"}
    weighted = _measured(CLASSES, METRICS, modelSpecs=[{"exampleWeightKey": "weight"}])
    assert bounded(weighted, matrices) == set()
    # 0.7777 of 80 positives is no number of rows: this recall is a share of something else.
    odd = _measured(CLASSES, {**METRICS, "recall": 0.7777, "precision": 0.8})
    assert bounded(odd, matrices) == {"fall_out", "right"}


def test_an_interval_of_tfma_is_kept() -> None:
    given = _measured(CLASSES, METRICS)
    given.overall.metrics["right"] = evaluation.Value(0.825, 0.7, 0.9, "TFMA")
    found = intervals.with_intervals(given, {})
    assert found.overall.metrics["right"].low == 0.7
    assert intervals.methods(found) == ["resampled by TFMA (jackknife)"]


def test_buckets_are_joined_to_about_equal_weight() -> None:
    joined = plots.merged([(i / 100, i / 100, 1.0) for i in range(100)], 10)
    assert len(joined) == 10 and sum(n for _, _, n in joined) == 100


def test_numbers_are_short_and_whole_on_hover() -> None:
    assert [words.short(x) for x in (0.123456, 1234567, 1234.5, 1e-7, None, True, math.nan)] == [
        "0.1235", "1,234,567", "1,234", "1.00e-07", "–", "True", "not a number",
    ]  # fmt: skip
    assert 'title="0.123456"' in words.number(0.123456)
    assert [words.duration(s) for s in (0.44, 59.7, 125, 7300, 90000)] == [
        "0.4 s",
        "60 s",
        "2 min 5 s",
        "2 h 1 min",
        "1 d 1 h",
    ]


def test_the_cache_keeps_the_latest_and_no_more() -> None:
    cache = Cache(3)
    made: list[int] = []
    for key in (1, 2, 3, 1, 4, 1, 2):
        cache.get(key, lambda key=key: made.append(key) or key)  # type: ignore[misc]
    assert made == [1, 2, 3, 4, 2] and len(cache) == 3


def test_paths_outside_home_are_not_read(tmp_path: Path) -> None:
    files = Files(tmp_path / "home")
    (tmp_path / "home").mkdir()
    (tmp_path / "secret").write_text("x")
    for path in ("/etc/passwd", tmp_path / "secret", tmp_path / "home" / ".." / "secret", "", "a\0b"):
        with pytest.raises(Missing):
            files.inside(path)
    assert files.inside(tmp_path / "home") == (tmp_path / "home").resolve()


def test_a_drawn_array_is_a_picture_that_decodes() -> None:
    import io

    from PIL import Image

    pixels = bytes(range(256))
    image = Image.open(io.BytesIO(samples.png(pixels, 16, 16, 1)))
    assert image.size == (16, 16) and list(image.getdata()) == list(pixels)


def test_own_metrics_of_a_project_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"coverage": 0.95, "slice = a": {"coverage": 0.9}, "text": "x"}')
    found = evaluation.read_evaluation(tmp_path)
    assert found.overall.metrics["coverage"].value == 0.95
    assert [s.key for s in found.slices] == ["", "slice = a"]


def test_many_threads_read_metadata_at_once(home: Path) -> None:
    from dashboards.metadata import Metadata

    metadata = Metadata(f"sqlite://{home / 'metadata.sqlite'}")
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for name, context, _ in metadata.runs():
                assert metadata.run(context).nodes, name
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.slow
def test_the_same_numbers_as_tfmas_own_reader(home: Path) -> None:
    """Runs TFMA itself in a process of its own, because importing it takes seconds and stays."""
    import json
    import subprocess
    import sys

    folder = home / "pipelines" / "card_fraud" / "Evaluator" / "modelevaluation" / "3"
    code = (
        "import json, sys, os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\n"
        "from tensorflow_model_analysis.writers.metrics_plots_and_validations_writer import *\n"
        "import tensorflow_model_analysis.writers.metrics_plots_and_validations_writer as w\n"
        "found = {}\n"
        f"for m in w.load_and_deserialize_metrics({str(folder)!r}):\n"
        "    key = ', '.join(f'{s.column} = {s.bytes_value.decode()}' for s in m.slice_key.single_slice_keys)\n"
        "    values = [v for v in m.metric_keys_and_values if not v.key.is_diff and v.key.model_name != 'baseline']\n"
        "    found[key] = {v.key.name: v.value.double_value.value for v in values}\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ours = {
        s.key: {k: v.value for k, v in s.metrics.items()} for s in evaluation.read_evaluation(folder).slices
    }
    assert ours == theirs
