"""Which requests are rehearsed and how many a second; bars over what was seen."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from serving.client.log_files import log_files, rate_of
from serving.client.request_logs import records
from serving.rehearsal import asking, judging, parity
from serving.rehearsal.driving import Arm, Slice
from serving.rehearsal.terms import Terms
from serving.wire import protos
from tests.serving.rehearsal.conftest import predict_log, write_log


def test_the_observed_rate_counts_what_sampling_left_out_and_the_time_that_files_were_open(tmp_path):
    write_log(tmp_path, [predict_log(n, rate=0.1) for n in range(30)], 1, seconds=20)
    write_log(tmp_path, [predict_log(n, rate=0.5) for n in range(10)], 2, seconds=25)
    found = asking.recorded(tmp_path, "m")
    # 300 and 20 requests; the second file was open for five seconds longer than the first.
    assert (found.rate, found.observed) == (pytest.approx(320 / 25), True)
    assert len(found.payloads) == 30
    spec = protos.predict_pb2.PredictRequest.FromString(found.payloads[0]).model_spec
    assert (spec.name, spec.HasField("version")) == ("m", False)


def test_files_of_other_models_unfinished_ones_and_damaged_ones_are_passed_over(tmp_path):
    file = write_log(tmp_path, [predict_log(1.0)])
    (tmp_path / "mm-20260101T000000Z-7-1.tfrecord").write_bytes(file.read_bytes())
    (tmp_path / "m-20260101T000000Z-7-2.tfrecord.part").write_bytes(file.read_bytes())
    assert [one.path for one in log_files(tmp_path, "m")] == [file]
    file.write_bytes(file.read_bytes()[:-1])
    assert asking.recorded(tmp_path, "m") is None
    assert asking.recorded(tmp_path / "nowhere", "m") is None


def test_a_moment_says_nothing_of_a_rate(tmp_path):
    write_log(tmp_path, [predict_log(1.0)] * 50, seconds=0.2)
    assert rate_of(log_files(tmp_path, "m"), 50) is None
    assert asking.recorded(tmp_path, "m").observed is False


def test_the_warm_up_file_holds_some_of_the_requests_evenly(tmp_path):
    file = tmp_path / "warm"
    write_log(tmp_path / "logs", [predict_log(float(n)) for n in range(100)])
    file.write_bytes(asking.warm_up(asking.recorded(tmp_path / "logs", "m").payloads, most=5))
    kept = [protos.prediction_log_pb2.PredictionLog.FromString(record) for record in records(file)]
    values = [
        np.frombuffer(log.predict_log.request.inputs["x"].tensor_content, np.float32)[0] for log in kept
    ]
    assert values == [0, 24, 49, 74, 99]


def arm(p99s, peak=100, **seen):
    return Arm(SimpleNamespace(peak=peak), [Slice(1.0, (p99,)) for p99 in p99s], requests=10, **seen)


def passed(terms, candidate, current=None, apart=0.0):
    return {bar.name: bar.passed for bar in judging.bars(terms, candidate, current, apart)}


def test_latency_is_the_median_of_pairs_so_that_one_noisy_slice_is_no_verdict():
    terms = Terms("m", "", "")
    calm, noisy, slow = arm([0.01] * 5), arm([0.011, 0.5, 0.012, 0.011, 0.4]), arm([0.016] * 5)
    assert passed(terms, noisy, calm)["latency"]
    assert not passed(terms, slow, calm)["latency"]
    assert judging.too_slow(terms, calm, slow)
    assert not judging.too_slow(terms, calm, noisy)


def test_every_bar_can_be_missed_alone():
    terms = Terms("m", "", "", memory_mb=1.0)
    calm = arm([0.01])
    met = {"errors": True, "finite": True, "latency": True, "memory": True, "parity": True}
    assert passed(terms, calm, calm) == met
    assert passed(terms, arm([0.01], errors=1), calm) == {**met, "errors": False}
    assert passed(terms, arm([0.01], nonfinite=1), calm) == {**met, "finite": False}
    assert passed(terms, arm([0.01], peak=151), calm) == {**met, "memory": False}
    assert passed(terms, arm([0.01], peak=2 << 20)) == {**met, "memory": False}
    for apart in (1.1e-5, math.inf, math.nan):
        assert passed(terms, calm, calm, apart) == {**met, "parity": False}
    # Nothing asked is nothing shown.
    assert not judging.bars(terms, Arm(SimpleNamespace(peak=1)), None, None)[0].passed


@pytest.mark.parametrize(
    ("direct", "served", "apart"),
    [
        ([1000.0], [1000.001], 1e-6),
        ([0.0], [1e-6], 1e-6),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0, 2.0], [1.0], np.inf),
        ([b"a"], [b"b"], 1.0),
    ],
)
def test_numbers_are_apart_absolutely_below_one_and_relatively_above(direct, served, apart):
    found = parity.difference({"y": np.array(direct)}, {"y": np.array(served)})
    assert found == pytest.approx(apart, rel=0.01)
    assert parity.difference({"other": np.zeros(1)}, {"y": np.zeros(1)}) == np.inf
