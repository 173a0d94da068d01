"""Whole rehearsals: real servers as child processes, a good candidate and bad ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from serving.client.request_logs import records
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


def test_a_version_that_fails_now_and_then_misses_that_bar(terms, versions):
    result = run(
        dataclasses.replace(terms, candidate=str(versions / "failing"), parity=None, latency_ratio=50.0)
    )
    assert not result["passed"]
    told = bars(result)
    assert [name for name, bar in told.items() if not bar["passed"]] == ["errors"]
    assert "this model fails now and then" in told["errors"]["text"]


def test_a_version_that_cannot_be_loaded_is_told_with_the_reason(terms, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model")
    result = run(dataclasses.replace(terms, candidate=str(broken), load_s=20.0))
    assert [bar["name"] for bar in result["bars"]] == ["load"]
    assert "cannot be served" in result["bars"][0]["text"]
    assert not (Path(terms.out) / WARM_UP).exists()


def test_without_logs_and_without_rows_that_fit_there_is_nothing_to_ask(terms, tmp_path):
    with pytest.raises(NoRequests, match="no signature 'serve_examples'"):
        run(dataclasses.replace(terms, served=str(tmp_path / "nobody"), logs=""))


def test_terms_that_cannot_be_are_refused(terms, tmp_path, capsys):
    file = tmp_path / "terms.json"
    file.write_text(json.dumps({**dataclasses.asdict(terms), "seconds": 0}))
    assert main([str(file)]) == 2
    assert "seconds is 0; expected a positive number" in capsys.readouterr().err
