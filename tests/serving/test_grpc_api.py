"""The gRPC surface of a real server process: what clients of TensorFlow Serving send, and what they get."""

from __future__ import annotations

import contextlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.fixtures_requests import predict_request, refused
from tests.serving.savedmodels import ECHO_TYPES


@pytest.fixture(scope="module")
def channel(model_server):
    with grpc.insecure_channel(model_server.grpc_address) as channel:
        yield channel


@pytest.fixture(scope="module")
def predictions(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


X = np.array([[1, 2], [3, 4]], np.float32)


def test_predict_answers_with_the_newest_version_and_says_so(predictions):
    answer = predictions.Predict(predict_request("scaled", {"x": X}))
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == (X * 3 + 1).tolist()
    assert answer.model_spec.name == "scaled"
    assert answer.model_spec.version.value == 3
    assert answer.model_spec.signature_name == "serving_default"


def test_answers_hold_value_fields_as_the_originals_do(predictions):
    answer = predictions.Predict(predict_request("scaled", {"x": X}))
    assert list(answer.outputs["y"].float_val) == (X * 3 + 1).ravel().tolist()
    assert answer.outputs["y"].tensor_content == b""


def test_a_version_or_a_label_selects_the_model(predictions):
    by_version = predictions.Predict(predict_request("scaled", {"x": X}, version=2))
    by_label = predictions.Predict(predict_request("scaled", {"x": X}, label="stable"))
    assert by_version.model_spec.version.value == 2
    assert by_label.model_spec.version.value == 1
    assert tf.make_ndarray(by_label.outputs["y"]).tolist() == (X + 1).tolist()


@pytest.mark.parametrize("name", ECHO_TYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 4), (2, 3, 1)])
def test_every_type_and_shape_comes_back_as_it_went(predictions, name, shape):
    kind = getattr(tf, name)
    size = int(np.prod(shape))
    if name == "string":
        value = np.array([f"wört {i}\x00".encode() for i in range(size)], object).reshape(shape)
    else:
        value = (np.arange(size).reshape(shape) - 1).astype(kind.as_numpy_dtype)
    proto = tf.make_tensor_proto(value, kind, shape)
    answer = predictions.Predict(predict_request("echo", {"x": proto}, name))
    got = tf.make_ndarray(answer.outputs["y"])
    assert answer.outputs["y"].dtype == kind.as_datatype_enum
    assert got.shape == shape
    assert got.tolist() == value.tolist()


def test_numbers_sent_one_by_one_are_read_like_packed_ones(predictions):
    # An old encoder: field 5 (float_val) of wire type 5 for every number instead of one packed block.
    tensor = tf.make_tensor_proto(np.zeros((1, 2), np.float32)).SerializeToString().split(b"\x22")[0]
    numbers = b"".join(b"\x2d" + np.float32(v).tobytes() for v in (1.5, -2.0))
    entry_value = tensor + numbers
    entry = b"\x0a\x01x\x12" + bytes([len(entry_value)]) + entry_value
    raw = b"\x0a\x08\x0a\x06scaled\x12" + bytes([len(entry)]) + entry
    answer = predictions.Predict(predict_pb2.PredictRequest.FromString(raw))
    assert tf.make_ndarray(answer.outputs["y"]).tolist() == [[5.5, -5.0]]


def test_one_value_fills_a_larger_shape_as_in_tensorflow(predictions):
    request = predict_request("scaled", {})
    tensor = request.inputs["x"]
    tensor.dtype = 1
    for size in (2, 2):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.append(2.0)
    assert tf.make_ndarray(predictions.Predict(request).outputs["y"]).tolist() == [[7, 7], [7, 7]]


def test_the_output_filter_limits_the_answer(predictions):
    inputs = {"a": np.array([3.0], np.float32), "b": np.array([1.0], np.float32)}
    answer = predictions.Predict(predict_request("pair", inputs, outputs=["difference"]))
    assert list(answer.outputs) == ["difference"]
    assert tf.make_ndarray(answer.outputs["difference"]).tolist() == [2.0]


REFUSALS = [
    ("no model name", {"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ("unknown model", {"name": "nope"}, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
    ("unknown version", {"version": 9}, "NOT_FOUND", "Servable not found for request: Specific(scaled, 9)"),
    ("unknown label", {"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
    (
        "unknown signature",
        {"signature": "nope"},
        "FAILED_PRECONDITION",
        'Serving signature key "nope" not found.',
    ),
    (
        "no input",
        {"inputs": {}},
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
        "Missing but required: {x}.",
    ),
    (
        "input of another name",
        {"inputs": {"z": X}},
        "INVALID_ARGUMENT",
        "input tensor alias not found in signature: z. Inputs expected to be in the set {x}.",
    ),
    (
        "wrong type",
        {"inputs": {"x": X.astype(np.int64)}},
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but int64 is provided",
    ),
    (
        "unknown output",
        {"outputs": ["q"]},
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: q Outputs expected to be in the set {y}.",
    ),
    ("output twice", {"outputs": ["y", "y"]}, "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
]


@pytest.mark.parametrize(("change", "code", "text"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_a_wrong_predict_gets_the_originals_code_and_text(predictions, change, code, text):
    arguments = {"name": "scaled", "inputs": {"x": X}, **change}
    got_code, got_text = refused(predictions.Predict, predict_request(**arguments))
    assert got_code == code
    assert text in got_text


def test_a_damaged_tensor_is_refused_by_name(predictions):
    request = predict_request("scaled", {"x": X})
    request.inputs["x"].tensor_content = b"1234567"
    code, text = refused(predictions.Predict, request)
    assert code == "INVALID_ARGUMENT"
    assert "tensor parsing error: x" in text


def test_a_few_bytes_cannot_claim_gigabytes(predictions):
    request = predict_request("echo", {}, "float32")
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=2**40)
    tensor.float_val.append(1.0)
    code, text = refused(predictions.Predict, request)
    assert code == "INVALID_ARGUMENT"
    assert "tensor parsing error: x" in text


def _example(x, k=None):
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.extend(x)
    if k is not None:
        example.features.feature["k"].bytes_list.value.append(k)
    return example


def test_classify_pairs_labels_with_scores(predictions):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "examples"
    request.input.example_list.examples.extend([_example([1, 2, 3], b"b"), _example([1, 1, 1])])
    answer = predictions.Classify(request)
    rows = [[(c.label, c.score) for c in row.classes] for row in answer.result.classifications]
    assert rows == [[("yes", 8.0), ("no", -7.0)], [("yes", 4.0), ("no", -3.0)]]
    assert answer.model_spec.version.value == 1


def test_the_context_is_part_of_every_example(predictions):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "examples"
    request.model_spec.signature_name = "regress"
    given = request.input.example_list_with_context
    given.context.CopyFrom(_example([1, 2, 3]))
    given.examples.extend([tf.train.Example(), _example([10, 10, 10])])
    answer = predictions.Regress(request)
    assert [r.value for r in answer.result.regressions] == [6.0, 30.0]


def test_multi_inference_answers_every_task_from_one_input(predictions):
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in [("serving_default", "classify"), ("regress", "regress")]:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "examples"
        task.model_spec.signature_name = signature
    request.input.example_list.examples.append(_example([1, 2, 3], b"a"))
    answer = predictions.MultiInference(request)
    assert answer.results[0].classification_result.classifications[0].classes[0].score == 7.0
    assert answer.results[1].regression_result.regressions[0].value == 6.0
    assert answer.results[1].model_spec.signature_name == "regress"


def test_classify_without_examples_is_refused(predictions):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "examples"
    assert refused(predictions.Classify, request) == ("INVALID_ARGUMENT", "Input is empty.")


def test_classify_with_a_signature_that_only_predicts_is_refused(predictions):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "scaled"
    request.input.example_list.examples.append(_example([1, 2, 3]))
    code, text = refused(predictions.Classify, request)
    assert code == "FAILED_PRECONDITION"
    assert text.startswith("No classification inputs found in SignatureDef: ")
    regress = regression_pb2.RegressionRequest.FromString(request.SerializeToString())
    assert refused(predictions.Regress, regress)[1].startswith("No regression inputs found in SignatureDef: ")


def test_metadata_holds_the_signatures(predictions):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "pair"
    answer = predictions.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) == {"serving_default", "text", "heavy"}
    assert set(signatures.signature_def["serving_default"].inputs) == {"a", "b"}


def test_metadata_of_an_unknown_field_is_refused(predictions):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["nope"])
    request.model_spec.name = "pair"
    assert refused(predictions.GetModelMetadata, request) == (
        "INVALID_ARGUMENT",
        "Metadata field nope is not supported",
    )


def test_status_lists_the_newest_version_first(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "scaled"
    answer = models.GetModelStatus(request)
    assert [s.version for s in answer.model_version_status] == [3, 2, 1]
    assert {s.state for s in answer.model_version_status} == {30}


def test_status_of_what_does_not_exist_is_not_found(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "nope"
    assert refused(models.GetModelStatus, request) == (
        "NOT_FOUND",
        "Could not find any versions of model nope",
    )
    request.model_spec.name = "scaled"
    request.model_spec.version.value = 9
    assert refused(models.GetModelStatus, request) == (
        "NOT_FOUND",
        "Could not find version 9 of model scaled",
    )


def test_health_and_reflection_answer(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", "tensorflow.serving.PredictionService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (answer,) = reflection.ServerReflectionInfo(asked)
    names = {s.name for s in answer.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= names


def test_compressed_requests_are_read(predictions):
    answer = predictions.Predict(predict_request("scaled", {"x": X}), compression=grpc.Compression.Gzip)
    assert answer.model_spec.version.value == 3


def test_a_deadline_ends_the_call_and_the_server_lives_on(predictions):
    heavy = predict_request("pair", {"x": np.ones((2000, 64), np.float32)}, "heavy")
    assert refused(predictions.Predict, heavy, timeout=0.05)[0] == "DEADLINE_EXCEEDED"
    assert predictions.Predict(predict_request("scaled", {"x": X}), timeout=30).model_spec.version.value == 3


SHAPES = [(), (0,), (2,), (1, 2), (2, 3), (0, 2), (2, 1, 2), (1, 1, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_graph_decides_which_shapes_it_takes(predictions, shape):
    """The signature says [?, 2]; the graph multiplies by a scalar."""
    x = np.ones(shape, np.float32)
    answer = tf.make_ndarray(predictions.Predict(predict_request("scaled", {"x": x})).outputs["y"])
    assert (answer.shape, answer.tolist()) == (shape, (x * 3 + 1).tolist())


def test_a_shape_that_the_graph_refuses_gets_the_graphs_own_text(predictions):
    inputs = {"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)}
    code, text = refused(predictions.Predict, predict_request("pair", inputs))
    assert (code, "Incompatible shapes: [2] vs. [3]" in text) == ("INVALID_ARGUMENT", True), text


@pytest.mark.parametrize(
    "dims", [[2**62, 4, 2**62, 0], [2**63 - 1, 2], [0, 2**62, 4], [2**40, 2**40]], ids=str
)
def test_sizes_whose_product_no_tensor_can_count_are_a_parsing_error(predictions, dims):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "scaled"
    request.inputs["x"].dtype = 1
    for size in dims:
        request.inputs["x"].tensor_shape.dim.add().size = size
    code, text = refused(predictions.Predict, request)
    assert (code, text.startswith("tensor parsing error")) == ("INVALID_ARGUMENT", True), text


def test_a_request_without_a_model_spec_is_told_so_by_every_rpc(predictions, models):
    missing = [
        (predictions.Predict, predict_pb2.PredictRequest),
        (predictions.Classify, classification_pb2.ClassificationRequest),
        (predictions.Regress, regression_pb2.RegressionRequest),
        (predictions.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest),
        (models.GetModelStatus, get_model_status_pb2.GetModelStatusRequest),
    ]
    for call, cls in missing:
        assert refused(call, cls()) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    for call, cls in missing[:3]:
        nameless = cls()
        nameless.model_spec.name = ""
        assert refused(call, nameless) == ("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    multi = inference_pb2.MultiInferenceRequest()
    assert refused(predictions.MultiInference, multi) == (
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    )
    multi.tasks.add(method_name="tensorflow/serving/classify")
    assert refused(predictions.MultiInference, multi) == (
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    )
    multi.tasks[0].model_spec.name = "examples"
    multi.tasks.add(method_name="tensorflow/serving/regress")
    assert refused(predictions.MultiInference, multi) == (
        "INVALID_ARGUMENT",
        "Found ModelSpec with an empty model name.",
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/grpc.health.v1.Health/Check", "unary_unary"),
        ("/grpc.health.v1.Health/Watch", "unary_stream"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "stream_stream"),
    ],
)
def test_garbage_to_the_services_of_grpc_is_an_invalid_argument(channel, model_server, path, kind):
    garbage = b"\x0a\xff"
    call = getattr(channel, kind)(path)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([garbage]) if kind == "stream_stream" else garbage)) or call
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "that are truncated or no protobuf message" in caught.value.details()
    assert "Traceback" not in model_server.output


def test_callers_that_leave_before_their_answer_leave_no_stack_trace(channel, model_server):
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    for round_ in range(60):
        waiting = [call.future(b"", timeout=0.0005 * (1 + number % 8)) for number in range(40)]
        for number, one in enumerate(waiting):
            if number % 3 == round_ % 3:
                one.cancel()
        for one in waiting:
            with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
                one.result()
    assert "Traceback" not in model_server.output
