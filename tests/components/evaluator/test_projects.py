"""The Evaluator of every project that measures rows: in process what Beam gives, on the artifacts of its quick run.

Predictions of one model differ in their last bits between batches of different sizes, which Beam draws anew each time.
So a row may change its bucket of 10,000, and a count of a plot by one; metrics are compared to 1e-4, and the verdicts
have to be the same. Projects with an evaluation function of their own never go to Beam.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.components.first_rows import first_rows

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "project",
    [
        pytest.param(name, marks=pytest.mark.xdist_group(f"run-{name}"))
        for name in ("card_fraud", "digits", "exoplanets")
    ],
)
def test_in_process_gives_what_beam_gives(
    finished_run: Callable[[str], Any], tmp_path: Path, project: str
) -> None:
    from benchmarks import node_calls
    from components.shards import LOCAL_RUNNER
    from pipelines.base import stack

    stack.import_all()
    home = Path(finished_run(project).paths.home)
    measured, told = [], []
    for name, beam in (
        ("in process", LOCAL_RUNNER),
        ("Beam", ["--runner=DirectRunner", "--sdk_container_image=none"]),
    ):
        call = node_calls.of_run(home, project, "Evaluator", tmp_path / name.split()[-1], beam_args=beam)
        (examples,) = call.inputs["examples"]
        examples.uri = str(first_rows(Path(examples.uri), tmp_path / "examples", 1_000))
        call.run()
        (evaluation,) = call.outputs["evaluation"]
        assert evaluation.get_string_custom_property("engine").startswith(name)
        measured.append(_numbers(evaluation.uri))
        told.append(json.loads((Path(evaluation.uri) / "verdicts.json").read_text(encoding="utf-8")))
    mine, theirs = measured
    assert mine.keys() == theirs.keys() and mine
    for key, value in mine.items():
        assert value == pytest.approx(theirs[key], rel=1e-4, abs=1e-4, nan_ok=True), key
    assert told[0]["blessed"] == told[1]["blessed"]
    judged = ("metric", "slice", "kind", "verdict", "passed")
    verdicts = [[[verdict[key] for key in judged] for verdict in one["verdicts"]] for one in told]
    assert verdicts[0] == verdicts[1]


def _numbers(folder: str) -> dict[Any, float]:
    import tensorflow_model_analysis as tfma

    return {
        (str(record.slice_key), str(pair.key)): pair.value.double_value.value
        for record in tfma.load_metrics(folder)
        for pair in record.metric_keys_and_values
        if pair.value.HasField("double_value")
    }
