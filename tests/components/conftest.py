"""What the tests of the components share: running an ExampleGen on files, and reading what it wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Row = dict[str, tuple[str, tuple[Any, ...]]]


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    import tensorflow as tf

    return tf


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., Any]:
    """Runs a component's executor on its own properties, as the launcher would after the driver; the artifact."""

    def run(component: Any, **inputs: Any) -> Any:
        from tfx.types import standard_artifacts
        from tfx.utils import proto_utils

        artifact = standard_artifacts.Examples()
        artifact.uri = str(tmp_path / f"examples-{len(list(tmp_path.glob('examples-*')))}")
        properties = {
            name: proto_utils.proto_to_json(value) if hasattr(value, "DESCRIPTOR") else value
            for name, value in component.exec_properties.items()
            if value is not None
        }
        executor = component.executor_spec.executor_class
        context = executor.Context(beam_pipeline_args=[], unique_id="1")
        executor(context).Do(inputs, {"examples": [artifact]}, properties)
        return artifact

    return run


@pytest.fixture(scope="session")
def rows_of() -> Callable[[str], dict[str, list[Row]]]:
    """Decoded rows per split of an Examples artifact: feature name -> (kind or "", values)."""

    def read(uri: str) -> dict[str, list[Row]]:
        import tensorflow as tf

        result: dict[str, list[Row]] = {}
        for folder in sorted(Path(uri).glob("Split-*")):
            files = [str(path) for path in sorted(folder.iterdir())]
            rows = result.setdefault(folder.name[len("Split-") :], [])
            for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                rows.append({name: _plain(feature) for name, feature in features.items()})
        return result

    return read


def _plain(feature: Any) -> tuple[str, tuple[Any, ...]]:
    kind = feature.WhichOneof("kind") or ""
    return kind, tuple(getattr(feature, kind).value) if kind else ()


@pytest.fixture(scope="session")
def launch() -> Callable[..., list[Any]]:
    """Compiles nodes and runs them through TFX's launcher, one metadata store per folder.

    Returns the Examples artifacts of the store, oldest first, as ML Metadata holds them.
    """

    def run(folder: Path, nodes: list[Any], *, cache: bool = False) -> list[Any]:
        from ml_metadata import metadata_store
        from tfx.orchestration import metadata, pipeline
        from tfx.orchestration.local import local_dag_runner

        connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata.db"))
        local_dag_runner.LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="ingest",
                pipeline_root=str(folder / "root"),
                components=nodes,
                enable_cache=cache,
                metadata_connection_config=connection,
                beam_pipeline_args=[],
            )
        )
        store = metadata_store.MetadataStore(connection)
        with contextlib.suppress(Exception):
            return sorted(store.get_artifacts_by_type("Examples"), key=lambda artifact: artifact.id)
        return []

    return run
