"""What the flags say, as the option objects of the rooms: loading, models, gRPC, REST, logs, the first configuration.

Pure translation of parsed flags (`serving.flags`) and of the files that they name. Nothing is opened or started
here, and no default is decided: those are the flags'. A file that cannot be used raises UsageError.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from serving import flags as flag_module
from serving.core.policy import availability_preserving, resource_preserving
from serving.engine.saved_model import EngineOptions
from serving.errors import ServingError
from serving.execution.batching_parameters import BatchingParameters
from serving.flags import UsageError
from serving.grpc_api import GrpcOptions
from serving.models import model_config
from serving.models.loader import LoadOptions
from serving.models.models import ModelsOptions
from serving.rest.app import RestOptions
from serving.telemetry.prediction_logs import LogOptions


def load_options(flags: argparse.Namespace) -> LoadOptions:
    """How versions are loaded, batched and warmed up."""
    both = flags.tensorflow_session_parallelism
    engine = EngineOptions(
        tags=tuple(t for t in flags.saved_model_tags.split(",") if t),
        intra_op_threads=flags.tensorflow_intra_op_parallelism or both,
        inter_op_threads=flags.tensorflow_inter_op_parallelism or both,
        session_config=_session_config(flags),
        op_libraries=tuple(p for p in flags.custom_op_libraries.split(",") if p),
        strict_shapes=flags.strict_shapes,
    )
    return LoadOptions(
        engine=engine,
        batching=_batching(flags),
        per_model_batching=flags.enable_per_model_batching_parameters,
        warmup=flags.enable_model_warmup,
        warmup_iterations=max(1, flags.num_request_iterations_for_warmup),
    )


def _batching(flags: argparse.Namespace) -> BatchingParameters | None:
    if not flags.enable_batching:
        return None
    if not flags.batching_parameters_file:
        return BatchingParameters.adaptive()
    try:
        return BatchingParameters.from_file(flags.batching_parameters_file)
    except (ValueError, OSError, ServingError) as error:
        raise UsageError(str(error)) from None


def _session_config(flags: argparse.Namespace) -> bytes:
    """A serialized ConfigProto of the flags; empty where they say nothing, so that TensorFlow is not needed."""
    if not flags.tensorflow_session_config_file and not flags.per_process_gpu_memory_fraction:
        return b""
    from tensorflow.core.protobuf import config_pb2

    config = config_pb2.ConfigProto()
    if flags.tensorflow_session_config_file:
        try:
            model_config.parse_text(flags.tensorflow_session_config_file, config)
        except ServingError as error:
            raise UsageError(error.message) from None
    if flags.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    data: bytes = config.SerializeToString()
    return data


def first_config(flags: argparse.Namespace) -> Any:
    """The ModelServerConfig to begin with: that of the file, or one model."""
    if not flags.model_config_file:
        return model_config.single(flags.model_name, flags.model_base_path)
    try:
        return model_config.read(flags.model_config_file)
    except ServingError as error:
        raise UsageError(f"Failed to start server. Error: {error.code}: {error.message}") from None


def models_options(flags: argparse.Namespace, on_config: Callable[[Any], None]) -> ModelsOptions:
    """How folders are polled and versions take turns. `on_config` hears each configuration that is applied."""
    return ModelsOptions(
        file_system_poll_wait_seconds=flags.file_system_poll_wait_seconds,
        max_num_load_retries=max(0, flags.max_num_load_retries),
        load_retry_interval_s=max(0, flags.load_retry_interval_micros) / 1e6,
        num_load_threads=flags.num_load_threads,
        transition=resource_preserving if flags.resource_preserving else availability_preserving,
        allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
        on_config=on_config,
    )


def log_options(flags: argparse.Namespace) -> LogOptions:
    """Which requests of all models are logged, and where."""
    return LogOptions(
        flags.request_log_dir or None,
        flags.request_log_rate,
        flags.request_log_max_bytes,
        flags.request_log_max_age_seconds,
    )


def grpc_options(flags: argparse.Namespace, *, shared_port: bool = False) -> GrpcOptions:
    """Message sizes, TLS and services of the gRPC server. `shared_port`: other processes may listen there too."""
    size = flags.grpc_max_message_bytes
    limits = [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]
    return GrpcOptions(
        channel_arguments=[*limits, *flag_module.channel_arguments(flags.grpc_channel_arguments)],
        shared_port=shared_port,
        credentials=_credentials(flags.ssl_config_file),
        health=flags.enable_grpc_healthcheck_service,
        reflection=flags.enable_grpc_reflection,
        gzip=flags.grpc_response_gzip,
    )


def _credentials(path: str) -> grpc.ServerCredentials | None:
    if not path:
        return None
    tls = flag_module.read_tls(path)
    ca = tls.custom_ca.encode() or None
    if tls.client_verify and ca is None:
        raise UsageError(f"{path!r} sets client_verify but no custom_ca to verify clients with")
    return grpc.ssl_server_credentials(
        [(tls.server_key.encode(), tls.server_cert.encode())], ca, require_client_auth=tls.client_verify
    )


def rest_options(flags: argparse.Namespace) -> RestOptions:
    """Limits and paths of the REST API."""
    return RestOptions(
        max_body_bytes=flags.rest_api_max_body_bytes,
        timeout_s=flags.rest_api_timeout_in_ms / 1000,
        idle_s=flags.rest_api_idle_seconds,
        cors=flags.rest_api_enable_cors_support,
        metrics_path=flag_module.metrics_path(flags.monitoring_config_file),
    )


def rest_tls(flags: argparse.Namespace) -> tuple[str, str, str | None, bool] | None:
    """Key file, certificate file, CA file for clients, whether clients must show a certificate; None without TLS."""
    if not flags.rest_api_ssl_config_file:
        return None
    tls = flag_module.read_tls(flags.rest_api_ssl_config_file)
    for path in filter(None, (tls.server_key, tls.server_cert, tls.custom_ca)):
        if not Path(path).is_file():
            raise UsageError(
                f"{flags.rest_api_ssl_config_file!r} names {path[:60]!r}, which is no file; REST takes "
                "the paths of PEM files"
            )
    return tls.server_key, tls.server_cert, tls.custom_ca or None, tls.client_verify
