"""The Pusher's executor under a card's plan: the flag that the spine gives it reaches the served folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.base.project import Release


@pytest.mark.parametrize("blessed", [True, False])
def test_what_is_pushed_under_a_cards_plan_waits_and_a_model_that_missed_its_bar_lays_nothing_down(
    tmp_path: Path, blessed: bool
) -> None:
    from tfx.proto import pusher_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import path_utils, proto_utils

    from components.model_pusher.executor import RELEASE_FLAG, Executor

    base = tmp_path / "serving" / "m"
    model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
    model.uri, blessing.uri = str(tmp_path / "model"), str(tmp_path / "blessing")
    exported = Path(path_utils.serving_model_path(model.uri))
    exported.mkdir(parents=True)
    (exported / "saved_model.pb").write_bytes(b"graph")
    blessing.set_int_custom_property("blessed", int(blessed))
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(tmp_path / "pushed")
    (base / "1").mkdir(parents=True)
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(base))
    )
    flag = f"{RELEASE_FLAG}{json.dumps(Release(steps='10,100').plan())}"
    Executor(
        Executor.Context(extra_flags=["--other=1", flag], tmp_dir=str(tmp_path / "tmp"), unique_id="1")
    ).Do(
        {"model": [model], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    plan = base / ".release" / "plan.json"
    assert plan.exists() == blessed
    assert pushed.get_int_custom_property("pushed") == int(blessed)
    if blessed:
        told = json.loads(plan.read_text(encoding="utf-8"))
        assert (told["stable"], told["plan"]["shares"], told["by"]) == (1, [0.1, 1.0], "card")
