"""What a TFMD schema says about columns: their kinds, and which must be there. It validates nothing else;
ranges, vocabularies and presence are ExampleValidator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.arrow_example_gen.reading.kinds import Kind

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2


def load(path: str | None, artifacts: Sequence[Any] | None) -> schema_pb2.Schema | None:
    """The schema of the Schema artifact, else of the file, else None. Raises ValueError for a bad file."""
    import os

    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.dsl.io import fileio

    if artifacts:
        path = os.path.join(artifacts[0].uri, "schema.pbtxt")
    if not path:
        return None
    if not fileio.exists(path):
        raise ValueError(
            f"schema_path={path!r} does not exist. Expected a schema.pbtxt (a TFMD Schema as text)."
        )
    with fileio.open(path, "r") as file:
        try:
            return text_format.Parse(file.read(), schema_pb2.Schema())
        except text_format.ParseError as error:
            raise ValueError(f"{path}: not a TFMD schema in text form ({error}).") from error


def kinds(schema: schema_pb2.Schema | None) -> dict[str, Kind]:
    """Kinds of the schema's features; features without a type decide nothing."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    if schema is None:
        return {}
    known = {schema_pb2.INT: Kind.INT, schema_pb2.FLOAT: Kind.FLOAT, schema_pb2.BYTES: Kind.BYTES}
    return {feature.name: known[feature.type] for feature in schema.feature if feature.type in known}


def required(schema: schema_pb2.Schema | None) -> list[str]:
    """Features that must be somewhere in the data: presence above zero, not deprecated."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    if schema is None:
        return []
    gone = (schema_pb2.DEPRECATED, schema_pb2.PLANNED, schema_pb2.ALPHA)
    return [
        feature.name
        for feature in schema.feature
        if feature.lifecycle_stage not in gone
        and (feature.presence.min_count > 0 or feature.presence.min_fraction > 0)
    ]
