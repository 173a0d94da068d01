"""What clients meet while models load: closed ports, or with --open_ports=early answers that say to try again."""

from __future__ import annotations

import json
import socket
import threading

import grpc
import httpx
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving import main
from serving.client import Client
from serving.engine import saved_model
from tests.serving.fixtures_requests import predict_request, refused
from tests.serving.processes import until

X = np.array([[1, 2]], np.float32)
# What a client of gRPC sets to have its calls repeated by gRPC itself.
RETRY_POLICY = {
    "methodConfig": [
        {
            "name": [{"service": "tensorflow.serving.PredictionService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


@pytest.fixture
def loading(monkeypatch, models_root):
    """Starts servers whose model loads when `loading.go_on` is set."""
    go_on = threading.Event()
    load = saved_model.load

    def slowly(*args):
        assert go_on.wait(60)
        return load(*args)

    monkeypatch.setattr(saved_model, "load", slowly)
    running = []

    class Loading:
        def __init__(self):
            self.go_on = go_on

        def start(self, *flags):
            base = f"--model_base_path={models_root / 'scaled'}"
            running.append(main.start(["--port=0", "--rest_api_port=0", "--model_name=m", base, *flags]))
            return running[-1]

    yield Loading()
    go_on.set()
    for server in running:
        server.stop()


def test_nobody_can_connect_before_the_model_is_loaded(loading):
    server = loading.start()
    until(lambda: server.server.rest_port is not None, 30)
    until(lambda: server.server.models.readiness() == {"m": "loading"}, 30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.server.rest_port), timeout=5)
    assert server.server.grpc_port is None
    loading.go_on.set()
    server.wait_ready()
    answer = httpx.post(f"http://{server.rest_address}/v1/models/m:predict", json={"instances": [[1, 2]]})
    assert answer.json() == {"predictions": [[4.0, 7.0]]}
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(predict_request("m", {"x": X}), timeout=20).model_spec.version.value == 3


def test_with_early_ports_a_model_that_loads_is_unavailable_and_an_unknown_one_not_found(loading):
    server = loading.start("--open_ports=early")
    until(lambda: server.server.models.readiness() == {"m": "loading"}, 30)
    url = f"http://{server.rest_address}"
    for path in ("/v1/models/m:predict", "/v1/models/m/versions/3:predict"):
        answer = httpx.post(f"{url}{path}", json={"instances": [[1, 2]]})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "still loading; try again" in answer.json()["error"]
    assert httpx.get(f"{url}/v1/models/m/metadata").status_code == 503
    for path in ("/v1/models/n:predict", "/v1/models/m/versions/9:predict"):
        assert httpx.post(f"{url}{path}", json={"instances": [[1, 2]]}).status_code == 404
    ready = httpx.get(f"{url}/readyz")
    assert (ready.status_code, ready.json()["models"]) == (503, {"m": "loading"})
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert refused(stub.Predict, predict_request("m", {"x": X}))[0] == "UNAVAILABLE"
        assert refused(stub.Predict, predict_request("n", {"x": X}))[0] == "NOT_FOUND"
    loading.go_on.set()
    server.wait_ready()


@pytest.mark.parametrize("api", ["our client, gRPC", "our client, REST", "gRPC's own retry policy"])
def test_clients_that_repeat_what_is_unavailable_get_their_answer(loading, api):
    server = loading.start("--open_ports=early")
    until(lambda: server.server.models.readiness() == {"m": "loading"}, 30)
    asked = threading.Event()
    acquire = server.server.models.acquire

    def noticed(*args):
        asked.set()
        return acquire(*args)

    server.server.models.acquire = noticed

    def release():
        asked.wait(30)
        loading.go_on.set()

    threading.Thread(target=release, daemon=True).start()
    if api.startswith("our client"):
        address = server.grpc_address if api.endswith("gRPC") else f"http://{server.rest_address}"
        with Client(address, timeout=60) as client:
            assert client.predict("m", X)["y"].tolist() == [[4, 7]]
    else:
        options = [("grpc.service_config", json.dumps(RETRY_POLICY))]
        with grpc.insecure_channel(server.grpc_address, options=options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            answer = stub.Predict(predict_request("m", {"x": X}), timeout=60)
            assert answer.model_spec.version.value == 3
    assert asked.is_set()


def test_a_stop_while_the_model_loads_ends_the_server(loading):
    server = loading.start()
    until(lambda: server.server.models.readiness() == {"m": "loading"}, 30)
    server.server.stop()
    loading.go_on.set()
    server.stop()
    assert not server._thread.is_alive()
