"""The REST surface of a real server process: paths, JSON, codes and texts of TensorFlow Serving."""

from __future__ import annotations

import base64
import gzip
import json

import httpx
import numpy as np
import pytest

from serving.rest.app import THREAD_BYTES


@pytest.fixture(scope="module")
def http(model_server):
    with httpx.Client(base_url=model_server.url, timeout=30) as client:
        yield client


def predict(http, model, body, path=""):
    return http.post(f"/v1/models/{model}{path}:predict", content=json.dumps(body))


def error(response):
    return response.status_code, response.json()["error"]


ANSWERS = [
    ("rows", "scaled", "", {"instances": [[1, 2], [3, 4]]}, {"predictions": [[4.0, 7.0], [10.0, 13.0]]}),
    ("columns", "scaled", "", {"inputs": [[1, 2], [3, 4]]}, {"outputs": [[4.0, 7.0], [10.0, 13.0]]}),
    ("named column", "scaled", "", {"inputs": {"x": [[1, 2]]}}, {"outputs": [[4.0, 7.0]]}),
    ("named row", "scaled", "", {"instances": [{"x": [1, 2]}]}, {"predictions": [[4.0, 7.0]]}),
    ("version", "scaled", "/versions/2", {"instances": [[1, 2]]}, {"predictions": [[3.0, 5.0]]}),
    ("label", "scaled", "/labels/stable", {"instances": [[1, 2]]}, {"predictions": [[2.0, 3.0]]}),
    (
        "two inputs, two outputs, rows",
        "pair",
        "",
        {"instances": [{"a": 3, "b": 1}, {"a": 0.5, "b": 0.25}]},
        {"predictions": [{"difference": 2.0, "sum": 4.0}, {"difference": 0.25, "sum": 0.75}]},
    ),
    (
        "two inputs, two outputs, columns",
        "pair",
        "",
        {"inputs": {"a": [3], "b": [1]}},
        {"outputs": {"difference": [2.0], "sum": [4.0]}},
    ),
    (
        "text, base64 and a name that asks for base64",
        "pair",
        "",
        {"signature_name": "text", "instances": ["é", {"b64": base64.b64encode(b"ab").decode()}]},
        {
            "predictions": [
                {"length": 2, "name": "é", "name_bytes": {"b64": base64.b64encode("é!".encode()).decode()}},
                {"length": 2, "name": "ab", "name_bytes": {"b64": base64.b64encode(b"ab!").decode()}},
            ]
        },
    ),
    (
        "bytes that are no text",
        "echo",
        "",
        {"signature_name": "string", "inputs": {"b64": "/w=="}},
        {"outputs": {"b64": "/w=="}},
    ),
    ("bool", "echo", "", {"signature_name": "bool", "inputs": [True, False]}, {"outputs": [True, False]}),
    ("scalar", "echo", "", {"signature_name": "int64", "inputs": -(2**62)}, {"outputs": -(2**62)}),
    ("uint64", "echo", "", {"signature_name": "uint64", "inputs": [2**64 - 1]}, {"outputs": [2**64 - 1]}),
    ("short float32", "echo", "", {"signature_name": "float32", "inputs": [0.1]}, {"outputs": [0.1]}),
    ("nested", "echo", "", {"signature_name": "int32", "inputs": [[[1], [2]]]}, {"outputs": [[[1], [2]]]}),
]


@pytest.mark.parametrize(
    ("model", "path", "body", "answer"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS]
)
def test_predict_answers_in_the_style_of_the_request(http, model, path, body, answer):
    response = predict(http, model, body, path)
    assert (response.status_code, response.json()) == (200, answer)
    assert response.headers["content-type"] == "application/json"


def test_nan_and_infinity_go_in_and_out_as_words(http):
    body = '{"signature_name": "float32", "inputs": [NaN, Infinity, -Infinity, 1.5]}'
    response = http.post("/v1/models/echo:predict", content=body)
    assert response.status_code == 200
    assert response.text.replace(" ", "") == '{\n"outputs":[NaN,Infinity,-Infinity,1.5]\n}'


def test_a_number_too_large_for_any_type_is_no_infinity(http):
    for number in ("1e999", "1" + "0" * 400 + ".0"):
        response = http.post("/v1/models/scaled:predict", content=f'{{"instances": [[{number}, 1]]}}')
        assert error(response) == (
            400,
            "JSON Parse error: Number too big to be stored in double. at offset: 16",
        )


REFUSALS = [
    ("empty body", "scaled", "", 400, "JSON Parse error: The document is empty"),
    ("no JSON", "scaled", "{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
    ("no object", "scaled", "[1]", 400, "Is not object"),
    ("trailing text", "scaled", "{} x", 400, "Missing 'inputs' or 'instances' key"),
    ("deep nesting", "scaled", '{"instances": ' + "[" * 100_000 + "]" * 100_000 + "}", 400, "deep"),
    ("not UTF-8", "scaled", b'{"instances": "\xff\xfe"}', 400, "Excepting 'instances' to be an list/array"),
    ("neither key", "scaled", "{}", 400, "Missing 'inputs' or 'instances' key"),
    ("both keys", "scaled", '{"inputs": 1, "instances": 1}', 400, "expecting only one of 'inputs' or 'instances'"),
    ("instances no list", "scaled", '{"instances": 1}', 400, "Excepting 'instances' to be an list/array"),
    ("instances empty", "scaled", '{"instances": []}', 400, "No values in 'instances' array"),
    ("text for numbers", "scaled", '{"instances": [["a", "b"]]}', 400,
     'JSON Value: "a" Type: String is not of expected type: float'),
    ("true for numbers", "scaled", '{"instances": [[true, 1]]}', 400,
     "JSON Value: true Type: True is not of expected type: float"),
    ("null for numbers", "scaled", '{"instances": [[null, 1]]}', 400,
     "JSON Value: null Type: Null is not of expected type: float"),
    ("ragged rows", "scaled", '{"instances": [[1, 2], [3]]}', 400, "Expecting tensor size: 2 but got: 1"),
    ("ragged columns", "scaled", '{"inputs": [[1, 2], [3]]}', 400,
     "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ("number among lists", "scaled", '{"inputs": [[1, 2], 3]}', 400,
     "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ("list among numbers", "scaled", '{"inputs": [1, [2]]}', 400,
     "Encountered list at unexpected level: 1 expected < 1"),
    ("float for integers", "echo", '{"signature_name": "int32", "inputs": [1.5]}', 400,
     "JSON Value: 1.5 Type: Number is not of expected type: int32"),
    ("integer too large", "echo", '{"signature_name": "int32", "inputs": [2147483648]}', 400,
     "is not of expected type: int32"),
    ("complex numbers", "echo", '{"signature_name": "complex64", "inputs": [1]}', 501,
     "Conversion of JSON Value: 1 to type: complex64"),
    ("bad base64", "pair", '{"signature_name": "text", "inputs": [{"b64": "***"}]}', 400,
     "Unable to base64 decode"),
    ("one list for two inputs", "pair", '{"instances": [1, 2]}', 400,
     "instances is a plain list, but expecting list of objects"),
    ("missing key in a row", "pair", '{"instances": [{"a": 1}]}', 400, "keys must be equal to: a,b"),
    ("extra key in a row", "pair", '{"instances": [{"a": 1, "b": 2, "c": 3}]}', 400,
     "JSON object: does not have named input: c"),
    ("missing column", "pair", '{"inputs": {"a": [1]}}', 400, "Missing named input: b in 'inputs' object."),
    ("mixed rows", "pair", '{"instances": [{"a": 1, "b": 2}, 3]}', 400,
     "Expecting object but got list at item 1 of input list"),
    ("unknown signature", "pair", '{"signature_name": "nope", "instances": [1]}', 400,
     'Serving signature name: "nope" not found in signature def'),
    ("signature no text", "pair", '{"signature_name": 5, "instances": [1]}', 400,
     "'signature_name' key must be a string value."),
    ("unknown model", "nope", '{"instances": [1]}', 404, "Servable not found for request: Latest(nope)"),
    ("unknown version", "scaled/versions/9", '{"instances": [1]}', 404,
     "Servable not found for request: Specific(scaled, 9)"),
    ("unknown label", "scaled/labels/x", '{"instances": [1]}', 400, "Unrecognized servable version label: x"),
    ("version beyond 64 bits", "scaled/versions/99999999999999999999", "{}", 400,
     "Failed to convert version: 99999999999999999999 to numeric."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "body", "status", "text"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_a_wrong_predict_gets_the_originals_code_and_text(http, model, body, status, text):
    response = http.post(f"/v1/models/{model}:predict", content=body)
    assert response.status_code == status
    assert text in response.json()["error"]
    assert "Traceback" not in response.text


PATHS = [
    "/v1/models/scaled:explode", "/v1/models/scaled/versions/x:predict", "/v1/models/:predict",
    "/v1/models/scaled/versions/1/labels/stable:predict", "/v1/models/a/b/c:predict", "/v1/nothing",
    "/v1/models/scaled/../../../etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd:explode", "/v1/",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_no_route_is_a_malformed_request(model_server, path):
    # By hand: HTTP clients tidy paths up before they send them.
    import socket

    host, port = model_server.rest_address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": f"Malformed request: POST {path}"}


def test_an_encoded_slash_in_a_model_name_stays_a_name(http):
    response = http.get("/v1/models/..%2F..%2Fetc%2Fpasswd")
    assert error(response) == (404, "Could not find any versions of model ../../etc/passwd")


def test_what_lies_outside_the_api_is_not_found(http):
    assert error(http.get("/etc/passwd")) == (404, "Not found: GET /etc/passwd")


def test_status_and_metadata_have_the_originals_form(http):
    one = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    status = http.get("/v1/models/scaled").json()
    assert status == {"model_version_status": [{"version": v, **one} for v in ("3", "2", "1")]}
    assert http.get("/v1/models/scaled/labels/stable").json()["model_version_status"] == [
        {"version": "1", **one}
    ]
    metadata = http.get("/v1/models/scaled/versions/2/metadata").json()
    assert metadata["model_spec"] == {"name": "scaled", "signature_name": "", "version": "2"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signature["inputs"]["x"]["tensor_shape"]["dim"][0]["size"] == "-1"
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_a_status_without_a_model_name_is_refused(http):
    assert error(http.get("/v1/models")) == (400, "Missing model name in request.")
    assert error(http.get("/v1/models/nope/versions/7")) == (404, "Could not find version 7 of model nope")


def test_classify_and_regress(http):
    body = {"examples": [{"x": [1.0, 2.0, 3.0], "k": "b"}, {"x": [1.0, 1.0, 1.0]}]}
    classified = http.post("/v1/models/examples:classify", json=body)
    assert classified.json() == {"results": [[["yes", 8.0], ["no", -7.0]], [["yes", 4.0], ["no", -3.0]]]}
    body = {"signature_name": "regress", "context": {"x": [1.0, 2.0, 3.0]}, "examples": [{}, {"k": "a"}]}
    assert http.post("/v1/models/examples:regress", json=body).json() == {"results": [6.0, 6.0]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": [1, 2.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": [[1.0]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
        ({"examples": [{"k": "a"}]}, "Feature: x (data type: float) is required but could not be found."),
    ],
)
def test_a_wrong_classify_gets_the_originals_text(http, body, text):
    status, message = error(http.post("/v1/models/examples:classify", json=body))
    assert status == 400
    assert text in message


ROWS = json.dumps({"instances": [[i, i] for i in range(500)]}).encode()


@pytest.mark.parametrize("cut", [0, 1, 100, len(ROWS) - 1, len(ROWS)])
def test_a_gzip_body_of_several_members_is_read_to_its_end(http, cut):
    """As `cat a.gz b.gz` and writers that start a member per block make them."""
    body = gzip.compress(ROWS[:cut]) + gzip.compress(ROWS[cut:]) + b"\0" * 7
    response = http.post("/v1/models/scaled:predict", content=body, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 200, response.text
    assert len(response.json()["predictions"]) == 500


def test_a_gzip_body_of_very_many_members_is_read_to_its_end(http):
    body = gzip.compress(b" ") * 15_000 + gzip.compress(ROWS)
    assert len(body) > THREAD_BYTES
    response = http.post("/v1/models/scaled:predict", content=body, headers={"Content-Encoding": "gzip"})
    assert len(response.json()["predictions"]) == 500


def test_gzip_goes_both_ways(http):
    rows = {"instances": [[i, i] for i in range(500)]}
    body = gzip.compress(json.dumps(rows).encode())
    response = http.post("/v1/models/scaled:predict", content=body, headers={"Content-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.json()["predictions"][499] == [1498.0, 1498.0]
    plain = http.post("/v1/models/scaled:predict", json=rows, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


LARGE = gzip.compress(b" " * 5_000_000)
BAD_BODIES = {
    "no gzip": ("gzip", b"no gzip", 400, "The request body is no gzip data"),
    "truncated": ("gzip", gzip.compress(ROWS)[:-9], 400, "gzip data is truncated"),
    "nothing": ("gzip", b"", 400, "gzip data is truncated"),
    "second member truncated": (
        "gzip", gzip.compress(ROWS) + gzip.compress(b" ")[:-1], 400, "gzip data is truncated"
    ),
    "second member is one byte": ("gzip", gzip.compress(ROWS) + b"\x1f", 400, "gzip data is truncated"),
    "second member damaged": (
        "gzip", gzip.compress(ROWS) + gzip.compress(b"  ")[:-8] + b"8" * 8, 400, "incorrect data check"
    ),
    "something behind it": ("gzip", gzip.compress(ROWS) + b"{}", 400, "2 bytes after its gzip data that"),
    "something behind zeros": ("gzip", gzip.compress(ROWS) + b"\0\0{}", 400, "4 bytes after its gzip data that"),
    "another encoding": ("br", b"x", 400, "Content-Encoding 'br' is not supported"),
    "too large": ("gzip", gzip.compress(b"0" * 9_000_000), 413, "body is larger than 8388608 bytes"),
    "too large together": ("gzip", LARGE + LARGE, 413, "body is larger than 8388608 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_BODIES)
def test_bodies_in_bad_encodings_are_refused(http, kind):
    encoding, body, status, text = BAD_BODIES[kind]
    response = http.post("/v1/models/scaled:predict", content=body, headers={"Content-Encoding": encoding})
    assert response.status_code == status
    assert text in response.json()["error"]


def test_metrics_count_what_was_asked_under_the_originals_names(http):
    predict(http, "scaled", {"instances": [[1, 2]]})
    page = http.get("/monitoring/prometheus/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    for line in (
        ':tensorflow:serving:request_count{model_name="scaled",status="OK"} ',
        ':tensorflow:serving:request_latency_count{model_name="scaled",API="predict",entrypoint="REST"} ',
        "# TYPE :tensorflow:serving:request_latency histogram",
        ":tensorflow:cc:saved_model:load_attempt_count{",
    ):
        assert line in page.text


def test_liveness_and_readiness_answer(http):
    assert http.get("/livez").json() == {"status": "alive"}
    ready = http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert set(ready.json()["models"]) == {"scaled", "pair", "echo", "examples"}


def test_the_wrong_method_is_told_which_is_right(http):
    assert error(http.post("/livez")) == (405, "Use GET for /livez")
    assert error(http.put("/v1/models/scaled:predict")) == (
        400,
        "Malformed request: PUT /v1/models/scaled:predict",
    )


@pytest.mark.parametrize("method", ["classify", "regress", "predict"])
def test_a_signature_name_that_is_half_a_character_is_the_clients_fault(http, method):
    body = b'{"signature_name": "\\ud800", "examples": [{"x": 1.0}]}'
    status, text = error(http.post(f"/v1/models/examples:{method}", content=body))
    assert status == 400
    assert text == "JSON Parse error: The surrogate pair in string is invalid. at offset: 20"


AS_THE_ORIGINAL = {
    "rows of scalars for [?, 2]": ("scaled", '{"instances": [1.0, 2.0]}', {"predictions": [4.0, 7.0]}),
    "a scalar in a column": ("scaled", '{"inputs": 2}', {"outputs": 7.0}),
    "a wider row": ("scaled", '{"instances": [[1, 2, 3]]}', {"predictions": [[4.0, 7.0, 10.0]]}),
    "a named scalar": ("scaled", '{"inputs": {"x": [1]}}', {"outputs": [4.0]}),
    "rank 3": ("scaled", '{"instances": [[[1], [2]]]}', {"predictions": [[[4.0], [7.0]]]}),
    "no columns": ("scaled", '{"inputs": []}', {"outputs": []}),
    "the first of a key": ("scaled", '{"instances": [[1, 1]], "instances": [[2, 2]]}', {"predictions": [[4.0, 4.0]]}),
    "the first of a column": ("scaled", '{"inputs": {"x": [1], "x": [2]}}', {"outputs": [4.0]}),
    "text behind the document": ("scaled", '{"instances": [[1, 1]]}}]"X', {"predictions": [[4.0, 4.0]]}),
    "a byte order mark": ("scaled", "\ufeff" + '{"instances": [[1, 1]]}', {"predictions": [[4.0, 4.0]]}),
    "deep nesting that nobody reads": (
        "scaled", '{"instances": [[1, 1]], "x": ' + "[" * 200_000 + "]" * 200_000 + "}", {"predictions": [[4.0, 4.0]]},
    ),
    "a whole number that no float holds": ("float32", '{"inputs": [16777217, 1435774380]}', [16777216, 1435774336]),
    "a whole number that no double holds": ("float64", '{"inputs": [9007199254740993, 1]}', [9007199254740992, 1]),
    "the largest whole numbers": ("float64", '{"inputs": [18446744073709551615, -9223372036854775808]}',
                                  [2.0**64, -(2.0**63)]),
    "a number of more than 64 bits": ("float64", '{"inputs": [1e19, 36893488147419103232]}', [1e19, 2.0**65]),
    "rounding once is not enough": ("float32", '{"inputs": [18014399583223809]}', [18014398509481984.0]),
    "small integers are cut to their bits": ("uint8", '{"inputs": [300, -1, 255]}', [44, 255, 255]),
    "int8": ("int8", '{"inputs": [128, -129, 2147483647]}', [-128, 127, -1]),
    "int16": ("int16", '{"inputs": [65536, 40000]}', [0, -25536]),
    "uint32": ("uint32", '{"inputs": [4294967295]}', [4294967295]),
    "uint64": ("uint64", '{"inputs": [18446744073709551615, 0]}', [18446744073709551615, 0]),
    "true and false, nested": ("bool", '{"inputs": [[true], [false]]}', [[True], [False]]),
    "bytes that are no UTF-8": ("string", b'{"inputs": ["\xff", "a"]}', [{"b64": "/w=="}, "a"]),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_THE_ORIGINAL)
def test_what_the_original_answers_is_answered_alike(http, name):
    model, body, answer = AS_THE_ORIGINAL[name]
    if isinstance(answer, list):
        data = body if isinstance(body, bytes) else body.encode()
        body = b'{"signature_name": "%s", %s' % (model.encode(), data[1:])
        kind, model, answer = model, "echo", {"outputs": answer}
    response = http.post(f"/v1/models/{model}:predict", content=body)
    found = response.json()
    if model == "echo" and kind == "float32":
        # Written with as many digits as tell one float from the next.
        found["outputs"] = [float(np.float32(number)) for number in found["outputs"]]
    assert (response.status_code, found) == (200, answer)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Inf, -Inf", "Infinity,-Infinity"), ("NaN, -NaN", "NaN,NaN"), ("Infinity, -Infinity", "Infinity,-Infinity"),
        ("1.79769e+308, -1.79769e+308", "Infinity,-Infinity"), ("3.5e38, 0.5", "Infinity,0.5"),
    ],
)  # fmt: skip
def test_numbers_beyond_a_float_are_infinities(http, given, words):
    body = f'{{"signature_name": "float32", "inputs": [{given}]}}'
    response = http.post("/v1/models/echo:predict", content=body)
    assert (response.status_code, response.text) == (200, f'{{\n    "outputs": [{words}]\n}}')


@pytest.mark.parametrize(
    ("dtype", "number"),
    [
        ("int32", "2147483648"), ("int32", "1.0"), ("uint8", "2147483648"), ("int64", "9223372036854775808"),
        ("uint32", "-1"), ("uint32", "4294967296"), ("uint64", "-1"), ("uint64", "18446744073709551616"),
        ("bool", "1"), ("string", "1"), ("int32", "true"), ("float32", "true"), ("float64", '"1"'),
    ],
)  # fmt: skip
def test_a_number_out_of_its_types_range_is_of_another_type(http, dtype, number):
    for inputs in (f"[{number}]", f"[0, {number}]" if dtype not in ("bool", "string") else f"[{number}]"):
        body = f'{{"signature_name": "{dtype}", "inputs": {inputs}}}'
        status, text = error(http.post("/v1/models/echo:predict", content=body))
        assert status == 400
        assert (
            f"is not of expected type: {dtype.replace('float64', 'double').replace('float32', 'float')}"
            in text
        )


def test_a_row_that_gives_its_input_twice_adds_a_row_as_the_original_does(http):
    body = '{"instances": [{"x": [1, 1], "x": [2, 2]}, {"x": [3, 3]}]}'
    assert http.post("/v1/models/scaled:predict", content=body).json() == {
        "predictions": [[4.0, 4.0], [7.0, 7.0]]
    }


def test_examples_take_large_numbers_and_the_last_of_a_feature(http):
    body = '{"examples": [{"x": [1e300, 0.5, 0.25], "k": "a", "k": "b"}, {"x": [1.5, 0.5, 2.0], "k": "a", "k": "b"}]}'
    rows = http.post("/v1/models/examples:classify", content=body)
    assert rows.text == '{\n    "results": [[["yes",Infinity],["no",-Infinity]],[["yes",6.0],["no",-5.0]]]\n}'


def test_a_browser_that_asks_before_it_posts_may_go_on(http):
    response = http.options("/v1/models/scaled:predict", headers={"Origin": "http://a.b"})
    assert (response.status_code, response.content) == (200, b"")
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert error(http.options("/v1/models/scaled:predict"))[0] == 400


LARGE_BODIES = {
    "floats": ("float32", "[{}]".format(",".join(["0.5"] * 100_000)), [0.5] * 100_000),
    "strings": ("string", "[{}]".format(",".join(['"a,[é\\n"'] * 30_000)), ["a,[é\n"] * 30_000),
    "booleans": ("bool", "[{}]".format(",".join(["[true,false]"] * 20_000)), [[True, False]] * 20_000),
    "base64": ("string", "[{}]".format(",".join(['{"b64": "YWI="}'] * 10_000)), ["ab"] * 10_000),
    "one row": ("float64", "[[{}]]".format(",".join(["1.25"] * 60_000)), [[1.25] * 60_000]),
}


@pytest.mark.parametrize("name", LARGE_BODIES)
def test_large_bodies_and_answers_go_through_threads_unchanged(http, name):
    dtype, values, expected = LARGE_BODIES[name]
    body = f'{{"signature_name": "{dtype}", "instances": {values}, "more": [{{"a": 1}}]}}'
    assert len(body) > THREAD_BYTES
    for encoding in ("identity", "gzip"):
        response = http.post(
            "/v1/models/echo:predict", content=body.encode(), headers={"Accept-Encoding": encoding}
        )
        assert response.status_code == 200
        assert response.json() == {"predictions": expected}


def test_one_wrong_row_in_a_large_body_is_named(http):
    body = '{{"instances": [{}, [1, true]]}}'.format(",".join(["[1, 2]"] * 20_000))
    status, text = error(http.post("/v1/models/scaled:predict", content=body))
    assert (status, text) == (
        400,
        "Failed to process element: 20000 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: true Type: True "
        "is not of expected type: float",
    )
