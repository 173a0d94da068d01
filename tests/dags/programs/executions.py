"""Prints [[component, state], ...] of a run's executions, oldest first: executions.py METADATA_URL RUN_ID."""

import json
import sys

from ml_metadata.proto import metadata_store_pb2

from pipelines.base import metadata

store = metadata.store(sys.argv[1])
context = store.get_context_by_type_and_name("pipeline_run", sys.argv[2])
types = {kind.id: kind.name.rpartition(".")[2] for kind in store.get_execution_types()}
states = metadata_store_pb2.Execution.State
found = sorted(store.get_executions_by_context(context.id), key=lambda execution: execution.id)
print(json.dumps([[types[e.type_id], states.Name(e.last_known_state)] for e in found]))
