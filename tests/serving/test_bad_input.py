"""What hostile or broken clients send: the right code and a text, never a crash, a leak or a stack trace."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import time

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
)

from tests.serving.processes import ServerProcess

MUTATIONS = 10_000
WORKERS = 16
PREDICTION, MODEL = "/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/"
# What a wrong request may be answered with. INTERNAL, UNKNOWN and UNAVAILABLE would be faults of ours.
GRPC_CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "OUT_OF_RANGE",
              "RESOURCE_EXHAUSTED"}  # fmt: skip
HTTP_CODES = {200, 400, 404, 405, 413, 501}


def grpc_seeds():
    """Valid requests of every RPC that only reads."""
    seeds = []
    for name, signature, value in [
        ("scaled", "", np.ones((2, 2), np.float32)),
        ("echo", "string", np.array([[b"abc", b"d"]], object)),
        ("echo", "int64", np.arange(6).reshape(2, 3)),
        ("echo", "bool", np.array([True, False])),
        ("echo", "float16", np.ones(3, np.float16)),
    ]:
        request = predict_pb2.PredictRequest(output_filter=["y"])
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        request.model_spec.version.value = 1
        proto = tf.make_tensor_proto(value)
        request.inputs["x"].CopyFrom(proto)
        seeds.append((PREDICTION + "Predict", request.SerializeToString()))
        if value.dtype.kind in "fi" and value.dtype != np.float16:
            request.inputs["x"].tensor_content = b""
            field = (
                request.inputs["x"].float_val if value.dtype.kind == "f" else request.inputs["x"].int64_val
            )
            field.extend(value.ravel().tolist())
            seeds.append((PREDICTION + "Predict", request.SerializeToString()))
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.extend([1, 2, 3])
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = "examples"
    classify.input.example_list.examples.append(example)
    seeds.append((PREDICTION + "Classify", classify.SerializeToString()))
    classify.model_spec.signature_name = "regress"
    seeds.append((PREDICTION + "Regress", classify.SerializeToString()))
    multi = inference_pb2.MultiInferenceRequest()
    multi.tasks.add(method_name="tensorflow/serving/classify").model_spec.name = "examples"
    multi.input.example_list_with_context.examples.append(example)
    multi.input.example_list_with_context.context.CopyFrom(example)
    seeds.append((PREDICTION + "MultiInference", multi.SerializeToString()))
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "pair"
    seeds.append((PREDICTION + "GetModelMetadata", metadata.SerializeToString()))
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "scaled"
    status.model_spec.version_label = "stable"
    seeds.append((MODEL + "GetModelStatus", status.SerializeToString()))
    return seeds


REST_SEEDS = [
    ("POST", "/v1/models/scaled:predict", '{"instances": [[1.0, 2.0], [3, 4]]}'),
    ("POST", "/v1/models/scaled/versions/2:predict", '{"inputs": {"x": [[1e3, -2.5E-2]]}}'),
    ("POST", "/v1/models/scaled/labels/stable:predict", '{"instances": [{"x": [1, 2]}]}'),
    ("POST", "/v1/models/pair:predict", '{"instances": [{"a": 1, "b": 2}, {"a": NaN, "b": -Infinity}]}'),
    ("POST", "/v1/models/pair:predict",
     '{"signature_name": "text", "instances": ["\\u00e9", {"b64": "YWI="}, "x"]}'),
    ("POST", "/v1/models/echo:predict", '{"signature_name": "bool", "inputs": [[true, false], [false, null]]}'),
    ("POST", "/v1/models/echo:predict", '{"signature_name": "uint8", "inputs": [[[0], [255]]]}'),
    ("POST", "/v1/models/examples:classify", '{"examples": [{"x": [1.0, 2.0, 3.0], "k": {"b64": "YQ=="}}]}'),
    ("POST", "/v1/models/examples:regress",
     '{"signature_name": "regress", "context": {"x": [1.5, 2.5, 3.5]}, "examples": [{}]}'),
    ("GET", "/v1/models/scaled/versions/1/metadata", ""),
    ("GET", "/v1/models/scaled/labels/stable", ""),
]  # fmt: skip


def mutated(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One to three random changes: bits, bytes, cuts, repeats, and pieces of other requests."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1) if data else 0
        end = min(len(data), at + rng.randint(0, 8))
        kind = rng.randrange(6)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + rng.randbytes(rng.randint(1, 4)) + data[end:]
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + data[at:end] * rng.randint(2, 40) + data[end:]
        elif kind == 4:
            other = rng.choice(others)
            begin = rng.randrange(len(other) + 1)
            data = data[:at] + other[begin : begin + rng.randint(1, 30)] + data[end:]
        else:
            data = data[:at] + data[end:]
    return data


async def fuzz_grpc(address, count):
    """Codes of `count` mutated calls, and the texts that should not have been sent."""
    rng = random.Random(20)
    seeds = grpc_seeds()
    others = [data for _, data in seeds]
    calls = [(path, mutated(rng, data, others)) for path, data in (rng.choice(seeds) for _ in range(count))]
    found: dict[str, int] = {}
    wrong: list[tuple[str, str, bytes, str]] = []
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        methods = {path: channel.unary_unary(path) for path, _ in seeds}

        async def work(part):
            for path, data in part:
                code, text = "OK", ""
                try:
                    await methods[path](data, timeout=60)
                except grpc.aio.AioRpcError as error:
                    code, text = error.code().name, error.details() or ""
                found[code] = found.get(code, 0) + 1
                empty = code != "OK" and not text
                if code not in GRPC_CODES or "Traceback" in text or 'File "' in text or empty:
                    wrong.append((path, code, data, text))

        await asyncio.gather(*[work(calls[i::WORKERS]) for i in range(WORKERS)])
    return found, wrong


def rest_bytes(rng, seeds):
    method, path, body = rng.choice(seeds)
    others = [seed[2].encode() for seed in seeds]
    if rng.random() < 0.2:
        raw = mutated(rng, path.encode(), [seed[1].encode() for seed in seeds])
        path = "/" + re.sub(rb"[^!-~]", b"%00", raw).decode().lstrip("/")
    data = mutated(rng, body.encode(), others) if body else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    return head + data


async def rest_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE).group(1))
    return int(head.split()[1]), await reader.readexactly(length), b"connection: close" in head.lower()


async def fuzz_rest(address, count):
    rng = random.Random(21)
    host, port = address.split(":")
    found: dict[int, int] = {}
    wrong: list[tuple[bytes, int, bytes]] = []

    async def work(requests):
        reader = writer = None
        for request in requests:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            status, body, closing = await asyncio.wait_for(rest_answer(reader), 60)
            found[status] = found.get(status, 0) + 1
            unexplained = status != 200 and not closing and not json.loads(body)["error"]
            if status not in HTTP_CODES or b"Traceback" in body or b'File "' in body or unexplained:
                wrong.append((request, status, body))
            if closing:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    parts = [[rest_bytes(rng, REST_SEEDS) for _ in range(count // WORKERS)] for _ in range(WORKERS)]
    await asyncio.gather(*[work(part) for part in parts])
    return found, wrong


def memory(server: ServerProcess) -> int:
    """Resident bytes of the server."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.slow
def test_ten_thousand_mutated_requests_get_the_right_kind_of_answer(model_server):
    asyncio.run(fuzz_grpc(model_server.grpc_address, 500))
    asyncio.run(fuzz_rest(model_server.rest_address, 512))
    before = memory(model_server)
    by_grpc, wrong_grpc = asyncio.run(fuzz_grpc(model_server.grpc_address, MUTATIONS // 2))
    by_rest, wrong_rest = asyncio.run(fuzz_rest(model_server.rest_address, MUTATIONS // 2))
    assert wrong_grpc == []
    assert wrong_rest == []
    # The mutations reach the models and the checks alike; else they would prove little.
    assert by_grpc["OK"] > 100 and by_grpc["INVALID_ARGUMENT"] > 1000
    assert by_rest[200] > 100 and by_rest[400] > 1000
    assert memory(model_server) - before < 256 * 2**20
    assert "Traceback" not in model_server.output


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff", b"\x12\x05\x0a\x03"])
def test_bytes_that_are_no_message_are_refused(model_server, data):
    with grpc.insecure_channel(model_server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PREDICTION + "Predict")(data)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "The request is no PredictRequest" in caught.value.details()


def test_an_unknown_rpc_is_unimplemented(model_server):
    with grpc.insecure_channel(model_server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PREDICTION + "Explode")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_long_error_text_is_cut_as_the_original_cuts_it(model_server):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "x" * 5000
    with grpc.insecure_channel(model_server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PREDICTION + "Predict")(request.SerializeToString())
    assert caught.value.details().endswith("...TRUNCATED")
    assert len(caught.value.details()) == 1024 + len("...TRUNCATED")


def test_a_body_of_100_mb_is_refused_before_it_is_read(model_server):
    host, port = model_server.rest_address.split(":")
    before = memory(model_server)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = "POST /v1/models/scaled:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"--rest_api_max_body_bytes" in answer
    assert memory(model_server) - before < 32 * 2**20


def test_an_endless_chunked_body_is_cut_off_at_the_limit(model_server):
    host, port = model_server.rest_address.split(":")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/models/scaled:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while sent < 64 * 2**20:
                connection.sendall(chunk)
                sent += 65536
        except OSError:
            pass
    assert sent < 64 * 2**20


def test_a_100_mb_tensor_over_grpc_is_answered(model_server):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "echo"
    request.model_spec.signature_name = "uint8"
    tensor = request.inputs["x"]
    tensor.dtype = 4
    tensor.tensor_content = bytes(100 * 2**20)
    tensor.tensor_shape.dim.add(size=100 * 2**20 + 1)
    with grpc.insecure_channel(model_server.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PREDICTION + "Predict")(request.SerializeToString(), timeout=120)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "tensor_content has 104857600 bytes" in caught.value.details()


def test_clients_that_send_too_slowly_are_cut_off_and_hold_up_nobody(models_root):
    flags = (f"--model_base_path={models_root / 'scaled'}", "--model_name=m", "--rest_api_timeout_in_ms=1000")
    pieces = [b"", b"POST /v1/models/m:predict HT", b"POST /v1/models/m:predict HTTP/1.1\r\nX: y\r\n",
              b'POST /v1/models/m:predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"inst']  # fmt: skip
    with ServerProcess(*flags) as server:
        host, port = server.rest_address.split(":")
        slow = [socket.create_connection((host, int(port)), timeout=60) for _ in range(200)]
        for place, connection in enumerate(slow):
            connection.sendall(pieces[place % len(pieces)])
        answer = httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [[1, 2]]}, timeout=30)
        assert answer.json() == {"predictions": [[4.0, 7.0]]}
        ends = []
        for connection in slow:
            data = b""
            while part := connection.recv(4096):
                data += part
            ends.append(data)
            connection.close()
        assert all(end.startswith(b"HTTP/1.1 408 ") for end in ends)
        assert json.loads(ends[0].partition(b"\r\n\r\n")[2])["error"] == "The request did not arrive in time"


def test_a_client_that_goes_away_leaves_nothing_behind(model_server):
    host, port = model_server.rest_address.split(":")
    for _ in range(50):
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.sendall(b'POST /v1/models/scaled:predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n{"inst')
        connection.close()
    deadline = time.monotonic() + 20
    while httpx.get(f"{model_server.url}/livez").status_code != 200:
        assert time.monotonic() < deadline
    assert "Traceback" not in model_server.output
