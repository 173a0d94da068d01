"""The same requests over gRPC and REST give the same numbers, and errors are TensorFlow Serving's.

One table, run against our server and, where it is on PATH, against the original `tensorflow_model_server`:
what passes here cannot be told from it. Details of each transport are in test_grpc_api and test_rest.
"""

import re
import shutil
import socket
import subprocess
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from serving.client import Client, Scored
from serving.client.tensors import encode
from serving.errors import ServingError
from serving.wire import protos
from tests.serving import savedmodels

REAL = "tensorflow_model_server"


@dataclass
class Target:
    """A running server and one client per transport."""

    grpc: Client
    rest: Client
    url: str

    def both(self, call):
        return call(self.grpc), call(self.rest)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _real_server(models_root, folder):
    config = folder / "models.config"
    config.write_text(savedmodels.config(models_root))
    grpc_port, rest_port = _free_port(), _free_port()
    log = open(folder / "log", "wb")  # noqa: SIM115 - the process writes to it
    process = subprocess.Popen(
        [
            shutil.which(REAL),
            f"--port={grpc_port}",
            f"--rest_api_port={rest_port}",
            f"--model_config_file={config}",
            "--allow_version_labels_for_unavailable_models=true",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    return process, f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{rest_port}"


@pytest.fixture(scope="module", params=["viaduct", REAL])
def target(request, models_root, tmp_path_factory):
    process = None
    if request.param == REAL:
        if shutil.which(REAL) is None:
            pytest.skip(f"{REAL} is not on PATH")
        process, grpc_address, url = _real_server(models_root, tmp_path_factory.mktemp("real"))
    else:
        server = request.getfixturevalue("model_server")
        grpc_address, url = server.grpc_address, server.url
    try:
        with Client(grpc_address, timeout=60) as by_grpc, Client(url, timeout=60) as by_rest:
            for model in ("scaled", "pair", "echo", "examples"):
                by_grpc.wait_available(model, timeout=60)
            yield Target(by_grpc, by_rest, url)
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)


F = np.float32
X = F([[1, 2], [3, 4.25]])
ROWS = [
    {"x": [1.0, 2.0, 3.0], "k": "a"},
    {"x": [0.5, 0.25, 0.125], "k": "b"},
    {"x": [0.0, 0.0, 0.0], "k": "?"},
]
TEXTS = np.array(["plain", "ä", b"\xff\x00", ""], dtype=object)

SAME = {
    "the newest version": (lambda c: c.predict("scaled", {"x": X}), {"y": X * 3 + 1}),
    "a version": (lambda c: c.predict("scaled", {"x": X}, version=2), {"y": X * 2 + 1}),
    "a label": (lambda c: c.predict("scaled", {"x": X}, label="stable"), {"y": X + 1}),
    "a bare array": (lambda c: c.predict("scaled", X), {"y": X * 3 + 1}),
    "a list of whole numbers for floats": (
        lambda c: c.predict("scaled", [[1, 2]]),
        {"y": F([[4, 7]])},
    ),
    "a hundred rows": (
        lambda c: c.predict("scaled", np.full((100, 2), 0.1, F)),
        {"y": np.full((100, 2), 0.1, F) * F(3) + F(1)},
    ),
    "two inputs and two outputs": (
        lambda c: c.predict("pair", {"a": F([1, 2]), "b": F([10, 20])}),
        {"sum": F([11, 22]), "difference": F([-9, -18])},
    ),
    "an output filter": (
        lambda c: c.predict("pair", {"a": [1], "b": [2]}, output_filter=["sum"]),
        {"sum": F([3])},
    ),
    "text": (
        lambda c: c.predict("pair", {"name": TEXTS[:2]}, signature="text", output_filter=["length"]),
        {"length": np.int32([5, 2])},
    ),
    "bytes that are no text": (
        lambda c: c.predict("pair", {"name": TEXTS}, signature="text", output_filter=["name_bytes"]),
        {"name_bytes": np.array([b"plain!", "ä!".encode(), b"\xff\x00!", b"!"], dtype=object)},
    ),
    "not a number and infinity": (
        lambda c: c.predict("echo", F([[np.nan, np.inf], [-np.inf, 1.5]]), signature="float32"),
        {"y": F([[np.nan, np.inf], [-np.inf, 1.5]])},
    ),
    "the longest whole numbers": (
        lambda c: c.predict("echo", np.array([-(2**63), 2**63 - 1, 2**53 + 1]), signature="int64"),
        {"y": np.array([-(2**63), 2**63 - 1, 2**53 + 1])},
    ),
    "no rank": (lambda c: c.predict("echo", np.float32(2.5), signature="float32"), {"y": np.float32(2.5)}),
    "five ranks": (
        lambda c: c.predict("echo", np.arange(48, dtype=np.int32).reshape(2, 2, 3, 2, 2), signature="int32"),
        {"y": np.arange(48, dtype=np.int32).reshape(2, 2, 3, 2, 2)},
    ),
    "classify": (
        lambda c: [[(s.label, round(s.score, 4)) for s in row] for row in c.classify("examples", ROWS)],
        [[("yes", 7.0), ("no", -6.0)], [("yes", 2.875), ("no", -1.875)], [("yes", -1.0), ("no", 2.0)]],
    ),
    "regress": (lambda c: c.regress("examples", ROWS, signature="regress"), F([6, 0.875, 0])),
    "serialized examples": (
        lambda c: c.predict_examples("examples", ROWS, signature="regress"),
        {"outputs": F([[6], [0.875], [0]])},
    ),
    "the signatures": (
        lambda c: {
            name: (sorted(s.inputs), sorted(s.outputs), s.method)
            for name, s in c.metadata("pair").signatures.items()
            if not name.startswith("__")
        },
        {
            "serving_default": (["a", "b"], ["difference", "sum"], "predict"),
            "text": (["name"], ["length", "name", "name_bytes"], "predict"),
            "heavy": (["x"], ["y"], "predict"),
        },
    ),
    "shapes and types": (
        lambda c: tuple(c.metadata("scaled", version=2).signatures["serving_default"].inputs["x"]
                        .__dict__.values()),
        ("x", "float32", (None, 2)),
    ),
    "the version of the metadata": (lambda c: c.metadata("scaled", label="stable").version, 1),
    "the states of all versions": (
        lambda c: sorted((s.version, s.state, s.error) for s in c.status("scaled")),
        [(1, "AVAILABLE", ""), (2, "AVAILABLE", ""), (3, "AVAILABLE", "")],
    ),
    "the state of one version": (
        lambda c: [(s.version, s.state, s.error_code) for s in c.status("scaled", version=2)],
        [(2, "AVAILABLE", "OK")],
    ),
}  # fmt: skip


def _same(found, expected):
    if isinstance(expected, dict) and any(isinstance(v, np.ndarray | np.generic) for v in expected.values()):
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            np.testing.assert_array_equal(found[name], array)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("name", SAME)
def test_both_transports_give_the_same_numbers(target, name):
    call, expected = SAME[name]
    for found in target.both(call):
        _same(found, expected)


REST_TYPES = (
    "float32",
    "float64",
    "int32",
    "uint8",
    "int16",
    "int8",
    "int64",
    "bool",
    "uint16",
    "uint32",
    "uint64",
)


@pytest.mark.parametrize("dtype", REST_TYPES)
def test_every_type_that_json_can_carry_is_the_same(target, dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    values = (
        [info.min, 0, 1, info.max] if info else [0, 1, 1, 0] if dtype == "bool" else [-1.5, 0, 1e-3, 1e20]
    )
    array = np.array(values, dtype=dtype).reshape(2, 2)
    by_grpc, by_rest = target.both(lambda c: c.predict("echo", array, signature=dtype)["y"])
    for found in (by_grpc, by_rest):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_no_rows_keep_their_shape_over_grpc(target):
    assert target.grpc.predict("scaled", np.zeros((0, 2), F))["y"].shape == (0, 2)


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float16"])
def test_types_that_only_grpc_carries_come_back(target, dtype):
    array = np.array([[1.5, -2], [0, 0.25]], dtype=dtype)
    np.testing.assert_array_equal(target.grpc.predict("echo", array, signature=dtype)["y"], array)


NEWEST = r"Servable not found for request: Latest\(nope\)"
ERRORS = {
    "an unknown model": (lambda c: c.predict("nope", {"x": X}), "NOT_FOUND", NEWEST),
    "the metadata of an unknown model": (lambda c: c.metadata("nope"), "NOT_FOUND", NEWEST),
    "an unknown version": (
        lambda c: c.predict("scaled", {"x": X}, version=9),
        "NOT_FOUND",
        r"Servable not found for request: Specific\(scaled, 9\)",
    ),
    "an unknown label": (
        lambda c: c.predict("scaled", {"x": X}, label="nope"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: nope",
    ),
    "the status of an unknown model": (
        lambda c: c.status("nope"),
        "NOT_FOUND",
        "Could not find any versions of model nope",
    ),
    "the status of an unknown version": (
        lambda c: c.status("scaled", version=9),
        "NOT_FOUND",
        "Could not find version 9 of model scaled",
    ),
    "classify with a signature that predicts": (
        lambda c: c.classify("scaled", ROWS),
        "INVALID_ARGUMENT|FAILED_PRECONDITION",  # the original's releases differ
        "No classification inputs found in SignatureDef",
    ),
    "a row that is no example of this model": (
        lambda c: c.predict_examples("examples", [{"x": [1.0]}]),
        "INVALID_ARGUMENT",
        r"Key: x.*Number of float values != expected",
    ),
    "rows of the wrong kind": (
        lambda c: c.classify("examples", [{"x": ["a", "b", "c"]}]),
        "INVALID_ARGUMENT",
        r"Key: x.*Data types don't match. Data type: string but expected type: float",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_both_transports_refuse_with_the_same_code_and_text(target, name):
    call, code, text = ERRORS[name]
    for client in (target.grpc, target.rest):
        with pytest.raises(ServingError) as caught:
            call(client)
        assert re.search(text, caught.value.message), caught.value.message
        assert re.fullmatch(code, caught.value.code)


def _request(**changes):
    request = protos.predict_pb2.PredictRequest()
    request.model_spec.name = "scaled"
    request.model_spec.signature_name = changes.get("signature", "")
    for name, array in changes.get("inputs", {"x": X}).items():
        request.inputs[name].CopyFrom(encode(array))
    request.output_filter.extend(changes.get("output_filter", ()))
    return request


GRPC_ERRORS = {
    "an unknown signature": (
        {"signature": "nope"},
        "FAILED_PRECONDITION",
        'Serving signature key "nope" not found',
    ),
    "no input": ({"inputs": {}}, "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
    "an input of another name": (
        {"inputs": {"z": X}},
        "INVALID_ARGUMENT",
        "input tensor alias not found in signature: z",
    ),
    "an input too many": (
        {"inputs": {"x": X, "z": X}},
        "INVALID_ARGUMENT",
        r"input size does not match signature: 2!=1.*Sent extra: \{z\}",
    ),
    "another type": ({"inputs": {"x": X.astype(float)}}, "INVALID_ARGUMENT", "float.*double"),
    "an unknown output": (
        {"output_filter": ["z"]},
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z",
    ),
}


@pytest.mark.parametrize("name", GRPC_ERRORS)
def test_a_wrong_grpc_predict_is_refused_as_by_the_original(target, name):
    changes, code, text = GRPC_ERRORS[name]
    from serving.client.over_grpc import GrpcCall

    with pytest.raises(ServingError) as caught:
        target.grpc._transport.send(GrpcCall("Predict", _request(**changes)), 30)
    assert (caught.value.code, bool(re.search(text, caught.value.message))) == (code, True), (
        caught.value.message
    )


REST_ERRORS = {
    "no json": ("{", 400, "JSON Parse error"),
    "neither form": ('{"x": 1}', 400, "Missing 'inputs' or 'instances' key"),
    "both forms": ('{"inputs": [], "instances": []}', 400, "Not formatted correctly expecting only one of"),
    "ragged rows": ('{"instances": [[1, 2], [3]]}', 400, "instances"),
    "text for numbers": ('{"instances": [["a", "b"]]}', 400, "JSON Value: .*not.*expected type: float"),
    "an unknown signature": (
        '{"signature_name": "nope", "instances": [[1, 2]]}',
        400,
        'Serving signature name: "nope" not found in signature def',
    ),
}


@pytest.mark.parametrize("name", REST_ERRORS)
def test_a_wrong_rest_predict_is_refused_as_by_the_original(target, name):
    body, status, text = REST_ERRORS[name]
    answer = httpx.post(f"{target.url}/v1/models/scaled:predict", content=body, timeout=30, trust_env=False)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert re.search(text, answer.json()["error"], re.DOTALL), answer.json()["error"]


def test_multi_inference_answers_as_the_single_calls_do(target):
    tasks = [("classify", "serving_default"), ("regress", "regress")]
    classes, values = target.grpc.multi_inference("examples", ROWS, tasks)
    assert classes == target.grpc.classify("examples", ROWS)
    assert isinstance(classes[0][0], Scored)
    np.testing.assert_array_equal(values, target.grpc.regress("examples", ROWS, signature="regress"))
