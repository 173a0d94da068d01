"""StatisticsGen's executor: the same artifact in process and on Beam, and what it says of which it was."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import nodes_equal

ON_BEAM = ["--runner=DirectRunner", "--sdk_container_image=none"]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """3,000 rows in `train`, none in `eval`; numbers and texts, some missing."""
    from tfx.types import standard_artifacts

    from components.split_writer import SplitsWriter

    random = np.random.default_rng(4)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path_factory.mktemp("examples"))
    artifact.split_names = '["train", "eval"]'
    artifact.span = 7
    with SplitsWriter(artifact.uri, ["train", "eval"]) as writer:
        for start in range(0, 3000, 1000):
            columns = {
                "amount": pa.array(random.lognormal(0, 2, 1000), mask=random.random(1000) < 0.1),
                "count": pa.array(random.integers(0, 50, 1000)),
                "word": pa.array([f"w{(start + n) * 7 % 1200}" for n in range(1000)]),
                "nothing": pa.nulls(1000),
            }
            writer.write("train", pa.RecordBatch.from_arrays(list(columns.values()), list(columns)))
    return artifact


def run(examples: Any, folder: Path, beam_args: list[str], **properties: Any) -> Any:
    from tfx.types import standard_artifacts

    from components.statistics_gen.executor import Executor

    made = standard_artifacts.ExampleStatistics()
    made.uri = str(folder / "statistics")
    context = Executor.Context(beam_pipeline_args=beam_args, unique_id="1")
    Executor(context).Do({"examples": [examples]}, {"statistics": [made]}, properties)
    return made


@pytest.mark.slow
def test_the_artifact_is_the_same_in_process_and_on_beam(examples: Any, tmp_path: Path) -> None:
    mine, theirs = run(examples, tmp_path / "mine", []), run(examples, tmp_path / "theirs", ON_BEAM)
    assert nodes_equal.statistics(tmp_path / "mine", tmp_path / "theirs") == []
    assert mine.get_string_custom_property("engine") == "in process (no Beam runner is named)"
    assert theirs.get_string_custom_property("engine") == "Beam (DirectRunner is named)"
    for artifact in (mine, theirs):
        assert (artifact.span, json.loads(artifact.split_names)) == (7, ["train", "eval"])
        rates = artifact.get_json_value_custom_property("sample_rate_by_split")
        assert json.loads(rates) == {"train": 1.0, "eval": 1.0}


def test_statistics_are_right_and_excluded_splits_are_left_out(examples: Any, tmp_path: Path) -> None:
    from tfx.components.statistics_gen import stats_artifact_utils

    made = run(examples, tmp_path, [], exclude_splits='["eval"]')
    assert json.loads(made.split_names) == ["train"]
    (found,) = stats_artifact_utils.load_statistics(made, "train").proto().datasets
    by_name = {feature.path.step[0]: feature for feature in found.features}
    assert found.num_examples == 3000 and set(by_name) == {"amount", "count", "word", "nothing"}
    # 3,000 numbers, one after the other, times 7, modulo 1,200: each of 1,200 words two or three times.
    assert by_name["word"].string_stats.unique == 1200
    assert by_name["word"].string_stats.top_values[0].frequency == 3
    assert by_name["nothing"].string_stats.common_stats.num_missing == 3000


def test_options_that_are_not_proven_equal_go_to_beam_by_themselves(
    examples: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_data_validation as tfdv
    from tfx.components.statistics_gen import executor as tfx_executor

    caplog.set_level(logging.INFO, logger="absl")
    called = []
    monkeypatch.setattr(tfx_executor.Executor, "Do", lambda self, *arguments: called.append(arguments))
    options = tfdv.StatsOptions(sample_rate=0.5).to_json()
    made = run(examples, tmp_path, ["--sdk_container_image=none"], stats_options_json=options)
    assert len(called) == 1
    assert "sample_rate=0.5" in made.get_string_custom_property("engine")
    assert "StatisticsGen works on Beam (the option sample_rate=0.5" in caplog.text


def test_a_shard_that_is_cut_off_stops_the_node_with_its_name(examples: Any, tmp_path: Path) -> None:
    from tfx.types import standard_artifacts

    from components.columns import DamagedRecords

    copy = standard_artifacts.Examples()
    copy.uri, copy.split_names = str(tmp_path / "copy"), '["train"]'
    shutil.copytree(examples.uri, copy.uri)
    (shard,) = Path(copy.uri, "Split-train").iterdir()
    shard.write_bytes(shard.read_bytes()[:20_000])
    with pytest.raises(DamagedRecords, match=r"data_tfrecord-00000-of-00001.gz: .* whole rows"):
        run(copy, tmp_path, [])
