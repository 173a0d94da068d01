"""Whole rehearsals: real servers as child processes, a good candidate and bad ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from serving.client.request_logs import frame, records
from serving.client.tensors import example
from serving.rehearsal.main import RESULT, WARM_UP, NoRequests, main, run
from serving.wire import protos

pytestmark = pytest.mark.slow


def bars(result):
    return {bar["name"]: bar for bar in result["bars"]}


def test_a_good_version_meets_every_bar_and_leaves_a_warm_up_file(terms, tmp_path):
    # Interference by other processes may not decide what this test is about.
    given = tmp_path / "terms.json"
    given.write_text(json.dumps({**dataclasses.asdict(terms), "latency_ratio": 50.0}))
    assert main([str(given)]) == 0
    result = json.loads((Path(terms.out) / RESULT).read_text())
    told = bars(result)
    assert [name for name, bar in told.items() if bar["passed"]] == [
        "errors", "finite", "latency", "memory", "parity",
    ]  # fmt: skip
    assert told["parity"]["value"] <= 1e-6
    assert (result["current"], result["source"], result["observed"]) == ("1", "20 recorded requests", False)
    # Both arms got the same requests, at half, once and twice the rate.
    assert result["requests"]["current"] == result["requests"]["candidate"] > 60
    paces = [pace for pace, *_ in result["slices"]["candidate"]]
    assert paces == [0.5] * 5 + [1.0] * 5 + [2.0] * 5
    kept = [protos.prediction_log_pb2.PredictionLog.FromString(r) for r in records(Path(terms.out) / WARM_UP)]
    assert len(kept) == 20
    assert not kept[0].predict_log.request.model_spec.HasField("version")


@pytest.mark.parametrize("kind", ["failing", "slow"])
def test_a_version_that_fails_or_is_slow_misses_that_bar(terms, versions, kind):
    result = run(dataclasses.replace(terms, candidate=str(versions / kind), parity=None))
    assert not result["passed"]
    missed = [name for name, bar in bars(result).items() if not bar["passed"]]
    assert {"failing": "errors", "slow": "latency"}[kind] in missed


def test_a_version_that_cannot_be_loaded_is_told_with_the_reason(terms, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model")
    result = run(dataclasses.replace(terms, candidate=str(broken), load_s=20.0))
    assert [bar["name"] for bar in result["bars"]] == ["load"]
    assert "cannot be served" in result["bars"][0]["text"]
    assert not (Path(terms.out) / WARM_UP).exists()


def test_without_logs_rows_of_the_evaluation_are_asked_and_without_a_served_version_nothing_is_compared(
    terms, versions, tmp_path
):
    rows = tmp_path / "rows"
    some = [{"x": np.array([n, 1, 2], np.float32), "k": np.array([b"b"], object)} for n in range(5)]
    rows.write_bytes(b"".join(frame(example(row).SerializeToString()) for row in some))
    told = dataclasses.replace(
        terms, candidate=str(versions / "examples"), served=str(tmp_path / "nobody"), logs="",
        rows=str(rows), signature="regress",
    )  # fmt: skip
    result = run(told)
    assert result["passed"], result["bars"]
    assert (result["source"], result["current"]) == ("5 rows of the evaluation", "")
    assert bars(result)["latency"]["value"] is None
    with pytest.raises(NoRequests, match="no signature 'serve_examples'"):
        run(dataclasses.replace(told, signature="serve_examples"))


def test_terms_that_cannot_be_are_refused(terms, tmp_path, capsys):
    file = tmp_path / "terms.json"
    file.write_text(json.dumps({**dataclasses.asdict(terms), "seconds": 0}))
    assert main([str(file)]) == 2
    assert "seconds is 0; expected a positive number" in capsys.readouterr().err
