"""The services' descriptors are the original ones. That its own stubs reach our server is in test_grpc_api."""

import ast
import importlib.util
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from serving.wire import protos, services

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"


def original(service_module: str) -> list[bytes]:
    """The literals of a generated module that cannot be imported; one of them is its serialized file."""
    [package] = importlib.util.find_spec("tensorflow_serving").submodule_search_locations
    tree = ast.parse(Path(package, "apis", f"{service_module}.py").read_text())
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [text.encode("latin1") for text in texts if text.isascii() or max(map(ord, text)) < 256]


@pytest.mark.parametrize(
    ("service", "module"), [(PREDICTION, "prediction_service_pb2"), (MODEL, "model_service_pb2")]
)
def test_a_services_file_equals_the_original_to_the_byte(service, module):
    services.describe()
    file = descriptor_pool.Default().FindServiceByName(service).file
    assert file.serialized_pb in original(module)


def test_describing_the_services_again_changes_nothing():
    services.describe()
    first = descriptor_pool.Default().FindServiceByName(MODEL)
    services.describe()
    assert descriptor_pool.Default().FindServiceByName(MODEL).file.serialized_pb == first.file.serialized_pb


def test_every_rpc_has_the_path_and_the_messages_that_its_descriptor_names():
    services.describe()
    found = {}
    for service in (PREDICTION, MODEL):
        described = descriptor_pool.Default().FindServiceByName(service)
        for method in described.methods:
            found[method.name] = (f"/{service}/{method.name}", method.input_type, method.output_type)
    ours = {name: (path, *(c.DESCRIPTOR for c in both)) for name, (path, *both) in protos.METHODS.items()}
    assert found == ours
