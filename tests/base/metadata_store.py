"""A metadata store filled as TFX fills it: executions of a node within a run of a project, and their artifacts."""

from __future__ import annotations

import sqlite3

from pipelines.base import metadata
from pipelines.base.paths import Paths, sqlite_url

DAY_MS = 24 * 3600 * 1000


class Filled:
    """The store of `paths.home`, or of `url`. Ids are handed out in the order of the calls."""

    def __init__(self, paths: Paths, url: str = "") -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.pb, self.paths = pb, paths
        self.file = paths.home / "metadata.sqlite"
        self.store = metadata.store(url or sqlite_url(self.file))
        kinds = ("pipeline", "pipeline_run", "node")
        self._kinds = {kind: self.store.put_context_type(pb.ContextType(name=kind)) for kind in kinds}
        self._component = self.store.put_execution_type(pb.ExecutionType(name="tfx.components.Trainer"))
        self._model = self.store.put_artifact_type(pb.ArtifactType(name="Model"))

    def execution(self, run_id: str, node: str, state: str, *, pending: bool = False, count: int = 1) -> int:
        """Executions of `node` in `state`; the last one's id. `pending`: it has begun to write an artifact."""
        pb, project = self.pb, self.paths.project
        names = {"pipeline": project, "pipeline_run": run_id, "node": f"{project}.{node}"}
        contexts = [pb.Context(type_id=self._kinds[kind], name=name) for kind, name in names.items()]
        number = 0
        for _ in range(count):
            execution = pb.Execution(
                type_id=self._component, last_known_state=pb.Execution.State.Value(state)
            )
            written = []
            if pending:
                artifact = pb.Artifact(type_id=self._model, uri="/x", state=pb.Artifact.PENDING)
                written = [(artifact, pb.Event(type=pb.Event.PENDING_OUTPUT))]
            number, _, _ = self.store.put_execution(
                execution, written, contexts, reuse_context_if_already_exist=True
            )
        return number

    def set_back(self, first: int) -> None:
        """As if the clock had gone back a day before execution `first` was made."""
        columns = ("create_time_since_epoch", "last_update_time_since_epoch")
        with sqlite3.connect(self.file) as database:
            for column in columns:
                database.execute(f"UPDATE Execution SET {column} = {column} - {DAY_MS} WHERE id >= {first}")

    def state(self, execution: int) -> str:
        (read,) = self.store.get_executions_by_id([execution])
        return str(self.pb.Execution.State.Name(read.last_known_state))

    def reason(self, execution: int) -> str:
        (read,) = self.store.get_executions_by_id([execution])
        return str(read.custom_properties["viaduct_failure"].string_value)

    def artifact_states(self) -> list[str]:
        return [self.pb.Artifact.State.Name(a.state) for a in self.store.get_artifacts()]
