"""Message classes of TFMA and TensorFlow without importing either package.

Their generated modules sit below packages whose __init__ imports all of TensorFlow (seconds, hundreds of MB).
Each generated module holds its descriptor as one bytes literal; here those literals are read with `ast` and put
into a pool of our own, which leaves the process's own pool alone, so that a test may import the real packages
beside this module. Statistics, schema and anomalies come from tensorflow_metadata, which is light as it is.
"""

from __future__ import annotations

import ast
import functools
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

# In the order of their imports: a file may only name files before it.
FILES = (
    "tensorflow_model_analysis/proto/config_pb2.py",
    "tensorflow_model_analysis/proto/metrics_for_slice_pb2.py",
    "tensorflow_model_analysis/proto/validation_result_pb2.py",
    "tensorflow/core/example/feature_pb2.py",
    "tensorflow/core/example/example_pb2.py",
)


@functools.cache
def message(name: str) -> Any:
    """The message class called `name`, e.g. 'tensorflow.Example'. Raises KeyError for an unknown one."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@functools.cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    for file in FILES:
        for literal in _literals(_find(file)):
            pool.AddSerializedFile(literal)
    return pool


def _find(file: str) -> Path:
    package, _, rest = file.partition("/")
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"{package} is not installed; the dashboards read its files. Install tfx-viaduct[pipelines]."
        )
    return Path(next(iter(spec.submodule_search_locations))) / rest


def _literals(file: Path) -> list[bytes]:
    """The bytes given to AddSerializedFile in a generated module."""
    literals = [
        bytes(node.args[0].value)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "AddSerializedFile"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, bytes)
    ]
    if not literals:
        raise ImportError(f"{file} holds no descriptor; is its version one that tfx-viaduct is made for?")
    return literals
