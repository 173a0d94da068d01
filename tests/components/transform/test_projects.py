"""All projects: what Transform makes in process of their runs' examples is what TFX's own executor makes on Beam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import node_calls
from pipelines.base import registry
from tests.components.first_rows import first_rows
from tests.components.transform.conftest import Made, same


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
        examples.uri = str(first_rows(Path(examples.uri), tmp_path / "examples", 400))
        call.run()
        made.append(Made({key: artifacts[0] for key, artifacts in call.outputs.items()}, tmp_path))
    assert made[0].engine.startswith("in process")
    same(*made)
