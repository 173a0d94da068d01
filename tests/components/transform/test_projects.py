"""All projects: what Transform makes in process of their runs' examples is what TFX's own executor makes on Beam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import node_calls
from pipelines.base import registry
from tests.components.transform.conftest import Made, same

# Of each split; Beam would take minutes for all that some projects' runs have.
ROWS = 2_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.xdist_group(f"run-{n}")) for n in registry.names()]
)
def test_a_projects_transform_in_process_is_as_on_beam(
    name: str, finished_run: Callable[[str], Any], real_home: Path, tmp_path: Path, stock: Any
) -> None:
    assert finished_run(name).record.nodes["Transform"].summary["engine"].startswith("in process")
    made = []
    for engine in ("process", "beam"):
        call = node_calls.of_run(real_home, name, "Transform", tmp_path / engine, stock=engine == "beam")
        assert (type(call.executor) is stock) == (engine == "beam")
        (examples,) = call.inputs["examples"]
        examples.uri = str(first_rows(Path(examples.uri), tmp_path / "examples"))
        call.run()
        made.append(Made({key: artifacts[0] for key, artifacts in call.outputs.items()}, tmp_path))
    assert made[0].engine.startswith("in process")
    same(*made)


def first_rows(examples: Path, folder: Path) -> Path:
    """`folder` with the first ROWS records of each split of the artifact at `examples`."""
    import tensorflow as tf

    for split in sorted(examples.glob("Split-*")):
        target = folder / split.name
        if target.exists():
            continue
        target.mkdir(parents=True)
        records = tf.data.TFRecordDataset([str(file) for file in sorted(split.iterdir())], "GZIP").take(ROWS)
        with tf.io.TFRecordWriter(str(target / "data_tfrecord-00000-of-00001.gz"), "GZIP") as writer:
            for record in records.as_numpy_iterator():
                writer.write(record)
    return folder
