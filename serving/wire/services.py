"""The descriptors of TensorFlow Serving's two services, which server reflection shows.

Built here, because the generated modules of the package tensorflow-serving-api that hold them
(`prediction_service_pb2`, `model_service_pb2`) are of a kind that protobuf 4 does not import. The files have the names
and, to the byte, the content of the original ones, so it makes no difference who describes them first. Calls need
none of this: `serving.wire.protos.METHODS` and the package's `*_pb2_grpc` stubs go by method paths.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool

from serving.wire.protos import METHODS

_FOLDER = "tensorflow_serving/apis"
# Service -> (its file, its methods in the order of the original file).
_SERVICES = {
    "PredictionService": (
        f"{_FOLDER}/prediction_service.proto",
        ("Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"),
    ),
    "ModelService": (f"{_FOLDER}/model_service.proto", ("GetModelStatus", "HandleReloadConfigRequest")),
}


def _file(service: str) -> Any:
    """The FileDescriptorProto of one service."""
    name, methods = _SERVICES[service]
    file = descriptor_pb2.FileDescriptorProto(name=name, package="tensorflow.serving", syntax="proto3")
    file.options.cc_enable_arenas = True
    described = file.service.add(name=service)
    for method in methods:
        _, request, response = METHODS[method]
        described.method.add(
            name=method,
            input_type=f".{request.DESCRIPTOR.full_name}",
            output_type=f".{response.DESCRIPTOR.full_name}",
        )
    file.dependency.extend(sorted({METHODS[method][1].DESCRIPTOR.file.name for method in methods}))
    return file


def describe() -> None:
    """Adds both services to protobuf's default pool, where they are found by name. Doing it again changes nothing."""
    pool = descriptor_pool.Default()
    for service in _SERVICES:
        pool.AddSerializedFile(_file(service).SerializeToString())
