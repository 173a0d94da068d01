"""The node between Evaluator and Pusher: rows of the evaluation asked of a real server, and what is pushed then."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.base.rollout import Rehearsal
from serving.client.request_logs import frame
from serving.client.tensors import example
from tests.serving import savedmodels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A model that takes tf.Examples, blessed, and its evaluation split."""
    from tfx.types import artifact_utils, standard_artifacts
    from tfx.utils import path_utils

    root = tmp_path_factory.mktemp("rehearsed")
    model, blessing, examples = (
        standard_artifacts.Model(),
        standard_artifacts.ModelBlessing(),
        standard_artifacts.Examples(),
    )
    model.uri, blessing.uri, examples.uri = (str(root / name) for name in ("model", "blessing", "examples"))
    savedmodels.examples(path_utils.serving_model_path(model.uri))
    blessing.set_int_custom_property("blessed", 1)
    examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
    split = root / "examples" / "Split-eval"
    split.mkdir(parents=True)
    rows = [{"x": np.array([n, 1, 2], np.float32), "k": np.array([b"b"], object)} for n in range(7)]
    with gzip.open(split / "rows.gz", "wb") as file:
        file.write(b"".join(frame(example(row).SerializeToString()) for row in rows))
    return {"model": [model], "model_blessing": [blessing], "examples": [examples]}


def done(inputs, folder, **terms):
    """The InfraBlessing that the node makes."""
    from tfx.types import standard_artifacts

    from components.rehearsal.executor import Executor

    made = standard_artifacts.InfraBlessing()
    made.uri = str(folder)
    card = Rehearsal(quick_seconds=0.5, latency_ratio=50.0).terms(quick=True)
    given = {**card, "model": "m", "served": "", "logs": "", "signature": "regress", **terms}
    Executor(Executor.Context(tmp_dir=str(folder / "tmp"), unique_id="1")).Do(
        inputs, {"blessing": [made]}, {"terms": json.dumps(given), "split": "eval"}
    )
    return made


def test_a_model_that_meets_the_bars_is_pushed_from_the_blessing_with_its_warm_up_file(inputs, tmp_path):
    from components.model_pusher.executor import Executor as Pusher
    from pipelines.base.summary import READERS

    made = done(inputs, tmp_path / "blessing")
    assert (tmp_path / "blessing" / "INFRA_BLESSED").exists()
    told = READERS["InfraBlessing"](made.mlmd_artifact, "Rehearsal")
    assert {bar["name"]: bar["passed"] for bar in told["rehearsal"]} == dict.fromkeys(
        ("errors", "finite", "latency", "memory", "parity"), True
    )
    assert "blessed" not in told
    pusher = Pusher(Pusher.Context(tmp_dir=str(tmp_path), unique_id="2"))
    given = {**inputs, "infra_blessing": [made]}
    pushed = Path(pusher.GetModelPath(given))
    assert pusher.CheckBlessing(given)
    assert (pushed / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0
    assert (pushed / "saved_model.pb").stat().st_ino == (
        Path(pusher.GetModelPath(inputs)) / "saved_model.pb"
    ).stat().st_ino


def test_a_missed_bar_blesses_nothing_and_is_told_and_an_unblessed_model_is_not_rehearsed(inputs, tmp_path):
    from tfx.types import standard_artifacts

    from components.model_pusher.executor import Executor as Pusher
    from components.rehearsal import executor
    from pipelines.base.summary import READERS

    made = done(inputs, tmp_path / "missed", memory_mb=1.0)
    told = READERS["InfraBlessing"](made.mlmd_artifact, "Rehearsal")
    assert told["blessed"] is False
    assert told["warnings"][0].startswith("Rehearsal: memory missed: ")
    pusher = Pusher(Pusher.Context(tmp_dir=str(tmp_path), unique_id="2"))
    assert not pusher.CheckBlessing({**inputs, "infra_blessing": [made]})
    assert "rehearsal" not in pusher.GetModelPath({**inputs, "infra_blessing": [made]})

    refused = standard_artifacts.ModelBlessing()
    refused.uri = str(tmp_path / "refused")
    refused.set_int_custom_property("blessed", 0)
    made = done({**inputs, "model_blessing": [refused]}, tmp_path / "unblessed")
    assert READERS["InfraBlessing"](made.mlmd_artifact, "Rehearsal") == {}
    assert (tmp_path / "unblessed" / "INFRA_NOT_BLESSED").exists()
    # Terms that cannot be are the node's own fault, not the project's.
    with pytest.raises(RuntimeError, match="seconds is -1"):
        executor.rehearse({"model": "m", "candidate": "x", "out": str(tmp_path), "seconds": -1}, tmp_path)
