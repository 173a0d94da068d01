"""Writes an artifact with backslashes to METADATA_URL and prints, as JSON, what comes back: backslashes.py URL TEXT."""

import json
import sys

from ml_metadata.proto import metadata_store_pb2

from pipelines.base import metadata

store = metadata.store(sys.argv[1])
kind = metadata_store_pb2.ArtifactType(name="Probe", properties={"text": metadata_store_pb2.STRING})
artifact = metadata_store_pb2.Artifact(type_id=store.put_artifact_type(kind), uri=sys.argv[2])
artifact.properties["text"].string_value = sys.argv[2]
(number,) = store.put_artifacts([artifact])
(read,) = store.get_artifacts_by_id([number])
print(json.dumps([read.uri, read.properties["text"].string_value]))
