"""Flags as option objects: what each room is told, and files that cannot be used named before anything starts."""

from __future__ import annotations

import pytest

from serving import flags, options
from serving.core.policy import availability_preserving, resource_preserving
from serving.flags import UsageError
from serving.server import Server


def parsed(*argv):
    return flags.parse(["--model_base_path=/models/m", *argv])[0]


def test_without_flags_nothing_is_batched_and_tensorflow_decides():
    given = options.load_options(parsed())
    assert given.batching is None
    assert (given.engine.tags, given.engine.session_config, given.warmup) == (("serve",), b"", True)
    assert (given.engine.intra_op_threads, given.engine.inter_op_threads) == (0, 0)


def test_one_parallelism_counts_for_both_kinds_where_they_say_nothing():
    both = ["--tensorflow_session_parallelism=3", "--tensorflow_inter_op_parallelism=2"]
    engine = options.load_options(parsed(*both)).engine
    assert (engine.intra_op_threads, engine.inter_op_threads) == (3, 2)


def test_batching_is_adaptive_or_what_its_file_says(tmp_path):
    assert options.load_options(parsed("--enable_batching")).batching.run_idle_inline
    file = tmp_path / "batching.txt"
    file.write_text("max_batch_size { value: 7 }")
    given = parsed("--enable_batching", f"--batching_parameters_file={file}")
    assert options.load_options(given).batching.max_batch_size == 7
    assert options.load_options(parsed(f"--batching_parameters_file={file}")).batching is None


def test_the_session_file_and_the_share_of_a_gpu_make_one_config(tmp_path):
    from tensorflow.core.protobuf import config_pb2

    file = tmp_path / "session.txt"
    file.write_text("allow_soft_placement: true")
    given = parsed(f"--tensorflow_session_config_file={file}", "--per_process_gpu_memory_fraction=0.5")
    config = config_pb2.ConfigProto.FromString(options.load_options(given).engine.session_config)
    assert (config.allow_soft_placement, config.gpu_options.per_process_gpu_memory_fraction) == (True, 0.5)


def test_models_are_told_how_to_load_and_whom_to_tell():
    heard = []
    given = options.models_options(parsed("--max_num_load_retries=-3"), heard.append)
    assert (given.max_num_load_retries, given.load_retry_interval_s) == (0, 60)
    assert given.transition is availability_preserving
    given.on_config("new")
    assert heard == ["new"]
    preserving = options.models_options(parsed("--resource_preserving"), heard.append)
    assert preserving.transition is resource_preserving


def test_messages_are_as_large_as_the_flag_says_whatever_the_channel_arguments():
    given = parsed("--grpc_max_message_bytes=10", "--grpc_channel_arguments=a=1")
    arguments = options.grpc_options(given).channel_arguments
    assert arguments == [
        ("grpc.max_receive_message_length", 10), ("grpc.max_send_message_length", 10), ("a", 1)
    ]  # fmt: skip


def test_rest_limits_are_in_seconds_and_bytes():
    given = options.rest_options(parsed("--rest_api_timeout_in_ms=1500", "--rest_api_max_body_bytes=10"))
    assert (given.timeout_s, given.max_body_bytes, given.cors) == (1.5, 10, False)


@pytest.mark.parametrize(
    "flag",
    [
        "--tensorflow_session_config_file",
        "--model_config_file",
        "--batching_parameters_file",
        "--ssl_config_file",
    ],
)
@pytest.mark.parametrize(
    "content", [None, b"no { such thing", b"\xff\xfe"], ids=["none", "another", "no text"]
)
def test_a_file_that_cannot_be_used_is_the_users_to_mend(tmp_path, flag, content):
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=str(file)):
        Server(parsed("--enable_batching", f"{flag}={file}"))


def test_rest_tls_names_the_file_that_is_not_there(tmp_path):
    file = tmp_path / "ssl.txt"
    file.write_text(f'server_key: "{file}" server_cert: "/nowhere/cert.pem"')
    with pytest.raises(UsageError, match=r"names '/nowhere/cert.pem', which is no file"):
        options.rest_tls(parsed(f"--rest_api_ssl_config_file={file}"))
    assert options.rest_tls(parsed()) is None


def test_clients_cannot_be_verified_without_an_authority(tmp_path):
    file = tmp_path / "ssl.txt"
    file.write_text('server_key: "k" server_cert: "c" client_verify: true')
    with pytest.raises(UsageError, match="client_verify but no custom_ca"):
        options.grpc_options(parsed(f"--ssl_config_file={file}"))
