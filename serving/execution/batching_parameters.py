"""The settings of batching: the original's batching_parameters_file, read without its generated module.

The file is protobuf text whose numbers are wrapped (`max_batch_size { value: 128 }`); the message is
described here to protobuf itself, so comments, lists and mistakes are handled as elsewhere. What runs by
these settings is in `serving.execution.batcher`.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

# key of the file -> kind; the wrapped ones are written `key { value: x }`. Names and meaning:
# tensorflow_serving/servables/tensorflow/session_bundle_config.proto.
_KEYS = {
    "max_batch_size": "Int64Value",
    "batch_timeout_micros": "Int64Value",
    "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value",
    "thread_pool_name": "StringValue",
    "allowed_batch_sizes": "repeated int64",
    "pad_variable_length_inputs": "bool",
    "enable_large_batch_splitting": "BoolValue",
    "max_execution_batch_size": "Int64Value",
}


@dataclass(frozen=True)
class BatchingParameters:
    """Defaults are the original's (those of its SharedBatchScheduler).

    max_batch_size: rows in one run of the model
    batch_timeout_micros: how long the first request of a batch may wait for company
    max_enqueued_batches: batches that may wait; one more is refused with RESOURCE_EXHAUSTED
    num_batch_threads: batches that may run at once
    allowed_batch_sizes: a batch is filled up to the next of these; increasing, the last is max_batch_size
    pad_variable_length_inputs: requests of unlike inner sizes share a batch, filled up with their first value
    enable_large_batch_splitting: a request larger than a batch is run in slices instead of being refused
    max_execution_batch_size: the size of those slices; 0 is max_batch_size
    run_idle_inline: a request that meets no other runs at once on its own thread, and one larger than
        max_batch_size runs alone (the adaptive mode; not a key of the file)
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    run_idle_inline: bool = False

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive; was {getattr(self, name)!r}")
        for name in ("batch_timeout_micros", "max_execution_batch_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be non-negative; was {getattr(self, name)!r}")
        if self.max_execution_batch_size > self.max_batch_size:
            raise ValueError(
                f"max_execution_batch_size is {self.max_execution_batch_size}, more than max_batch_size "
                f"({self.max_batch_size})"
            )
        sizes = self.allowed_batch_sizes
        if any(a >= b for a, b in pairwise(sizes)) or (sizes and sizes[0] < 1):
            raise ValueError(f"allowed_batch_sizes {list(sizes)} must be in increasing order and positive")
        if sizes and sizes[-1] != self.slice_size:
            raise ValueError(
                f"Last entry in allowed_batch_sizes must match max_batch_size; last entry was {sizes[-1]}; "
                f"expected {self.slice_size}"
            )

    @property
    def slice_size(self) -> int:
        """Rows that one run of the model gets at most."""
        return (self.enable_large_batch_splitting and self.max_execution_batch_size) or self.max_batch_size

    @classmethod
    def adaptive(cls) -> BatchingParameters:
        """No timer: a lone request runs at once on its own thread, and what arrives while the model runs is
        the next batch. One lane, so that batches grow with the load; more lanes would make them smaller."""
        return cls(max_batch_size=256, max_enqueued_batches=64, num_batch_threads=1, run_idle_inline=True)

    @classmethod
    def from_file(cls, path: str | Path) -> BatchingParameters:
        """Reads a batching_parameters_file. Raises ValueError that names the file and the mistake."""
        from google.protobuf import text_format

        message = _message_class()()
        try:
            text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            raise ValueError(f"batching_parameters_file {str(path)!r}: {error}{_hint(str(error))}") from error
        given: dict[str, Any] = {}
        for descriptor, value in message.ListFields():
            kind = _KEYS[descriptor.name]
            if kind == "repeated int64":
                given[descriptor.name] = tuple(value)
            else:
                given[descriptor.name] = value if kind == "bool" else value.value
        try:
            return cls(**given)
        except ValueError as error:
            raise ValueError(f"batching_parameters_file {str(path)!r}: {error}") from error


def _hint(error: str) -> str:
    unknown = error.partition('no field named "')[2].partition('"')[0]
    if not unknown:
        return ""
    close = difflib.get_close_matches(unknown, _KEYS, n=1)
    return (f" Did you mean {close[0]!r}?" if close else "") + f" Known: {', '.join(_KEYS)}."


@lru_cache(maxsize=1)
def _message_class() -> Any:
    """A message class with the file's keys, in a descriptor pool of its own so that it clashes with none."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="viaduct/batching_parameters.proto",
        syntax="proto3",
        package="viaduct",
        dependency=[wrappers.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, (key, kind) in enumerate(_KEYS.items(), start=1):
        field = message.field.add(name=key, number=number, label=kinds.LABEL_OPTIONAL)
        if kind == "repeated int64":
            field.label, field.type = kinds.LABEL_REPEATED, kinds.TYPE_INT64
        elif kind == "bool":
            field.type = kinds.TYPE_BOOL
        else:
            field.type, field.type_name = kinds.TYPE_MESSAGE, f".google.protobuf.{kind}"
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("viaduct.BatchingParameters")
    return message_factory.GetMessageClass(descriptor)


assert set(_KEYS) <= {field.name for field in fields(BatchingParameters)}
