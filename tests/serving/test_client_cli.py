"""`viaduct predict`, `viaduct status` and `viaduct bench-serving` against a running server."""

import json
import re
import shutil
import threading
import time

import pytest

from serving import bench
from serving.bench_load import Load, Result, Seen
from serving.bench_payload import version_of
from serving.client_cli import main_predict, main_status
from serving.client_protocol import parse_address
from tests.serving.processes import ServerProcess


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


def test_bench_serving_reports_rate_latency_and_version(address, capsys):
    given = [address, "scaled", "--clients", "3", "--seconds", "0.5", "--warm-up", "0.1"]
    assert bench.main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] > 3
    assert found["errors"] == {}
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["max"]
    if not address.startswith("http"):
        assert list(found["versions"]) == ["3"]
    assert bench.main([*given, "--version", "1", "--rate", "50"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"requests  \d+ in .* s = \d+/s", shown.out)
    assert "errors    none" in shown.out
    assert re.search(r"\d s +\d+/s  p50 .* errors 0", shown.err)


def test_bench_serving_counts_failures_by_code_and_fails(model_server, capsys, tmp_path):
    given = [model_server.grpc_address, "--seconds", "0.3", "--warm-up", "0"]
    payload = tmp_path / "request"
    payload.write_bytes(b"\x0a\x06\x0a\x04nope")
    assert bench.main([*given, "--payload", str(payload)]) == 1
    assert re.search(r"errors    [\d,]+ x NOT_FOUND: Servable not found", capsys.readouterr().out)
    assert bench.main([*given, "examples"]) == 2
    assert "takes text" in capsys.readouterr().err
    assert bench.main(given) == 2
    assert "Which model?" in capsys.readouterr().err


def test_bench_serving_takes_a_bare_model_at_the_default_address(model_server, monkeypatch, capsys):
    monkeypatch.setattr(bench, "DEFAULT_ADDRESS", model_server.grpc_address)
    assert bench.main(["scaled", "--seconds", "0.2", "--warm-up", "0"]) == 0
    assert "errors    none" in capsys.readouterr().out


def test_a_server_that_is_not_there_is_counted_over_rest_too(capsys, tmp_path):
    payload = tmp_path / "request"
    payload.write_bytes(b"GET / HTTP/1.1\r\n\r\n")
    given = ["http://127.0.0.1:9", "--payload", str(payload), "--seconds", "0.2", "--warm-up", "0"]
    assert bench.main(given) == 1
    assert "NO CONNECTION" in capsys.readouterr().out


@pytest.mark.slow
def test_a_push_during_the_load_shows_as_a_switch_without_errors(models_root, tmp_path, capsys):
    base = tmp_path / "scaled"
    shutil.copytree(models_root / "scaled" / "1", base / "1")
    with ServerProcess("--model_name=scaled", f"--model_base_path={base}") as server:

        def push():
            time.sleep(1.0)
            shutil.copytree(models_root / "scaled" / "2", tmp_path / "aside")
            (tmp_path / "aside").rename(base / "2")

        pusher = threading.Thread(target=push)
        pusher.start()
        assert bench.main([server.grpc_address, "scaled", "--seconds", "8", "--clients", "4"]) == 0
        pusher.join()
    shown = capsys.readouterr().out
    assert "version   1 from the start" in shown
    assert re.search(r"version   2 from \d+\.\d+ s", shown)
    assert "errors    none" in shown


def test_the_report_names_the_moment_of_a_switch():
    result = Result(seconds=2.0, requests=3, versions={1: Seen(0.0, 0.9, 2), 2: Seen(1.25, 2.0, 1)})
    result.latencies.extend([0.001, 0.002, 0.003])
    shown = bench.report(Load(parse_address("h:1"), b"xy"), result)
    assert "version   1 from the start to 0.90 s (2 answers)" in shown
    assert "version   2 from 1.25 s to 2.00 s (1 answers)" in shown
    assert "p50 2.00 ms" in shown


def test_an_answer_without_a_version_counts_as_version_zero():
    assert version_of(b"") == 0
    assert version_of(b"\xff\xff") == 0
