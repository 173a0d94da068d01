"""Releases on a real server, seen by its callers: who answers whom, what is rolled back, and that nobody fails."""

from __future__ import annotations

import grpc
import httpx
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.release.split import place
from tests.serving.fixtures_requests import predict_request
from tests.serving.processes import ServerProcess, until
from tests.serving.release.conftest import Callers, asked

X = [[1.0, 2.0]]
QUICK = ("--step", "1", "--limit", "100", "--tolerable", "0.02")


def asked_grpc(stub, key):
    answer = stub.Predict(predict_request("m", {"x": X}), timeout=20, metadata=[("x-viaduct-key", key)])
    return str(answer.model_spec.version.value)


@pytest.mark.slow
def test_a_pushed_version_takes_its_share_of_the_keys_over_both_wires_and_is_promoted(model, capsys):
    with ServerProcess(*model.flags()) as server, grpc.insecure_channel(server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert asked(server)[0] == "1"
        model.push(2, "better")
        until(lambda: asked(server)[0] == "2")
        assert model.command("--plan", "30,100", "--ask-me", "--step", "1") == 0
        model.push(3, "good")
        release = model.becomes("canary")
        assert (release.baseline, release.candidate) == (2, 3)
        keys = [f"key-{n}" for n in range(200)]
        expected = ["3" if place("1:3:", key) < 0.3 else "2" for key in keys]
        until(lambda: {asked(server, key)[0] for key in keys[:50]} == {"2", "3"})
        assert [asked(server, key)[0] for key in keys] == expected
        assert [asked_grpc(stub, key) for key in keys] == expected
        # Who names a version gets it.
        assert asked(server, keys[0], "/v1/models/m/versions/3:predict")[0] == "3"
        metrics = httpx.get(f"{server.url}/monitoring/prometheus/metrics").text
        assert (
            ':viaduct:serving:release_events{model_name="m",version="3",release="1",share="0.3",arm="candidate"'
            in metrics
        )
        assert model.command("--promote", "--why", "it is good") == 0
        until(lambda: {asked(server, key)[0] for key in keys} == {"3"})
    release = model.release()
    assert release.state == "promoted"
    assert release.journal[-1]["why"] == "it is good"
    assert model.command("--status") == 0
    assert "version 3 beside 2, promoted, 100 % of the traffic" in capsys.readouterr().out


@pytest.mark.slow
def test_a_good_version_is_promoted_and_a_bad_one_rolled_back_by_itself_and_no_request_fails(model):
    with ServerProcess(*model.flags()) as server:
        assert model.command("--plan", "shadow,20,50,100", *QUICK) == 0
        with Callers(server.url) as callers:
            model.push(2, "better")
            promoted = model.becomes("promoted", 100)
            model.push(3, "failing")
            until(lambda: model.release().candidate == 3)
            rolled_back = model.becomes("rolled_back")
            callers.settle_on("2")
            assert callers.failed == {}
    assert [line["state"] for line in promoted.journal] == ["shadow", "canary", "canary", "promoted"]
    assert rolled_back.journal[-1]["why"].startswith(("errors: ", "five answers in a row"))
    assert rolled_back.baseline == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "why"),
    [("broken", "five answers in a row"), ("nan", ("nonfinite: ", "five answers")), ("slow", "slow: ")],
)
def test_a_candidate_that_fails_or_answers_nan_or_is_slow_now_and_then_is_rolled_back(model, kind, why):
    with ServerProcess(*model.flags()) as server, Callers(server.url) as callers:
        assert model.command("--plan", "30,100", *QUICK) == 0
        model.push(2, kind)
        release = model.becomes("rolled_back", 100)
        assert release.journal[-1]["why"].startswith(why)
        callers.settle_on("1")
        assert callers.failed == {}
