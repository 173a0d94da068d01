"""Two real workers and their supervisor: one server in everything a client or an operator can see."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

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

from serving.models import model_config
from tests.serving.fixtures_requests import predict_request, refused
from tests.serving.processes import ROOT, ServerProcess, until

X = np.array([[1, 2]], np.float32)
# So many connections are all on one of two workers once in two billion times.
MANY = 32


def workers_of(server):
    """Process numbers of the workers that run now."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return sorted(int(pid) for file in tasks for pid in file.read_text().split())


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Caller:
    """One connection of its own, and so one worker as long as that lives."""

    def __init__(self, server):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
        self.channel = grpc.insecure_channel(server.grpc_address, options)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def version(self, name="m", **which):
        answer = self.predictions.Predict(predict_request(name, {"x": X}, **which), timeout=20)
        return answer.model_spec.version.value

    def states(self, name="m"):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        found = self.models.GetModelStatus(request, timeout=20).model_version_status
        return {s.version: s.State.Name(s.state) for s in found}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def on_each_connection(server, ask, count=MANY):
    answers = []
    for _ in range(count):
        with Caller(server) as caller:
            answers.append(ask(caller))
    return answers


def counted(server, status="OK"):
    """Requests as the metrics count them; asked on a connection of its own."""
    page = httpx.get(f"{server.url}/monitoring/prometheus/metrics").text
    found = re.search(rf'request_count{{model_name="m",status="{status}"}} (\d+)', page)
    return int(found[1]) if found else 0


def push(models_root, base, version, source=1):
    base.mkdir(parents=True, exist_ok=True)
    aside = base / f"tmp-{version}"
    shutil.copytree(models_root / "scaled" / str(source), aside)
    aside.rename(base / str(version))


def config(base, models_root, **labels):
    made = model_config.ModelServerConfig()
    entry = made.model_config_list.config.add(name="m", base_path=str(base), model_platform="tensorflow")
    entry.model_version_policy.latest.num_versions = 2
    for label, version in labels.items():
        entry.version_labels[label] = version
    made.model_config_list.config.add(
        name="pair", base_path=str(models_root / "pair"), model_platform="tensorflow"
    )
    return made


@pytest.fixture(scope="module")
def place(models_root, tmp_path_factory):
    """Folder of model m and where the server writes its logs."""
    folder = tmp_path_factory.mktemp("workers")
    push(models_root, folder / "m", 1)
    (folder / "models.config").write_text(str(config(folder / "m", models_root)))
    return folder


@pytest.fixture(scope="module")
def server(place):
    flags = (
        "--workers=2",
        f"--model_config_file={place / 'models.config'}",
        f"--request_log_dir={place / 'logs'}",
        "--request_log_rate=1",
        f"--access_log={place / 'access.json'}",
    )
    with ServerProcess(*flags) as process:
        yield process


def test_both_workers_answer_on_the_same_ports_and_the_numbers_add_up_on_either(server):
    before = counted(server)
    assert set(on_each_connection(server, lambda c: c.version())) == set(httpx_versions(server))
    assert {counted(server) - before for _ in range(12)} == {MANY}
    page = httpx.get(f"{server.url}/monitoring/prometheus/metrics").text
    assert len(re.findall(r':viaduct:serving:worker_memory_bytes{worker="[12]"} [1-9]', page)) == 2
    assert re.search(r'model_version_state{model_name="pair",version="1",state="AVAILABLE"} 1\n', page)


def httpx_versions(server):
    """The available version as REST tells it on several connections."""
    for _ in range(8):
        found = httpx.get(f"{server.url}/v1/models/m").json()["model_version_status"]
        yield max(int(s["version"]) for s in found if s["state"] == "AVAILABLE")


def test_the_ready_line_is_followed_by_the_memory_of_each_and_of_all(server):
    until(lambda: "memory" in server.output)
    text = next(line for line in server.lines if line.startswith("viaduct-serving memory"))
    assert re.search(
        r"worker 1 \(pid \d+\) \d+ MB, worker 2 \(pid \d+\) \d+ MB, supervisor \d+ MB; in all \d+", text
    )
    assert {int(pid) for pid in re.findall(r"pid (\d+)", text)} == set(workers_of(server))


def test_a_version_that_was_announced_is_there_whichever_worker_is_asked(server, models_root, place):
    faults = []
    stop = threading.Event()

    def ask():
        with Caller(server) as caller:
            while not stop.is_set():
                try:
                    caller.version()
                except grpc.RpcError as error:
                    faults.append(error.details())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in (2, 3):
            push(models_root, place / "m", version)
            with Caller(server) as caller:
                until(lambda v=version, c=caller: c.states().get(v) == "AVAILABLE", 60)
            asked = on_each_connection(server, lambda c, v=version: (c.version(version=v), c.states()[v]))
            assert set(asked) == {(version, "AVAILABLE")}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []


def test_a_reload_holds_for_every_worker_when_it_is_answered(server, models_root, place):
    with Caller(server) as caller:
        newest = caller.version()
        for label in ("stable", "canary"):
            changed = config(place / "m", models_root, **{label: newest})
            request = model_management_pb2.ReloadConfigRequest(config=changed)
            assert caller.models.HandleReloadConfigRequest(request).status.error_code == 0
            assert set(on_each_connection(server, lambda c, w=label: c.version(label=w))) == {newest}
        wrong = model_management_pb2.ReloadConfigRequest(config=config(place / "m", models_root, stable=99))
        assert refused(caller.models.HandleReloadConfigRequest, wrong)[0] == "FAILED_PRECONDITION"
    assert set(on_each_connection(server, lambda c: c.version(label="canary"))) == {newest}


def test_a_killed_worker_costs_the_requests_it_held_and_is_replaced(server):
    clients = 12
    command = [sys.executable, "-m", "serving.bench.cli", server.grpc_address, "m", "--json", "--seconds=4"]
    command += [f"--clients={clients}", f"--connections={clients}", "--warm-up=0"]
    before = counted(server)
    victim, other = workers_of(server)
    load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    until(lambda: counted(server) > before + 100)
    read = counted(server)
    os.kill(victim, signal.SIGKILL)
    found = json.loads(load.communicate(timeout=60)[0])
    # One request on each connection, and not all twelve connections were the victim's.
    assert set(found["errors"]) <= {"UNAVAILABLE"}
    assert sum(found["errors"].values()) < clients
    assert found["requests"] > 200
    until(lambda: "serves after" in server.output, 60)
    assert other in workers_of(server)
    assert victim not in workers_of(server)
    assert len(workers_of(server)) == 2
    # Of what the victim counted, the part that was read before it ended is not lost.
    assert counted(server) >= read
    assert {max(states) for states in on_each_connection(server, lambda c: c.states())} == {
        max(httpx_versions(server))
    }


def test_all_workers_say_the_same_of_a_broken_model(server, models_root, place):
    (place / "broken" / "1").mkdir(parents=True)
    (place / "broken" / "1" / "saved_model.pb").write_bytes(b"junk" * 50)
    changed = config(place / "m", models_root)
    changed.model_config_list.config.add(
        name="broken", base_path=str(place / "broken"), model_platform="tensorflow"
    )
    with Caller(server) as caller:
        request = model_management_pb2.ReloadConfigRequest(config=changed)
        code, text = refused(caller.models.HandleReloadConfigRequest, request)
    assert code == "UNKNOWN"
    assert "Can't parse the SavedModel" in text
    answers = [httpx.get(f"{server.url}/readyz") for _ in range(12)]
    assert {answer.status_code for answer in answers} == {503}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["models"]["m"] == "available"
    with Caller(server) as caller:
        request = model_management_pb2.ReloadConfigRequest(config=config(place / "m", models_root))
        caller.models.HandleReloadConfigRequest(request)
    assert {httpx.get(f"{server.url}/readyz").status_code for _ in range(12)} == {200}


@pytest.mark.slow
def test_a_server_that_stops_finishes_what_every_worker_has_and_keeps_its_logs_whole(models_root, tmp_path):
    flags = (
        "--workers=2",
        f"--model_base_path={models_root / 'pair'}",
        "--model_name=m",
        f"--request_log_dir={tmp_path / 'logs'}",
        "--request_log_rate=1",
        f"--access_log={tmp_path / 'access.json'}",
    )
    heavy = predict_request("m", {"x": np.ones((100, 64), np.float32)}, "heavy")
    outcomes, threads = [], []
    with ServerProcess(*flags) as server:
        callers = [Caller(server) for _ in range(8)]

        def ask(caller):
            answer = caller.predictions.Predict(heavy, timeout=50)
            outcomes.append(answer.outputs["y"].tensor_shape.dim[0].size)

        for caller in callers:
            grpc.channel_ready_future(caller.channel).result(20)
            threads.append(threading.Thread(target=ask, args=(caller,)))
            threads[-1].start()
        time.sleep(0.05)
        pids = workers_of(server)
        assert server.terminate() == 0
        for thread in threads:
            thread.join()
        for caller in callers:
            caller.channel.close()
    assert outcomes == [100] * 8
    assert not any(alive(pid) for pid in pids)
    files = list((tmp_path / "logs").iterdir())
    assert {int(file.name.split("-")[2]) for file in files} <= set(pids)
    assert {file.suffix for file in files} == {".tfrecord"}
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset([str(file) for file in files])
    ]
    assert [log.predict_log.request.inputs["x"].tensor_shape.dim[0].size for log in logs] == [100] * 8
    lines = [json.loads(line) for line in (tmp_path / "access.json").read_text().splitlines()]
    assert [line["method"] for line in lines] == ["Predict"] * 8


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_workers_and_its_successor_gets_the_ports(models_root):
    flags = ("--workers=2", f"--model_base_path={models_root / 'scaled'}", "--model_name=m")
    with ServerProcess(*flags) as server:
        pids = workers_of(server)
        assert len(pids) == 2
        server.kill()
        port = server.grpc_address.rpartition(":")[2]
        with ServerProcess(*flags[:1], f"--port={port}", *flags[1:]) as successor:
            assert successor.grpc_address == server.grpc_address
            until(lambda: not any(alive(pid) for pid in pids))
            assert set(on_each_connection(successor, lambda c: c.version())) == {3}


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--workers=0"], "--workers is 0; expected 1 or more processes"),
        (["--workers=2", "--grpc_socket_path=/tmp/s"], "--grpc_socket_path cannot be shared by --workers"),
        (["--workers=2", "--ssl_config_file=/no/such"], "/no/such; No such file or directory"),
    ],
)
def test_a_command_line_that_workers_cannot_follow_is_refused(flags, text, models_root):
    command = [
        sys.executable,
        "-m",
        "serving.main",
        f"--model_base_path={models_root / 'pair'}",
        "--port=0",
        *flags,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert text in done.stderr
