"""Servers inside this process: pushes, broken pushes, reloads, labels, drains, TLS and logs of requests."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import threading
import time

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from serving import flags as flag_module
from serving import main
from serving.models import model_config
from tests.serving.fixtures_requests import predict_request, refused
from tests.serving.processes import until

X = np.array([[1, 2]], np.float32)


@pytest.fixture
def served():
    """Starts servers and stops them whatever happens."""
    running = []

    def start(*flags):
        flags = (*flags, "--port=0", "--rest_api_port=0", "--load_retry_interval_micros=50000")
        running.append(main.start(flags))
        return running[-1].wait_ready()

    yield start
    for server in running:
        server.stop()


class Client:
    """Both APIs of a server, with one call each for what the tests ask."""

    def __init__(self, server):
        self.channel = grpc.insecure_channel(server.grpc_address)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.http = httpx.Client(base_url=f"http://{server.rest_address}", timeout=30)

    def version(self, name="m"):
        return self.predictions.Predict(predict_request(name, {"x": X})).model_spec.version.value

    def states(self, name="m"):
        found = self.http.get(f"/v1/models/{name}").json()["model_version_status"]
        return {int(s["version"]): (s["state"], s["status"]["error_message"]) for s in found}


def push(models_root, base, version, source=1):
    """As a careful pusher does it: copied beside, then renamed."""
    base.mkdir(parents=True, exist_ok=True)
    aside = base / f"tmp-{version}"
    shutil.copytree(models_root / "scaled" / str(source), aside)
    aside.rename(base / str(version))


@pytest.fixture
def base(models_root, tmp_path):
    push(models_root, tmp_path / "m", 1)
    return tmp_path / "m"


def single(base):
    return f"--model_base_path={base}", "--model_name=m"


@pytest.mark.slow
def test_twenty_pushes_under_eight_clients_fail_no_request(served, models_root, base):
    client = Client(served(*single(base)))
    faults, versions = [], set()
    stop = threading.Event()

    def ask():
        mine = Client.__new__(Client)
        mine.predictions = client.predictions
        while not stop.is_set():
            try:
                versions.add(mine.version())
            except grpc.RpcError as error:
                faults.append(error.details())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for version in range(2, 22):
        push(models_root, base, version)
        until(lambda v=version: client.states().get(v, ("", ""))[0] == "AVAILABLE", 60)
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert 21 in versions
    until(lambda: client.states()[20][0] == "END")


def test_a_broken_push_is_reported_and_the_old_version_keeps_serving(served, models_root, base):
    client = Client(served(*single(base), "--max_num_load_retries=0"))
    push(models_root, base, 2)
    (base / "2" / "saved_model.pb").write_bytes(b"junk" * 50)
    push(models_root, base, 3)
    until(lambda: client.states().get(3, ("", ""))[0] == "AVAILABLE", 60)
    push(models_root, base, 4)
    shutil.rmtree(base / "4" / "variables")
    until(lambda: client.states().get(4, ("", ""))[1] != "", 60)
    assert client.version() == 3
    assert client.http.get("/readyz").status_code == 200
    shutil.copytree(models_root / "scaled" / "1" / "variables", base / "4" / "variables")
    until(lambda: client.version() == 4, 60)


def test_a_restart_over_a_broken_newest_version_serves_the_one_before(served, models_root, base):
    push(models_root, base, 2)
    (base / "2" / "saved_model.pb").write_bytes(b"junk" * 50)
    client = Client(served(*single(base), "--max_num_load_retries=1"))
    until(lambda: client.http.get("/readyz").status_code == 200, 60)
    assert client.version() == 1


def test_a_server_without_a_working_model_is_alive_and_says_that_it_is_broken(served, tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "saved_model.pb").write_bytes(b"junk" * 50)
    client = Client(served(*single(tmp_path / "m"), "--max_num_load_retries=0"))
    assert client.http.get("/livez").status_code == 200
    ready = client.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["models"]["m"].startswith("broken: Can't parse the SavedModel")
    assert refused(client.predictions.Predict, predict_request("m", {"x": X})) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(m)",
    )


def config_of(models_root, **labels):
    config = model_config.ModelServerConfig()
    entry = config.model_config_list.config.add(
        name="m", base_path=str(models_root / "scaled"), model_platform="tensorflow"
    )
    entry.model_version_policy.specific.versions.extend([1, 2])
    for label, version in labels.items():
        entry.version_labels[label] = version
    return config


def test_reloading_adds_and_removes_models_and_moves_labels(served, models_root, base):
    client = Client(served(*single(base)))
    request = model_management_pb2.ReloadConfigRequest(config=config_of(models_root))
    answer = client.models.HandleReloadConfigRequest(request)
    assert answer.status.error_code == 0
    until(lambda: client.states()[2][0] == "AVAILABLE", 60)
    for version in (1, 2):
        request = model_management_pb2.ReloadConfigRequest(config=config_of(models_root, stable=version))
        client.models.HandleReloadConfigRequest(request)
        answer = client.predictions.Predict(predict_request("m", {"x": X}, label="stable"))
        assert answer.model_spec.version.value == version


def test_a_label_of_an_unloaded_version_is_refused_and_changes_nothing(served, models_root, base):
    client = Client(served(*single(base)))
    request = model_management_pb2.ReloadConfigRequest(config=config_of(models_root, stable=3))
    assert refused(client.models.HandleReloadConfigRequest, request) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 3 of model m, which is not currently available for inference",
    )
    assert client.version() == 1


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda c: c.model_config_list.config.add().CopyFrom(c.model_config_list.config[0]), "INVALID_ARGUMENT",
         "Illegal to list model m multiple times in config list"),
        (lambda c: setattr(c.model_config_list.config[0], "base_path", "rel/path"), "INVALID_ARGUMENT",
         "Expected model m to have an absolute path or URI; got base_path()=rel/path"),
        (lambda c: setattr(c.model_config_list.config[0], "model_platform", "caffe"), "INVALID_ARGUMENT",
         "Model m requests unsupported platform caffe"),
        (lambda c: c.Clear(), "INVALID_ARGUMENT", "Only ModelConfigList is currently supported"),
        (lambda c: c.model_config_list.config.add(name="new", base_path="/no/such", model_platform="tensorflow"),
         "UNKNOWN", "1 model(s) did not become available"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_refused_in_the_originals_words(
    served, models_root, base, change, code, text
):
    client = Client(served(*single(base)))
    config = config_of(models_root)
    change(config)
    got, details = refused(
        client.models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest(config=config)
    )
    assert got == code
    assert text in details


def test_a_changed_config_file_is_followed(served, models_root, base, tmp_path):
    file = tmp_path / "models.config"
    text = 'model_config_list {{ config {{ name: "{}" base_path: "{}" model_platform: "tensorflow" }} }}'
    file.write_text(text.format("m", base))
    server = served(f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=0.1")
    client = Client(server)
    file.write_text("half a wr")
    time.sleep(0.3)
    assert client.version() == 1
    file.write_text(text.format("other", models_root / "scaled"))
    until(lambda: client.http.get("/v1/models/other:predict").status_code == 400, 30)
    until(lambda: client.http.get("/readyz").json()["models"] == {"other": "available"}, 60)
    assert client.version("other") == 3
    until(lambda: client.states()[1][0] == "END", 30)


def test_a_stopping_server_finishes_the_requests_it_has(served, models_root, tmp_path):
    shutil.copytree(models_root / "pair", tmp_path / "m")
    server = served(*single(tmp_path / "m"))
    client = Client(server)
    heavy = predict_request("m", {"x": np.ones((200, 64), np.float32)}, "heavy")
    body = {"signature_name": "heavy", "inputs": np.ones((100, 64)).tolist()}
    outcome = {}

    def by_grpc():
        outcome["grpc"] = client.predictions.Predict(heavy).outputs["y"].tensor_shape.dim[0].size

    def by_rest():
        outcome["rest"] = len(client.http.post("/v1/models/m:predict", json=body).json()["outputs"])

    threads = [threading.Thread(target=by_grpc), threading.Thread(target=by_rest)]
    for thread in threads:
        thread.start()
    until(lambda: len(server.server._runner._pool("m")._threads) >= 2 or outcome)
    server.stop()
    for thread in threads:
        thread.join()
    assert outcome == {"grpc": 200, "rest": 100}


def test_batching_gives_every_request_its_own_rows(served, models_root, tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 2000 } "
                    "num_batch_threads { value: 2 }")  # fmt: skip
    shutil.copytree(models_root / "scaled", tmp_path / "m")
    for flags in (["--enable_batching"], ["--enable_batching", f"--batching_parameters_file={file}"]):
        client = Client(served(*single(tmp_path / "m"), *flags))
        wrong = []

        def ask(i, client=client, wrong=wrong):
            for k in range(20):
                rows = np.full((1 + k % 3, 2), 100 * i + k, np.float32)
                answer = client.predictions.Predict(predict_request("m", {"x": rows}))
                if tf.make_ndarray(answer.outputs["y"]).tolist() != (rows * 3 + 1).tolist():
                    wrong.append((i, k))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_stopping_server_refuses_what_comes_late(served, base):
    server = served(*single(base))
    client = Client(server)
    assert client.version() == 1
    server.server.handlers.draining = True
    stopping = ("UNAVAILABLE", "The server is stopping; ask another one or try again")
    assert refused(client.version) == stopping
    assert client.states()[1][0] == "AVAILABLE"


def test_sampled_requests_of_both_apis_are_logged(served, base, tmp_path):
    server = served(*single(base), f"--request_log_dir={tmp_path / 'logs'}", "--request_log_rate=1")
    client = Client(server)
    client.version()
    client.http.post("/v1/models/m:predict", json={"instances": [[5, 6]]})
    server.stop()
    (file,) = (tmp_path / "logs").glob("*.tfrecord")
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(file))
    ]
    sent = [tf.make_ndarray(log.predict_log.request.inputs["x"]).tolist() for log in logs]
    got = [tf.make_ndarray(log.predict_log.response.outputs["y"]).tolist() for log in logs]
    assert sorted(sent) == [[[1, 2]], [[5, 6]]]
    assert sorted(got) == [[[2, 3]], [[6, 7]]]
    assert {log.log_metadata.model_spec.name for log in logs} == {"m"}


def test_a_port_of_minus_one_is_switched_off_and_zero_is_any_free_one(base):
    for flags, off in [
        (("--port=0", "--rest_api_port=-1"), "rest_port"),
        (("--port=-1", "--rest_api_port=0"), "grpc_port"),
    ]:
        with main.start([*single(base), *flags]) as server:
            ports = {"grpc_port": server.server.grpc_port, "rest_port": server.server.rest_port}
            assert ports.pop(off) is None
            assert all(port > 0 for port in ports.values())


def test_only_this_machine_is_served_unless_the_flag_says_otherwise(served, base):
    server = served(*single(base))
    assert server.rest_address.startswith("127.0.0.1:")
    port = server.server.rest_port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)
    everywhere = served(*single(base), "--host=0.0.0.0")
    socket.create_connection(("127.0.0.2", everywhere.server.rest_port), timeout=5).close()


def test_a_file_uri_is_a_folder_and_other_schemes_say_what_to_do(served, models_root, tmp_path):
    server = served(f"--model_base_path=file://{models_root}/scaled", "--model_name=m")
    client = Client(server)
    assert client.version() == 3
    for uri, text in [
        ("gs://bucket/m", "Mount the gs:// location"), ("s3://bucket/m", "or copy it, and give its folder"),
        ("file://elsewhere/m", "a file:// URI of another host"),
    ]:  # fmt: skip
        config = config_of(models_root)
        config.model_config_list.config[0].base_path = uri
        request = model_management_pb2.ReloadConfigRequest(config=config)
        code, details = refused(client.models.HandleReloadConfigRequest, request)
        assert (code, text in details) == ("INVALID_ARGUMENT", True), details
    assert client.version() == 3


def test_readiness_tells_the_present_reason_and_not_that_of_a_version_which_is_gone(
    served, models_root, base
):
    server = served(*single(base), "--max_num_load_retries=0")
    client = Client(server)
    push(models_root, base, 2)
    (base / "2" / "saved_model.pb").write_bytes(b"junk" * 50)
    until(lambda: client.states().get(2, ("", ""))[1] != "", 60)
    models = server.server.models
    assert models.manager.broken("m") == {2}
    shutil.rmtree(base / "2")
    until(lambda: models.manager.broken("m") == set(), 60)
    # The state of a version stays known when it is gone; where nothing is available it is not why.
    assert client.states()[2][1] != ""
    models.manager.available = lambda name: False
    assert models.readiness() == {"m": "loading"}


def test_a_kept_connection_may_be_silent_for_as_long_as_the_flag_says(served, base):
    server = served(*single(base), "--rest_api_idle_seconds=1")
    host, port = server.rest_address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", "/livez")
    assert connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    assert flag_module.parse(["--model_base_path=/m"])[0].rest_api_idle_seconds == 50


def holders(server):
    with server.server.models.manager.acquire("m") as handle:
        return handle._harness._holders


def test_requests_that_time_out_leave_the_threads_to_others(served, models_root, tmp_path):
    shutil.copytree(models_root / "pair", tmp_path / "m")
    server = served(*single(tmp_path / "m"), "--rest_api_timeout_in_ms=300", "--rest_api_num_threads=2")
    client = Client(server)
    rows = np.ones((20_000, 64), np.float32)

    def slow():
        code, text = refused(
            client.predictions.Predict, predict_request("m", {"x": rows}, "heavy"), timeout=0.5
        )
        assert (code, text) in (
            ("DEADLINE_EXCEEDED", "Deadline Exceeded"), ("DEADLINE_EXCEEDED", "Timed out waiting for notification"),
        )  # fmt: skip

    threads = [threading.Thread(target=slow) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Cancelled runs have given their handles back: the version can be unloaded.
    until(lambda: holders(server) == 1, 60)
    body = {"signature_name": "heavy", "inputs": rows[:1].tolist()}
    until(lambda: client.http.post("/v1/models/m:predict", json=body).status_code == 200, 30)


def test_the_access_log_has_a_json_line_per_request(served, base, tmp_path):
    server = served(*single(base), f"--access_log={tmp_path / 'access.json'}")
    client = Client(server)
    client.version()
    client.http.post("/v1/models/m:predict", json={"instances": [["x"]]})
    server.stop()
    lines = [json.loads(line) for line in (tmp_path / "access.json").read_text().splitlines()]
    assert [(e["entry"], e["method"], e["status"]) for e in lines] == [
        ("gRPC", "Predict", "OK"),
        ("REST", "POST /v1/models/m:predict", 400),
    ]


def test_tls_and_mutual_tls_for_both_apis(served, base, certificates, tmp_path):
    ca, cert, key = ((certificates / f"{n}.pem").read_bytes() for n in ("ca", "cert", "key"))
    texts = {"server_key": key, "server_cert": cert, "custom_ca": ca}
    grpc_file, rest_file = tmp_path / "grpc.ssl", tmp_path / "rest.ssl"
    body = "".join(f"{k}: {json.dumps(v.decode())}\n" for k, v in texts.items())
    grpc_file.write_text(f"{body}client_verify: true")
    paths = {"server_key": "key", "server_cert": "cert", "custom_ca": "ca"}
    body = "".join(f'{k}: "{certificates / v}.pem"\n' for k, v in paths.items())
    rest_file.write_text(f"{body}client_verify: true")
    server = served(
        *single(base), f"--ssl_config_file={grpc_file}", f"--rest_api_ssl_config_file={rest_file}"
    )
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    with grpc.secure_channel(server.grpc_address, credentials) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "m"
        assert stub.GetModelStatus(request, timeout=20).model_version_status[0].version == 1
    with grpc.secure_channel(server.grpc_address, grpc.ssl_channel_credentials(ca)) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        assert refused(stub.GetModelStatus, request, timeout=20)[0] == "UNAVAILABLE"
    url = f"https://{server.rest_address}/readyz"
    known, stranger = (ssl.create_default_context(cafile=certificates / "ca.pem") for _ in range(2))
    known.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    assert httpx.get(url, verify=known).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(url, verify=stranger)
