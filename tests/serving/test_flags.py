"""The command line: known flags, unknown ones, files that flags name, and how the process starts and ends."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from serving import flags
from serving.flags import UsageError
from tests.serving.processes import ROOT

SERVE = "--model_base_path=/models/m"


def parse(*argv):
    return flags.parse([SERVE, *argv])[0]


def test_the_originals_names_and_defaults():
    given = parse()
    assert (given.port, given.rest_api_port, given.model_name, given.host) == (
        8500,
        None,
        "default",
        "127.0.0.1",
    )
    assert given.file_system_poll_wait_seconds == 1
    assert given.max_num_load_retries == 5


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--enable_batching"], True),
        (["--enable_batching=true"], True),
        (["--enable_batching", "false"], False),
        (["--enable_batching=0"], False),
    ],
)
def test_booleans_are_read_as_the_original_reads_them(argv, value):
    assert parse(*argv).enable_batching is value


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--model_bsae_path=/x", "Did you mean --model_base_path?"),
        ("--rest_port=1", "Did you mean --rest_api_port?"),
        ("--enable_batch", "Did you mean --enable_batching?"),
        ("--zzzzzzzz", "See --help"),
        ("stray", "Unknown argument 'stray'"),
        ("--port=abc", "invalid int value: 'abc'"),
        ("--port=70000", "expected 0 (any free port) to 65535"),
        ("--rest_api_port=8500", "--rest_api_port cannot be same as --port"),
        ("--port=-1", "Nothing to listen on"),
        ("--enable_batching=maybe", "expected true or false"),
        ("--platform_config_file=x", "only the platform 'tensorflow'"),
        ("--use_alts_credentials", "use --ssl_config_file"),
        ("--rest_api_max_body_bytes=0", "expected a positive number"),
        ("--request_log_rate=2", "expected 0 to 1"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(argument, text):
    with pytest.raises(UsageError) as caught:
        parse(argument)
    assert text in str(caught.value)


def test_saying_nothing_of_what_to_serve_is_refused():
    with pytest.raises(UsageError, match="--model_base_path=DIR or --model_config_file=FILE"):
        flags.parse([])


def test_flags_without_effect_are_accepted_and_named():
    _, notes = flags.parse([SERVE, "--flush_filesystem_caches=false", "--grpc_max_threads=9"])
    assert [n.split()[0] for n in notes] == ["--flush_filesystem_caches", "--grpc_max_threads"]


def test_every_flag_is_explained():
    text = flags.parser().format_help()
    for name in flags.known():
        if name not in (*flags.WITHOUT_EFFECT, *flags.REFUSED):
            assert f"--{name}" in text


def test_channel_arguments_become_pairs():
    given = flags.channel_arguments("grpc.max_connection_age_ms=2000, grpc.primary_user_agent=x")
    assert given == [("grpc.max_connection_age_ms", 2000), ("grpc.primary_user_agent", "x")]
    with pytest.raises(UsageError, match="expected key=value"):
        flags.channel_arguments("nonsense")


def test_the_monitoring_file_moves_or_removes_the_metrics(tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text('prometheus_config { enable: true path: "/metrics" }')
    assert flags.metrics_path(str(file)) == "/metrics"
    file.write_text("prometheus_config { enable: false }")
    assert flags.metrics_path(str(file)) is None
    file.write_text("prometheus_config { nope: 1 }")
    with pytest.raises(UsageError, match=r"Invalid protobuf file: .*nope"):
        flags.metrics_path(str(file))


def run(*argv):
    return subprocess.run(
        [sys.executable, "-m", "serving.main", *argv], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_the_process_refuses_an_unknown_flag_with_code_2():
    ended = run(SERVE, "--prot=1")
    assert ended.returncode == 2
    assert "Did you mean --port?" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_a_port_in_use_ends_the_process_with_a_clear_line(flag, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--port=-1" if flag == "--rest_api_port" else "--rest_api_port=-1"
        ended = run(f"--model_base_path={tmp_path}", f"{flag}={port}", other)
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert "Cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_config_file_that_is_no_config_ends_the_process_with_a_clear_line(tmp_path):
    file = tmp_path / "models.config"
    file.write_text("model_config_list { config { nam: 'x' } }")
    ended = run(f"--model_config_file={file}", "--port=0")
    assert ended.returncode == 2
    assert f"Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: '{file}'" in ended.stderr
    assert "Traceback" not in ended.stderr
    file.unlink()
    text = f"Failed to start server. Error: NOT_FOUND: {file}; No such file or directory"
    assert text in run(f"--model_config_file={file}", "--port=0").stderr
