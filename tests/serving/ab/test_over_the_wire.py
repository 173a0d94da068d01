"""An A/B test on a real server: ids, feedback over both wires, a kill, and the numbers that remain."""

from __future__ import annotations

import json
import shutil
import time

import grpc
import httpx
import pytest

from serving.ab.units import Feedback
from serving.client import Client
from serving.client.request_logs import with_ids
from serving.errors import InvalidArgument, NotFound
from serving.wire.feedback import PATH, GiveRequest, GiveResponse, request_of
from tests.serving.processes import ServerProcess, until

X = [[1.0, 2.0]]


@pytest.mark.slow
def test_what_users_did_comes_back_by_request_id_and_outlives_a_kill(models_root, shop, tmp_path, capsys):
    for version in (1, 2):
        shutil.copytree(models_root / "scaled" / str(version), shop.base / str(version), dirs_exist_ok=True)
    flags = [f"--model_base_path={shop.base}", "--model_name=m"]
    logs = [f"--request_log_dir={tmp_path / 'logs'}", "--request_log_rate=1"]
    assert shop.ab("--between", "1,2", "--metric", "bought", "--window", "0s") == 0
    with ServerProcess(*flags, *logs) as server:
        with Client(server.url) as rest, Client(server.grpc_address) as over_grpc:

            def asked(key, client=rest):
                return client.predict("m", X, key=key)

            until(lambda: {asked(f"warm {n}").version for n in range(8)} == {1, 2}, 60)
            answers = {f"user {n}": asked(f"user {n}", (rest, over_grpc)[n % 2]) for n in range(40)}
            ids = {key: answer.request_id for key, answer in answers.items()}
            assert len(set(ids.values())) == 40
            told = {ids[key]: {"bought": answer.version == 1} for key, answer in answers.items()}
            some = dict(list(told.items())[:15])
            assert rest.feedback("m", some) == 15
            assert over_grpc.feedback("m", {i: v for i, v in told.items() if i not in some}) == 25
            for client in (rest, over_grpc):
                with pytest.raises(InvalidArgument, match=r"expected a finite number.*Nothing was kept"):
                    client.feedback("m", {"a": {"x": 1.0}, "b": {"x": float("inf")}})
                with pytest.raises(NotFound):
                    client.feedback("other", {"a": {"x": 1.0}})
        wrong = httpx.post(f"{server.url}/v1/models/m:feedback", json={"request_id": "a", "bought": None})
        assert (wrong.status_code, "Nothing was kept" in wrong.json()["error"]) == (400, True)
        # Who speaks plain gRPC needs the message alone.
        with grpc.insecure_channel(server.grpc_address) as channel:
            give = channel.unary_unary(PATH, GiveRequest.SerializeToString, GiveResponse.FromString)
            assert give(request_of("m", {"unknown": {"bought": True}}), timeout=20).kept == 1
        server.kill()
    found = Feedback(shop.base)
    found.read()
    assert {name: found.outcomes[name]["bought"][1] for name in told} == {
        name: float(values["bought"]) for name, values in told.items()
    }
    time.sleep(0.01)
    capsys.readouterr()
    assert shop.ab("--json") == 0
    test = json.loads(capsys.readouterr().out)["test"]
    of_one = sum(answer.version == 1 for answer in answers.values())
    warm = test["a"]["users"] + test["b"]["users"] - 40
    assert 0 < of_one < 40 and 0 <= warm <= 8
    assert test["counts"]["of no request of this test"] == 1
    assert of_one <= test["b"]["users"] <= of_one + warm
    # The log's file is finished by the next server of that folder.
    with ServerProcess(*flags, *logs) as server:
        httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": X})
    assert set(ids.values()) <= {request_id for request_id, _ in with_ids(tmp_path / "logs", "m")}


@pytest.mark.slow
def test_a_server_that_keeps_nothing_gives_no_ids(models_root):
    flags = [f"--model_base_path={models_root / 'scaled'}", "--model_name=m"]
    with ServerProcess(*flags) as server:
        for address in (server.url, server.grpc_address):
            with Client(address) as client:
                assert client.predict("m", X).request_id is None


@pytest.mark.slow
def test_every_rpc_gives_its_id_over_both_wires_and_in_the_log(models_root, tmp_path):
    flags = [f"--model_base_path={models_root / 'examples'}", "--model_name=m", "--rest_api_num_threads=1"]
    logs = [f"--request_log_dir={tmp_path}", "--request_log_rate=1"]
    row = [{"x": [1.0, 2.0, 3.0]}]
    ids: dict[str, str] = {}
    with ServerProcess(*flags, *logs) as server:
        with Client(server.url) as rest, Client(server.grpc_address) as over_grpc:
            for client, wire in ((rest, "rest"), (over_grpc, "grpc")):
                for kind, answer in (
                    ("classify_log", client.classify("m", row)),
                    ("regress_log", client.regress("m", row, signature="regress")),
                ):
                    assert answer.version == 1
                    ids[answer.request_id] = kind
                assert answer.tolist() == [6.0], wire
                assert answer[:1].request_id is None
            heads = over_grpc.multi_inference(
                "m", row, [("classify", "serving_default"), ("regress", "regress")]
            )
            ids[heads.request_id] = "multi_inference_log"
            assert {(one.version, one.request_id) for one in (heads, *heads)} == {(1, heads.request_id)}
        server.process.terminate()
        server.process.wait(30)
    assert None not in ids
    assert len(ids) == 5
    assert {request_id: log.WhichOneof("log_type") for request_id, log in with_ids(tmp_path, "m")} == ids
