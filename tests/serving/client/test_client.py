"""The client: one interface over both transports, patient where it helps and clear where it does not."""

import asyncio
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from serving.client import AsyncClient, Client, Retry, Scored, TensorInfo, Tls, VersionStatus
from serving.client.tensors import encode
from serving.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServingError,
    Unavailable,
    Unimplemented,
)
from serving.wire import protos
from tests.serving.fixtures_fakes import Fail, FakeGrpc, FakeRest, slowly
from tests.serving.processes import ROOT


def predict_response(**outputs):
    response = protos.predict_pb2.PredictResponse()
    for name, array in outputs.items():
        response.outputs[name].CopyFrom(encode(np.asarray(array)))
    return response


def metadata_response(inputs, outputs, signature="serving_default", method="tensorflow/serving/predict"):
    """inputs, outputs: name -> (DT name, shape with -1, or None for an unknown rank)."""
    found = protos.get_model_metadata_pb2.SignatureDefMap()
    definition = found.signature_def[signature]
    definition.method_name = method
    for side, target in ((inputs, definition.inputs), (outputs, definition.outputs)):
        for name, (dtype, shape) in side.items():
            target[name].name = f"{name}:0"
            target[name].dtype = protos.types_pb2.DataType.Value(dtype)
            if shape is None:
                target[name].tensor_shape.unknown_rank = True
            for size in shape or ():
                target[name].tensor_shape.dim.add(size=size)
    response = protos.get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = "m"
    response.model_spec.version.value = 7
    response.metadata["signature_def"].Pack(found)
    return response


def metadata_json(inputs, outputs, signature="serving_default", method="tensorflow/serving/predict"):
    def side(tensors):
        return {
            name: {
                "dtype": dtype,
                "name": f"{name}:0",
                "tensor_shape": {
                    "dim": [{"size": str(size), "name": ""} for size in shape or ()],
                    "unknown_rank": shape is None,
                },
            }
            for name, (dtype, shape) in tensors.items()
        }

    definition = {"inputs": side(inputs), "outputs": side(outputs), "method_name": method}
    return {
        "model_spec": {"name": "m", "signature_name": "", "version": "7"},
        "metadata": {"signature_def": {"signature_def": {signature: definition}}},
    }


FLOATS = ({"x": ("DT_FLOAT", (-1, 2))}, {"y": ("DT_FLOAT", (-1,))})
UNREACHABLE = "127.0.0.1:9"  # the discard port: nobody listens there


@pytest.fixture
def fake():
    """Makes fake servers and clients of them, and closes all."""
    opened = []

    def make(kind, answers, **settings):
        server = kind(answers)
        settings.setdefault("retry", Retry(first_wait_s=0.005, longest_wait_s=0.02))
        client = Client(server.address, **settings)
        opened.extend([client, server])
        return server, client

    yield make
    for thing in opened:
        thing.close()


def test_an_array_goes_as_it_is_and_comes_back_as_numpy(fake):
    server, client = fake(FakeGrpc, {"Predict": [predict_response(y=np.float32([3, 4]), label=[b"a", b"b"])]})
    answer = client.predict("m", {"x": np.float64([[1, 2]])}, version=3, signature="s", output_filter=["y"])
    assert answer["y"].tolist() == [3, 4]
    assert answer["y"].dtype == np.float32
    assert answer["label"].tolist() == [b"a", b"b"]
    answer["y"][0] = 5  # the caller's own memory
    ((name, request),) = server.script.seen
    assert name == "Predict"
    assert (request.model_spec.name, request.model_spec.version.value) == ("m", 3)
    assert (request.model_spec.signature_name, list(request.output_filter)) == ("s", ["y"])
    assert request.inputs["x"].dtype == protos.types_pb2.DT_DOUBLE


def test_lists_and_bare_values_are_cast_to_what_the_signature_declares_and_it_is_asked_once(fake):
    server, client = fake(
        FakeGrpc, {"Predict": [predict_response(y=[1.0])], "GetModelMetadata": [metadata_response(*FLOATS)]}
    )
    for _ in range(3):
        client.predict("m", [[1, 2]])
        client.predict("m", {"x": [[1, 2]]}, label=None)
    names = [name for name, _ in server.script.seen]
    assert names == ["GetModelMetadata", *["Predict"] * 6]
    for _, request in server.script.seen[1:]:
        assert request.inputs["x"].dtype == protos.types_pb2.DT_FLOAT


def test_a_new_version_with_other_names_is_noticed(fake):
    renamed = metadata_response({"features": ("DT_FLOAT", (-1, 2))}, FLOATS[1])

    def predict(request):
        return predict_response(y=[1.0]) if "features" in request.inputs else Fail("INVALID_ARGUMENT")

    server, client = fake(
        FakeGrpc,
        {
            "GetModelMetadata": [metadata_response(*FLOATS), renamed],
            "Predict": [predict_response(y=[0.0]), predict],
        },
    )
    assert client.predict("m", [[1, 2]])["y"] == [0.0]
    assert client.predict("m", [[1, 2]])["y"] == [1.0]
    assert [name for name, _ in server.script.seen].count("GetModelMetadata") == 2


def test_a_refusal_of_a_signature_that_did_not_change_is_passed_on(fake):
    server, client = fake(
        FakeGrpc,
        {
            "GetModelMetadata": [metadata_response(*FLOATS)],
            "Predict": [predict_response(), Fail("INVALID_ARGUMENT", "no")],
        },
    )
    client.predict("m", [[1, 2]])
    with pytest.raises(InvalidArgument, match=r"^no$"):
        client.predict("m", [[1, 2]])
    assert [name for name, _ in server.script.seen].count("Predict") == 2


def test_rest_casts_answers_to_the_declared_types_and_strings_to_bytes(fake):
    outputs = {"y": ("DT_INT64", (-1,)), "text": ("DT_STRING", (-1,)), "p": ("DT_FLOAT", (-1, 2))}
    server, client = fake(
        FakeRest,
        {
            "GET /v1/models/m/labels/stable/metadata": [metadata_json(FLOATS[0], outputs)],
            "POST /v1/models/m/labels/stable:predict": [
                {
                    "outputs": {
                        "y": [1, 2],
                        "text": ["a", {"b64": "/w=="}],
                        "p": [[0.5, float("nan")], [1, float("inf")]],
                    }
                }
            ],
        },
    )
    answer = client.predict("m", {"x": [[1, 2], [3, 4]]}, label="stable")
    assert (answer["y"].dtype, answer["y"].tolist()) == (np.int64, [1, 2])
    assert (answer["text"].dtype, answer["text"].tolist()) == (object, [b"a", b"\xff"])
    assert answer["p"].dtype == np.float32
    np.testing.assert_array_equal(answer["p"], [[0.5, np.nan], [1, np.inf]])
    assert server.script.seen[1][1] == {
        "signature_name": "serving_default",
        "inputs": {"x": [[1.0, 2.0], [3.0, 4.0]]},
    }


def test_rest_names_the_single_output_itself(fake):
    _, client = fake(
        FakeRest,
        {
            "GET /v1/models/m/metadata": [metadata_json(*FLOATS)],
            "POST /v1/models/m:predict": [{"outputs": [1.5]}],
        },
    )
    answer = client.predict("m", np.ones((1, 2), np.float32))
    assert list(answer) == ["y"]
    assert answer["y"].tolist() == [1.5]


def test_rest_filters_outputs_with_the_text_of_the_server(fake):
    two = {"y": ("DT_FLOAT", (-1,)), "z": ("DT_FLOAT", (-1,))}
    _, client = fake(
        FakeRest,
        {
            "GET /v1/models/m/metadata": [metadata_json(FLOATS[0], two)],
            "POST /v1/models/m:predict": [{"outputs": {"y": [1], "z": [2]}}],
        },
    )
    assert list(client.predict("m", [[1, 2]], output_filter=["z"])) == ["z"]
    with pytest.raises(
        InvalidArgument, match="output tensor alias not found in signature: q Outputs expected"
    ):
        client.predict("m", [[1, 2]], output_filter=["q"])


def test_rest_reads_classifications_regressions_and_status(fake):
    server, client = fake(
        FakeRest,
        {
            "POST /v1/models/m:classify": [{"results": [[["cat", 0.75], ["dog", 0.25]]]}],
            "POST /v1/models/m/versions/2:regress": [{"results": [1.5, 2]}],
            "GET /v1/models/m": [
                {
                    "model_version_status": [
                        {
                            "version": "2",
                            "state": "AVAILABLE",
                            "status": {"error_code": "OK", "error_message": ""},
                        }
                    ]
                }
            ],
        },
    )
    assert client.classify("m", [{"a": 1.0, "b": None, "c": b"\xff"}]) == [
        [Scored("cat", 0.75), Scored("dog", 0.25)]
    ]
    assert server.script.seen[0][1]["examples"] == [{"a": 1.0, "c": {"b64": "/w=="}}]
    assert client.regress("m", [{"a": np.float32(1)}, {"a": [1, 2]}], version=2).tolist() == [1.5, 2.0]
    assert client.status("m") == [VersionStatus(2, "AVAILABLE", "OK", "")]


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_metadata_is_the_same_over_both_transports(fake, kind):
    tensors = (
        {"x": ("DT_FLOAT", (-1, 28, 28)), "free": ("DT_STRING", None)},
        {"y": ("DT_INT64", ())},
    )
    _, client = fake(
        kind,
        {
            "GetModelMetadata": [metadata_response(*tensors)],
            "GET /v1/models/m/metadata": [metadata_json(*tensors)],
        },
    )
    found = client.metadata("m")
    assert (found.model, found.version, list(found.signatures)) == ("m", 7, ["serving_default"])
    signature = found.signatures["serving_default"]
    assert signature.method == "predict"
    assert signature.inputs == {
        "x": TensorInfo("x", "float32", (None, 28, 28)),
        "free": TensorInfo("free", "object", None),
    }
    assert signature.outputs == {"y": TensorInfo("y", "int64", ())}


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_predict_examples_sends_one_serialized_example_a_row(fake, kind):
    takes = ({"examples": ("DT_STRING", (-1,))}, FLOATS[1])
    server, client = fake(
        kind,
        {
            "GetModelMetadata": [metadata_response(*takes)],
            "Predict": [predict_response(y=[1.0, 2.0])],
            "GET /v1/models/m/metadata": [metadata_json(*takes)],
            "POST /v1/models/m:predict": [{"outputs": [1.0, 2.0]}],
        },
    )
    rows = [{"a": 1.5, "b": "text", "c": [1, 2], "d": None}, {"a": np.float32(2)}]
    assert client.predict_examples("m", rows)["y"].tolist() == [1.0, 2.0]
    request = server.script.seen[-1][1]
    if kind is FakeGrpc:
        first = protos.example_pb2.Example.FromString(request.inputs["examples"].string_val[0])
    else:
        import base64

        first = protos.example_pb2.Example.FromString(
            base64.b64decode(request["inputs"]["examples"][0]["b64"])
        )
    features = first.features.feature
    assert features["a"].float_list.value == [1.5]
    assert features["b"].bytes_list.value == [b"text"]
    assert features["c"].int64_list.value == [1, 2]
    assert features["d"].WhichOneof("kind") is None


def test_predict_examples_of_a_signature_without_examples_says_what_it_takes(fake):
    _, client = fake(FakeGrpc, {"GetModelMetadata": [metadata_response(*FLOATS)]})
    with pytest.raises(InvalidArgument, match=r"its inputs are x \(float32\). Use predict"):
        client.predict_examples("m", [{"a": 1.0}])


def test_an_unknown_signature_is_named_with_those_that_exist(fake):
    _, client = fake(FakeGrpc, {"GetModelMetadata": [metadata_response(*FLOATS)]})
    with pytest.raises(InvalidArgument, match=r'"other" not found in signature def.*has: serving_default'):
        client.predict("m", [[1, 2]], signature="other")


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_unavailable_is_tried_again_until_it_works(fake, kind):
    server, client = fake(
        kind,
        {
            "GetModelStatus": [
                Fail("UNAVAILABLE"),
                Fail("UNAVAILABLE"),
                protos.METHODS["GetModelStatus"][2](),
            ],
            "GET /v1/models/m": [(503, {"error": "loading"}), (503, {}), {"model_version_status": []}],
        },
    )
    assert client.status("m") == []
    assert len(server.script.seen) == 3


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_patience_ends_after_the_attempts_and_the_last_error_is_the_servers(fake, kind):
    server, client = fake(
        kind,
        {
            "GetModelStatus": [Fail("UNAVAILABLE", "draining")],
            "GET /v1/models/m": [(503, {"error": "draining"})],
        },
    )
    with pytest.raises(Unavailable, match=r"^draining$"):
        client.status("m")
    assert len(server.script.seen) == Retry().attempts


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_the_deadline_covers_the_repetitions(fake, kind):
    server, client = fake(
        kind,
        {"GetModelStatus": [Fail("UNAVAILABLE")], "GET /v1/models/m": [(503, {"error": "x"})]},
        retry=Retry(attempts=1000, first_wait_s=0.05, longest_wait_s=0.05),
    )
    start = time.monotonic()
    with pytest.raises((Unavailable, DeadlineExceeded)):
        client.status("m", timeout=0.3)
    assert time.monotonic() - start < 5
    assert 2 <= len(server.script.seen) < 20


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_a_slow_server_meets_the_deadline(fake, kind):
    _, client = fake(
        kind,
        {
            "GetModelStatus": [slowly(1.0, protos.METHODS["GetModelStatus"][2]())],
            "GET /v1/models/m": [slowly(1.0, {"model_version_status": []})],
        },
    )
    with pytest.raises(DeadlineExceeded):
        client.status("m", timeout=0.1)


CODES = [
    ("INVALID_ARGUMENT", 400, InvalidArgument),
    ("NOT_FOUND", 404, NotFound),
    ("FAILED_PRECONDITION", 412, FailedPrecondition),
    ("RESOURCE_EXHAUSTED", 429, ResourceExhausted),
    ("UNIMPLEMENTED", 501, Unimplemented),
    ("INTERNAL", 500, Internal),
]


@pytest.mark.parametrize(("code", "http", "error"), CODES)
def test_errors_keep_their_code_and_text_and_are_not_tried_again(fake, code, http, error):
    for kind in (FakeGrpc, FakeRest):
        server, client = fake(
            kind,
            {"GetModelStatus": [Fail(code, "the text")], "GET /v1/models/m": [(http, {"error": "the text"})]},
        )
        with pytest.raises(error, match=r"^the text$") as caught:
            client.status("m")
        assert isinstance(caught.value, ServingError)
        assert len(server.script.seen) == 1


@pytest.mark.parametrize("answer", [b"<html>a proxy's page</html>", [], {"other": 1}])
def test_an_answer_that_is_not_tensorflow_servings_is_shown(fake, answer):
    _, client = fake(FakeRest, {"GET /v1/models/m": [answer]})
    with pytest.raises(ServingError, match="TensorFlow Serving"):
        client.status("m")


@pytest.mark.parametrize("address", [UNREACHABLE, "http://" + UNREACHABLE])
def test_an_unreachable_server_is_named(address):
    with (
        Client(address, retry=Retry(attempts=2, first_wait_s=0.01)) as client,
        pytest.raises(Unavailable, match=f"Cannot reach a model server at {address}"),
    ):
        client.status("m", timeout=5)


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_a_server_that_comes_back_is_found_by_the_same_client(fake, kind):
    answers = {
        "GetModelStatus": [protos.METHODS["GetModelStatus"][2]()],
        "GET /v1/models/m": [{"model_version_status": []}],
    }
    server, client = fake(kind, answers, retry=Retry(attempts=200, first_wait_s=0.02, longest_wait_s=0.05))
    assert client.status("m") == []
    server.close()
    returned = []
    timer = threading.Timer(0.2, lambda: returned.append(kind(answers, port=server.port)))
    timer.start()
    try:
        assert client.status("m", timeout=20) == []
    finally:
        timer.join()
        returned[0].close()
    assert returned[0].script.seen


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_headers_and_compression_reach_the_server(fake, kind):
    server, client = fake(
        kind,
        {
            "Predict": [predict_response(y=[1.0])],
            "GET /v1/models/m/metadata": [metadata_json(*FLOATS)],
            "POST /v1/models/m:predict": [{"outputs": [1.0]}],
        },
        headers={"Authorization": "Bearer me"},
        compress=True,
    )
    client.predict("m", {"x": np.ones((1, 2), np.float32)})
    headers = {key.lower(): value for key, value in server.script.headers[-1].items()}
    assert headers["authorization"] == "Bearer me"
    if kind is FakeRest:
        assert headers["content-encoding"] == "gzip"
        assert server.script.seen[-1][1]["inputs"] == {"x": [[1.0, 1.0]]}


def test_threads_share_one_client(fake):
    def echo(request):
        return predict_response(y=np.frombuffer(request.inputs["x"].tensor_content, np.float32))

    _, client = fake(FakeGrpc, {"Predict": [echo]})
    wrong = []

    def use(number):
        for step in range(50):
            value = np.float32([number * 1000 + step])
            if client.predict("m", {"x": value})["y"] != value:
                wrong.append(value)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_the_asyncio_client_does_the_same(fake, kind):
    server, _ = fake(
        kind,
        {
            "Predict": [Fail("UNAVAILABLE"), predict_response(y=np.float32([1.5]))],
            "GetModelMetadata": [metadata_response(*FLOATS)],
            "GetModelStatus": [Fail("NOT_FOUND", "none")],
            "GET /v1/models/m/metadata": [metadata_json(*FLOATS)],
            "POST /v1/models/m:predict": [(503, {}), {"outputs": [1.5]}],
            "GET /v1/models/m": [(404, {"error": "none"})],
        },
    )

    async def use():
        async with AsyncClient(server.address, retry=Retry(first_wait_s=0.005)) as client:
            answers = await asyncio.gather(*[client.predict("m", [[1, 2]]) for _ in range(5)])
            assert [answer["y"].tolist() for answer in answers] == [[1.5]] * 5
            assert (await client.metadata("m")).version == 7
            with pytest.raises(NotFound, match=r"^none$"):
                await client.status("m")

    asyncio.run(use())


@pytest.mark.parametrize("kind", [FakeGrpc, FakeRest])
def test_the_asyncio_client_keeps_deadlines_and_can_be_cancelled(fake, kind):
    server, _ = fake(
        kind,
        {
            "GetModelStatus": [slowly(1.0, protos.METHODS["GetModelStatus"][2]())],
            "GET /v1/models/m": [slowly(1.0, {"model_version_status": []})],
        },
    )

    async def use():
        async with AsyncClient(server.address) as client:
            with pytest.raises(DeadlineExceeded):
                await client.status("m", timeout=0.1)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.status("m"), 0.1)

    asyncio.run(use())


def test_calls_that_rest_does_not_have_say_so():
    with Client("http://" + UNREACHABLE) as client:
        with pytest.raises(Unimplemented, match="use a gRPC address"):
            client.multi_inference("m", [{}], [("classify", "s")])
        with pytest.raises(Unimplemented, match="use a gRPC address"):
            client.reload_config("")


def test_reload_config_takes_text_a_path_or_a_message_and_raises_what_the_server_reports(fake, tmp_path):
    response = protos.model_management_pb2.ReloadConfigResponse
    bad = response()
    bad.status.error_code, bad.status.error_message = 3, "no such platform"
    server, client = fake(FakeGrpc, {"HandleReloadConfigRequest": [response(), response(), response(), bad]})
    text = 'model_config_list { config { name: "m" base_path: "/models/m" } }'
    path = tmp_path / "models.config"
    path.write_text(text)
    for given in (text, path, server.script.seen):
        if given is server.script.seen:
            given = server.script.seen[0][1].config
        client.reload_config(given)
    assert {request.config.model_config_list.config[0].name for _, request in server.script.seen} == {"m"}
    with pytest.raises(InvalidArgument, match=r"^no such platform$"):
        client.reload_config(text)
    with pytest.raises(InvalidArgument, match="not valid protobuf text"):
        client.reload_config("nonsense {")


def test_version_and_label_together_are_refused():
    with Client(UNREACHABLE) as client, pytest.raises(InvalidArgument, match="give one of them"):
        client.predict("m", {"x": np.ones(1)}, version=1, label="stable")


def test_wait_available_returns_once_a_version_is_there(fake):
    status = protos.get_model_status_pb2.GetModelStatusResponse
    loading, there = status(), status()
    loading.model_version_status.add(version=1, state=20)
    there.model_version_status.add(version=1, state=30)
    _, client = fake(FakeGrpc, {"GetModelStatus": [Fail("NOT_FOUND"), loading, there]})
    assert client.wait_available("m", timeout=20) == [VersionStatus(1, "AVAILABLE", "OK", "")]
    _, client = fake(FakeGrpc, {"GetModelStatus": [loading]})
    with pytest.raises(DeadlineExceeded, match=r"'m' is not available at .*LOADING"):
        client.wait_available("m", timeout=0.3)


def test_wait_available_ends_with_the_last_thing_known(fake):
    loading = protos.get_model_status_pb2.GetModelStatusResponse()
    loading.model_version_status.add(version=1, state=20)
    _, client = fake(FakeGrpc, {"GetModelStatus": [loading, Fail("DEADLINE_EXCEEDED")]})
    with pytest.raises(DeadlineExceeded, match=r"'m' is not available at .*LOADING"):
        client.wait_available("m", timeout=5)


def test_a_closed_client_says_that_it_is_closed(fake):
    _, client = fake(FakeGrpc, {"GetModelStatus": [protos.METHODS["GetModelStatus"][2]()]})
    client.close()
    with pytest.raises(ServingError, match="closed"):
        client.status("m")


@pytest.mark.parametrize(
    "address", ["", "localhost", "host:port", "ftp://h:1", "h:1/path", "http://", "a b:1"]
)
def test_a_senseless_address_is_refused(address):
    with pytest.raises(ValueError, match="is no address of a model server"):
        Client(address)


def test_tls_and_a_plain_address_contradict_each_other(tmp_path):
    with pytest.raises(ValueError, match="both or neither"):
        Tls(certificate=tmp_path / "a.pem")
    for address in ("grpc://127.0.0.1:1", "http://127.0.0.1:1"):
        with pytest.raises(ValueError, match=r"write (grpcs|https)://"):
            Client(address, tls=Tls())


def test_the_import_is_light():
    heavy = ("tensorflow", "tfx", "pandas", "httpx")
    code = f"import serving.client, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
