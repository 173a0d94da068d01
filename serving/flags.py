"""The command line: tensorflow_model_server's flag names, a few of our own, and files that flags name.

An unknown flag is refused with the nearest known name. Flags of the original that have no meaning here are
accepted and reported; those that would change what is served are refused. It starts nothing.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from serving.errors import ServingError
from serving.models import model_config
from serving.telemetry.metrics import PATH


class UsageError(Exception):
    """A command line that cannot be followed; the text says what to do."""


def _bool(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "t"):
        return True
    if text.lower() in ("false", "0", "no", "f"):
        return False
    raise argparse.ArgumentTypeError(f"got {text!r}; expected true or false")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(message)


# Flags of the original that make no difference here. Value: why.
WITHOUT_EFFECT = {
    "flush_filesystem_caches": "the files of a model are not cached by the server",
    "remove_unused_fields_from_bundle_metagraph": "graphs are not kept as messages",
    "enable_profiler": "there is no profiler service",
    "grpc_max_threads": "gRPC runs on one event loop",
    "num_unload_threads": "each unload has a thread of its own",
    "skip_initialize_tpu": "there is no TPU",
    "xla_cpu_compilation_enabled": "TensorFlow's own defaults are used",
    "xla_gpu_compilation_enabled": "TensorFlow's own defaults are used",
    "num_tflite_pools": "there is no TF Lite runtime",
    "num_tflite_interpreters_per_pool": "there is no TF Lite runtime",
    "thread_pool_factory_config_file": "calls run in the thread that got them",
}
# Flags that would make another server of it. Value: what to do.
REFUSED = {
    "platform_config_file": "only the platform 'tensorflow' is served; leave the flag away",
    "use_alts_credentials": "use --ssl_config_file",
    "prefer_tflite_model": "serve the SavedModel; TF Lite models are for devices",
    "mixed_precision": "export the model in the precision that you want",
}

_ROOMS: list[tuple[str, list[tuple[str, Any, Any, str]]]] = [
    ("What is served", [
        ("model_base_path", str, "", "folder of one model, whose sub-folders are its versions (1, 2, ...)"),
        ("model_name", str, "default", "name of that model"),
        ("model_config_file", str, "", "protobuf text of a ModelServerConfig: many models, version policies and "
         "labels; --model_name and --model_base_path are ignored then"),
        ("model_config_file_poll_wait_seconds", float, 0, "how often that file is read again; 0: never"),
        ("allow_version_labels_for_unavailable_models", bool, False, "let unused labels point to versions that "
         "are not available yet (labels in the first configuration need it)"),
        ("allow_reload_config", bool, True, "answer HandleReloadConfigRequest"),
        ("saved_model_tags", str, "serve", "comma-separated tags of the graph to load"),
        ("custom_op_libraries", str, "", "comma-separated libraries of custom ops to load at the start"),
    ]),
    ("Where it listens", [
        ("host", str, "127.0.0.1", "address for gRPC and REST; 0.0.0.0 to be reachable from elsewhere"),
        ("port", int, 8500, "gRPC port; 0: any free one; -1: no gRPC"),
        ("grpc_socket_path", str, "", "listen for gRPC on this UNIX socket as well"),
        ("rest_api_port", int, None, "REST port; 0: any free one; without it there is no REST API"),
        ("open_ports", str, "loaded", "when the ports open: 'loaded', when every model has loaded or failed, so that "
         "who can connect is answered; 'early', at once: models that load are UNAVAILABLE, /readyz says when"),
        ("ssl_config_file", str, "", "protobuf text of an SSLConfig (server_key, server_cert, custom_ca, "
         "client_verify): TLS, and mutual TLS, for gRPC"),
        ("rest_api_ssl_config_file", str, "", "the same for REST (an SSLConfig with the paths of the files)"),
    ]),
    ("Loading", [
        ("file_system_poll_wait_seconds", float, 1, "how often the folders are looked at; 0: once"),
        ("watch_file_system", bool, True, "also notice changes of local folders at once"),
        ("num_load_threads", int, 0, "how many versions may load at once (0 means 1)"),
        ("max_num_load_retries", int, 5, "attempts after the first one that failed"),
        ("load_retry_interval_micros", int, 60_000_000, "time between them"),
        ("resource_preserving", bool, False, "unload the old version before the new one loads"),
        ("enable_model_warmup", bool, True, "replay assets.extra/tf_serving_warmup_requests"),
        ("num_request_iterations_for_warmup", int, 0, "how often each of them is replayed"),
    ]),
    ("Running", [
        ("workers", int, 1, "server processes on the same ports, for small models on many cores; each loads every "
         "model and has its own batches"),
        ("tensorflow_session_parallelism", int, 0, "threads of a session; 0: TensorFlow decides"),
        ("tensorflow_intra_op_parallelism", int, 0, "threads for one op; 0: TensorFlow decides"),
        ("tensorflow_inter_op_parallelism", int, 0, "ops at a time; 0: TensorFlow decides"),
        ("tensorflow_session_config_file", str, "", "protobuf text of a ConfigProto"),
        ("per_process_gpu_memory_fraction", float, 0.0, "share of a GPU's memory; 0: as needed"),
        ("enforce_session_run_timeout", bool, True, "cancel a model's run when the request's deadline has passed"),
        ("strict_shapes", bool, False, "refuse inputs of other shapes than the signature declares; without it the "
         "graph decides, except for kernels that a wrong rank would end the process in"),
        ("enable_batching", bool, False, "run requests that arrive together as one batch; without a "
         "--batching_parameters_file adaptively, which costs a lone client nothing"),
        ("batching_parameters_file", str, "", "protobuf text of BatchingParameters, the original's keys"),
        ("enable_per_model_batching_parameters", bool, False, "read batching_params.pbtxt of each version; one "
         "without it is not batched"),
        ("enable_signature_method_name_check", bool, False, "refuse signatures of another method's name"),
        ("enable_serialization_as_tensor_content", bool, False, "answer with tensor_content"),
    ]),
    ("REST", [
        ("rest_api_timeout_in_ms", int, 30_000, "time for one call, and for a request to arrive"),
        ("rest_api_idle_seconds", float, 50.0, "how long a kept connection may be silent before it is closed"),
        ("rest_api_num_threads", int, 0, "threads for the slow calls of one model; 0: four per core"),
        ("rest_api_enable_cors_support", bool, False, "send CORS headers"),
        ("rest_api_max_body_bytes", int, 64 * 2**20, "largest request body, after decompression"),
    ]),
    ("gRPC", [
        ("grpc_channel_arguments", str, "", "comma-separated key=value, e.g. grpc.max_connection_age_ms=2000"),
        ("grpc_max_message_bytes", int, 2**31 - 1, "largest message in either direction"),
        ("grpc_response_gzip", bool, False, "compress answers for clients that accept it"),
        ("enable_grpc_healthcheck_service", bool, True, "serve grpc.health.v1.Health"),
        ("enable_grpc_reflection", bool, True, "serve reflection"),
    ]),
    ("Operations", [
        ("monitoring_config_file", str, "", "protobuf text of a MonitoringConfig; without it the metrics are at "
         + PATH),
        ("access_log", str, "", "write a JSON line per request to this file ('-': standard output)"),
        ("request_log_dir", str, "", "folder for sampled PredictionLogs of all models"),
        ("request_log_rate", float, 0.01, "share of the requests that are logged there"),
        ("request_log_max_bytes", int, 64 * 2**20, "size at which a log file is finished"),
        ("request_log_max_age_seconds", float, 3600.0, "age at which a log file is finished"),
        ("drain_seconds", float, 15.0, "how long running requests may take when the server stops"),
        ("version", bool, False, "print versions and exit"),
    ]),
]  # fmt: skip


@lru_cache(maxsize=1)
def parser() -> argparse.ArgumentParser:
    made = _Parser(
        prog="python -m serving.main",
        description="Serves SavedModels over TensorFlow Serving's gRPC and REST APIs.",
        epilog="Booleans take true or false; the name alone means true. Press Ctrl-C or send SIGTERM to stop.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for room, flags in _ROOMS:
        group = made.add_argument_group(room)
        for name, kind, default, text in flags:
            _add(group, name, kind, default, f"{text} (default: {default})" if default else text)
    for name in (*WITHOUT_EFFECT, *REFUSED):
        made.add_argument(f"--{name}", nargs="?", const="true", default=None, help=argparse.SUPPRESS)
    return made


def _add(group: Any, name: str, kind: Any, default: Any, text: str) -> None:
    text = text.replace("%", "%%")
    if kind is bool:
        group.add_argument(
            f"--{name}", type=_bool, nargs="?", const=True, default=default, metavar="BOOL", help=text
        )
    else:
        metavar = {int: "N", float: "X"}.get(kind, "TEXT")
        group.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=text)


def known() -> list[str]:
    listed = [name for _, flags in _ROOMS for name, *_ in flags]
    return ["help", *listed, *WITHOUT_EFFECT, *REFUSED]


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The flags, and what to tell the user about those without effect. Raises UsageError."""
    flags, rest = parser().parse_known_args(list(argv))
    for extra in rest:
        name = extra.split("=")[0].lstrip("-")
        near = difflib.get_close_matches(name, known(), n=1, cutoff=0.5)
        hint = f" Did you mean --{near[0]}?" if near and extra.startswith("-") else ""
        raise UsageError(f"Unknown argument {extra!r}.{hint} See --help for all flags.")
    for name, advice in REFUSED.items():
        if getattr(flags, name) not in (None, "", "false"):
            raise UsageError(f"--{name} is not supported here: {advice}.")
    notes = [
        f"--{name} has no effect here: {why}"
        for name, why in WITHOUT_EFFECT.items()
        if getattr(flags, name) is not None
    ]
    _check(flags)
    return flags, notes


def _check(flags: argparse.Namespace) -> None:
    if flags.version:
        return
    if not flags.model_base_path and not flags.model_config_file:
        raise UsageError("Both server_options.model_base_path and server_options.model_config_file are empty! "
                         "Say what to serve with --model_base_path=DIR or --model_config_file=FILE.")  # fmt: skip
    for name in ("port", "rest_api_port"):
        value = getattr(flags, name)
        if value is not None and not -1 <= value <= 65535:
            raise UsageError(f"--{name} is {value}; expected 0 (any free port) to 65535")
    if flags.rest_api_port not in (None, 0, -1) and flags.rest_api_port == flags.port:
        raise UsageError(
            "--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API."
        )
    if flags.port == -1 and flags.rest_api_port in (None, -1) and not flags.grpc_socket_path:
        raise UsageError("Nothing to listen on: give --port, --rest_api_port or --grpc_socket_path.")
    if flags.workers < 1:
        raise UsageError(f"--workers is {flags.workers}; expected 1 or more processes")
    if flags.workers > 1 and flags.grpc_socket_path:
        raise UsageError(
            "--grpc_socket_path cannot be shared by --workers, as a port can. Use --port, or --workers=1."
        )
    for name in (
        "rest_api_max_body_bytes", "rest_api_timeout_in_ms", "rest_api_idle_seconds", "grpc_max_message_bytes",
    ):  # fmt: skip
        if getattr(flags, name) <= 0:
            raise UsageError(f"--{name} is {getattr(flags, name)}; expected a positive number")
    if flags.open_ports not in ("early", "loaded"):
        raise UsageError(f"--open_ports is {flags.open_ports!r}; expected 'loaded' or 'early'")
    if not 0 <= flags.request_log_rate <= 1:
        raise UsageError(f"--request_log_rate is {flags.request_log_rate}; expected 0 to 1")


def channel_arguments(text: str) -> list[tuple[str, Any]]:
    """`key=value,key=value` as gRPC takes it; numbers become numbers. Raises UsageError."""
    arguments: list[tuple[str, Any]] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, sign, value = part.partition("=")
        if not sign or not key:
            raise UsageError(f"--grpc_channel_arguments has {part!r}; expected key=value")
        arguments.append((key, int(value) if value.lstrip("-").isdigit() else value))
    return arguments


@dataclass(frozen=True)
class Tls:
    """An SSLConfig: PEM texts for gRPC, or paths for REST; the fields are the original's."""

    server_key: str
    server_cert: str
    custom_ca: str
    client_verify: bool


def read_tls(path: str) -> Tls:
    """Raises UsageError."""
    config = _read(path, "SSLConfig")
    if not config.server_key or not config.server_cert:
        raise UsageError(f"{path!r} must set server_key and server_cert")
    return Tls(config.server_key, config.server_cert, config.custom_ca, config.client_verify)


def metrics_path(monitoring_file: str) -> str | None:
    """Where the metrics are: the original's path unless a MonitoringConfig says otherwise; None: nowhere."""
    if not monitoring_file:
        return PATH
    prometheus = _read(monitoring_file, "MonitoringConfig").prometheus_config
    if not prometheus.enable:
        return None
    return prometheus.path or PATH


def _read(path: str, name: str) -> Any:
    try:
        return model_config.parse_text(path, _messages()[name]())
    except ServingError as error:
        raise UsageError(error.message) from None


@lru_cache(maxsize=1)
def _messages() -> dict[str, Any]:
    """SSLConfig and MonitoringConfig, which the Python package of TensorFlow Serving's API lacks."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="viaduct/serving/flags.proto", package="viaduct.flags")
    file.syntax = "proto3"

    def message(name: str, *fields: tuple[str, Any, str]) -> None:
        made = file.message_type.add(name=name)
        for number, (key, kind, of) in enumerate(fields, 1):
            made.field.add(name=key, number=number, type=kind, label=1, type_name=of or None)

    text, flag = field.TYPE_STRING, field.TYPE_BOOL
    message("SSLConfig", ("server_key", text, ""), ("server_cert", text, ""), ("custom_ca", text, ""),
            ("client_verify", flag, ""))  # fmt: skip
    message("PrometheusConfig", ("enable", flag, ""), ("path", text, ""))
    message("MonitoringConfig", ("prometheus_config", field.TYPE_MESSAGE, ".viaduct.flags.PrometheusConfig"))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    described = pool.FindFileByName(file.name).message_types_by_name
    return {name: message_factory.GetMessageClass(d) for name, d in described.items()}
