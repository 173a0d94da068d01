"""`viaduct bench-serving` against a running server."""

import json
import re
import shutil
import threading
import time

import pytest

from serving.bench import cli, wrk
from serving.bench.load import Load, Result, Seen
from serving.bench.payload import http_request, version_of
from serving.client.protocol import parse_address
from tests.serving.processes import ServerProcess


@pytest.fixture(params=["grpc", "rest"])
def address(request, model_server, monkeypatch):
    monkeypatch.setattr(wrk, "installed", lambda: None)
    return model_server.grpc_address if request.param == "grpc" else model_server.url


def test_bench_serving_reports_rate_latency_and_version(address, capsys):
    given = [address, "scaled", "--clients", "3", "--seconds", "0.5", "--warm-up", "0.1"]
    assert cli.main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] > 3
    assert found["errors"] == {}
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["max"]
    if not address.startswith("http"):
        assert list(found["versions"]) == ["3"]
    assert cli.main([*given, "--version", "1", "--rate", "50"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"requests  \d+ in .* s = \d+/s", shown.out)
    assert "errors    none" in shown.out
    assert re.search(r"\d s +\d+/s  p50 .* errors 0", shown.err)


def test_bench_serving_counts_failures_by_code_and_fails(model_server, capsys, tmp_path):
    given = [model_server.grpc_address, "--seconds", "0.3", "--warm-up", "0"]
    payload = tmp_path / "request"
    payload.write_bytes(b"\x0a\x06\x0a\x04nope")
    assert cli.main([*given, "--payload", str(payload)]) == 1
    assert re.search(r"errors    [\d,]+ x NOT_FOUND: Servable not found", capsys.readouterr().out)
    assert cli.main([*given, "examples"]) == 2
    assert "takes text" in capsys.readouterr().err
    assert cli.main(given) == 2
    assert "Which model?" in capsys.readouterr().err


def test_a_load_whose_requests_all_fail_says_why_and_has_no_latency(model_server, capsys, tmp_path):
    payload = tmp_path / "request"
    payload.write_bytes(b"\x0a\x06\x0a\x04nope")
    asked = [
        "--server",
        model_server.grpc_address,
        "--payload",
        str(payload),
        "--seconds",
        "1.2",
        "--warm-up",
        "0",
    ]
    assert cli.main(asked) == 1
    shown = capsys.readouterr()
    assert (
        "latency   not known: every request failed" in shown.out
        and "NOT_FOUND: Servable not found" in shown.out
    )
    assert "no good answer" in shown.err
    assert not re.search(r"\bnan\b", shown.out + shown.err)


@pytest.mark.parametrize(
    ("given", "means"),
    [
        (["m"], ("127.0.0.1:8500", "m")),
        (["card_fraud.sample"], ("127.0.0.1:8500", "card_fraud.sample")),
        (["--server", "h:1", "m"], ("h:1", "m")),
        (["m", "--server", "http://h:1"], ("http://h:1", "m")),
        (["h:1", "m"], ("h:1", "m")),
        (["h:1"], ("h:1", "")),
        ([], ("127.0.0.1:8500", "")),
    ],
)
def test_the_server_is_named_as_for_predict_or_first_as_it_was_before(given, means):
    p = cli.parser()
    assert cli._server_and_model(p, p.parse_intermixed_args(given)) == means


@pytest.mark.parametrize("given", [["h:1", "m", "--server", "h:2"], ["one", "two"]])
def test_two_servers_or_models_are_refused(given, capsys):
    p = cli.parser()
    with pytest.raises(SystemExit):
        cli._server_and_model(p, p.parse_intermixed_args(given))
    assert "expected one model and one --server" in capsys.readouterr().err


def test_bench_serving_takes_a_bare_model_at_the_default_address(model_server, monkeypatch, capsys):
    monkeypatch.setattr(cli, "DEFAULT_ADDRESS", model_server.grpc_address)
    assert cli.main(["scaled", "--seconds", "0.2", "--warm-up", "0"]) == 0
    assert "errors    none" in capsys.readouterr().out


@pytest.mark.parametrize("client", ["own", "auto"])
def test_a_server_that_is_not_there_is_counted_over_rest_too(capsys, tmp_path, client):
    payload = tmp_path / "request"
    payload.write_bytes(b"GET / HTTP/1.1\r\n\r\n")
    given = ["http://127.0.0.1:9", "--payload", str(payload), "--seconds", "0.2", "--warm-up", "0"]
    assert cli.main([*given, "--client", client]) == 1
    assert "NO CONNECTION" in capsys.readouterr().out


needs_wrk = pytest.mark.skipif(not wrk.installed(), reason="wrk is not installed: make system-packages")


@needs_wrk
def test_wrk_asks_over_rest_and_its_numbers_come_in_the_same_report(model_server, capsys):
    given = [
        model_server.url,
        "scaled",
        "--clients",
        "3",
        "--seconds",
        "1",
        "--warm-up",
        "0.1",
        "--client",
        "wrk",
    ]
    assert cli.main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == {}
    assert found["requests"] > 10
    assert found["rate"] == pytest.approx(found["requests"] / found["seconds"])
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["max"] < 5000
    assert 0 < found["generator_cpu_us"] < 1000


@needs_wrk
def test_wrk_tells_what_fails(model_server, capsys, tmp_path):
    payload = tmp_path / "request"
    payload.write_bytes(
        http_request(parse_address(model_server.url), "/v1/models/nope:predict", b'{"instances": [1]}')
    )
    given = [model_server.url, "--payload", str(payload), "--seconds", "1", "--warm-up", "0"]
    assert cli.main([*given, "--client", "wrk"]) == 1
    assert re.search(r"errors    [\d,]+ x HTTP 404: .*Servable not found", capsys.readouterr().out, re.DOTALL)


def test_without_wrk_our_own_client_asks_and_says_so(model_server, monkeypatch, capsys):
    monkeypatch.setattr(wrk, "installed", lambda: None)
    given = [model_server.url, "scaled", "--seconds", "0.2", "--warm-up", "0"]
    assert cli.main(given) == 0
    assert "wrk is not installed (Debian: apt-get install wrk" in capsys.readouterr().err
    assert cli.main([*given, "--client", "wrk"]) == 2
    assert "apt-get install wrk" in capsys.readouterr().err
    assert cli.main([*given, "--client", "wrk", "--rate", "10"]) == 2
    assert "--client wrk is for http:// without --rate" in capsys.readouterr().err


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
        assert cli.main([server.grpc_address, "scaled", "--seconds", "8", "--clients", "4"]) == 0
        pusher.join()
    shown = capsys.readouterr().out
    assert "version   1 from the start" in shown
    assert re.search(r"version   2 from \d+\.\d+ s", shown)
    assert "errors    none" in shown


def test_the_report_names_the_moment_of_a_switch():
    result = Result(seconds=2.0, requests=3, versions={1: Seen(0.0, 0.9, 2), 2: Seen(1.25, 2.0, 1)})
    result.latencies.extend([0.001, 0.002, 0.003])
    shown = cli.report(Load(parse_address("h:1"), b"xy"), result)
    assert "version   1 from the start to 0.90 s (2 answers)" in shown
    assert "version   2 from 1.25 s to 2.00 s (1 answers)" in shown
    assert "p50 2.00 ms" in shown


def test_an_answer_without_a_version_counts_as_version_zero():
    assert version_of(b"") == 0
    assert version_of(b"\xff\xff") == 0
