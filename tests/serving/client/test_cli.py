"""`viaduct predict` and `viaduct status` against a running server."""

import json
import re

import pytest

from serving.client.cli import main_predict, main_status


@pytest.fixture(params=["grpc", "rest"])
def address(request, model_server):
    return model_server.grpc_address if request.param == "grpc" else model_server.url


def test_predict_prints_the_outputs_by_name(address, capsys):
    given = ["scaled", "--address", address, "--inputs", '{"x": [[1, 2]]}']
    assert main_predict([*given, "--version", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"y": [[3.0, 5.0]]}
    assert main_predict(given) == 0
    assert capsys.readouterr().out.splitlines() == ["y  float32 [1, 2]", "  [[4. 7.]]"]


def test_predict_takes_a_bare_array_a_file_and_rows(address, capsys, tmp_path):
    inputs = tmp_path / "inputs.json"
    inputs.write_text("[[1, 2]]")
    assert main_predict(["--address", address, "--inputs", f"@{inputs}", "--json"], model="scaled") == 0
    assert json.loads(capsys.readouterr().out) == {"y": [[4.0, 7.0]]}
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"x": [1.0, 2.0, 3.0]}\n\n{"x": [0.0, 0.0, 0.5], "k": "b"}\n')
    given = ["examples", "--address", address, "--rows", str(rows), "--signature", "regress", "--json"]
    assert main_predict(given) == 0
    assert json.loads(capsys.readouterr().out) == {"outputs": [[6.0], [0.5]]}


def test_text_that_is_no_utf8_is_printed_as_base64(model_server, capsys):
    given = ["pair", "--address", model_server.grpc_address, "--signature", "text", "--output", "name"]
    assert main_predict([*given, "--inputs", '["ä", "b"]', "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": ["ä", "b"]}


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nope", "--inputs", "[1]"], 1, r"viaduct predict: NOT_FOUND: Servable not found"),
        (["scaled", "--inputs", '{"x": [[1], [2, 3]]}'], 1, "INVALID_ARGUMENT: Input 'x' cannot be made"),
        (["scaled", "--inputs", "{"], 2, "--inputs is no JSON"),
        (["scaled", "--inputs", "@/does/not/exist"], 2, "/does/not/exist"),
    ],
)
def test_predict_explains_what_went_wrong(model_server, capsys, arguments, status, says):
    assert main_predict([*arguments, "--address", model_server.grpc_address]) == status
    shown = capsys.readouterr()
    assert re.search(says, shown.err)
    assert shown.out == ""


def test_rows_that_are_no_objects_are_named_by_line(model_server, capsys, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"x": 1}\n[1]\n')
    assert main_predict(["examples", "--rows", str(rows), "--address", model_server.grpc_address]) == 2
    assert "line 2: expected an object of features" in capsys.readouterr().err


def test_status_shows_versions_and_signatures(address, capsys):
    assert main_status(["scaled", "--address", address, "--wait", "20"]) == 0
    shown = capsys.readouterr().out
    assert [int(v) for v in re.findall(r"version (\d+) +AVAILABLE", shown)] == [3, 2, 1]
    assert "serving_default (predict): x float32[?, 2] -> y float32[?, 2]" in shown
    assert main_status(["scaled", "--address", address, "--json", "--version", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [v["state"] for v in found["versions"]] == ["AVAILABLE"]
    assert found["signatures"]["serving_default"]["inputs"] == {"x": {"dtype": "float32", "shape": [None, 2]}}


def test_status_of_an_unknown_model_or_server_fails(model_server, capsys):
    assert main_status(["nope", "--address", model_server.grpc_address]) == 1
    assert "NOT_FOUND: Could not find any versions of model nope" in capsys.readouterr().err
    assert main_status(["m", "--address", "127.0.0.1:9", "--timeout", "1"]) == 1
    assert "Cannot reach a model server" in capsys.readouterr().err


def test_status_calls_its_server_as_predict_does_and_as_it_did_before(model_server, capsys):
    for flag in ("--server", "--address"):
        assert main_status(["scaled", flag, model_server.grpc_address]) == 0
        assert "AVAILABLE" in capsys.readouterr().out
