"""Our executor under TFX's ExampleValidator: empty splits and columns by name, all else as TFX says it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from components.example_validator import executor as validator
from pipelines.base import summary
from pipelines.base.errors import ProjectError

pytestmark = pytest.mark.slow

# What SchemaGen infers of a column of numbers, a column of 0 and 1, and a column without any value.
SCHEMA = """
feature { name: "months" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "left" type: INT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "note" type: BYTES presence { min_count: 0 } }
"""
Validate = Callable[..., list[dict[str, str]]]


def statistics_of(rows: int, note: int) -> bytes:
    """Statistics of `rows` rows with whole columns months and left, and with `note` values in the column note."""
    from tensorflow_metadata.proto.v0 import statistics_pb2 as pb

    split = pb.DatasetFeatureStatistics(num_examples=rows)
    for name, kind, values in (
        ("months", pb.FeatureNameStatistics.FLOAT, rows),
        ("left", pb.FeatureNameStatistics.INT, rows),
        ("note", pb.FeatureNameStatistics.STRING, note),
    ):
        if not rows:
            continue
        feature = split.features.add(type=kind)
        feature.path.step.append(name)
        stats = feature.string_stats if name == "note" else feature.num_stats
        stats.common_stats.num_non_missing = stats.common_stats.tot_num_values = values
        stats.common_stats.num_missing = rows - values
        stats.common_stats.min_num_values = stats.common_stats.max_num_values = int(values > 0)
    return pb.DatasetFeatureStatisticsList(datasets=[split]).SerializeToString()


@pytest.fixture
def validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Validate:
    """Runs the executor on splits of (rows, values of note); `reads` is what preprocessing_fn returns."""
    from tfx.types import standard_artifacts

    def run(reads: str = "", **splits: tuple[int, int]) -> list[dict[str, str]]:
        artifacts = {
            "statistics": standard_artifacts.ExampleStatistics(),
            "schema": standard_artifacts.Schema(),
            "anomalies": standard_artifacts.ExampleAnomalies(),
        }
        for name, artifact in artifacts.items():
            artifact.uri = str(tmp_path / name)
        artifacts["statistics"].split_names = json.dumps(list(splits))
        for split, (rows, note) in splits.items():
            folder = tmp_path / "statistics" / f"Split-{split}"
            folder.mkdir(parents=True)
            (folder / "FeatureStats.pb").write_bytes(statistics_of(rows, note))
        (tmp_path / "schema").mkdir()
        (tmp_path / "schema" / "schema.pbtxt").write_text(SCHEMA, encoding="utf-8")
        module = ModuleType("features_of_the_test")
        exec(f"def preprocessing_fn(inputs):\n    return {reads or {}}", module.__dict__)
        monkeypatch.setitem(sys.modules, "features_of_the_test", module)
        flags = [f"{validator.PREPROCESSING_FLAG}features_of_the_test.preprocessing_fn"] if reads else []
        context = validator.Executor.Context(extra_flags=["--other=1", *flags])
        inputs = {key: [artifacts[key]] for key in ("statistics", "schema")}
        validator.Executor(context).Do(inputs, {"anomalies": [artifacts["anomalies"]]}, {})
        return summary.anomalies(tmp_path / "anomalies")

    return run


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ({"train": (22, 22), "eval": (0, 0)}, "split eval has no rows (22 in train)"),
        (
            {"train": (1_200, 9), "tune": (0, 0), "eval": (9, 9)},
            "split tune has no rows (1,200 in train, 9 in eval)",
        ),
        ({"train": (0, 0), "eval": (3, 3)}, "split train has no rows (3 in eval)"),
    ],
)
def test_a_split_without_rows_is_the_one_anomaly_it_has(
    validate: Validate, splits: dict[str, tuple[int, int]], told: str
) -> None:
    (anomaly,) = validate("{'x': inputs['months']}", **splits)
    assert (anomaly["feature"], anomaly["found"]) == ("(data set)", told)


@pytest.mark.parametrize(
    "reads",
    ["{'x': inputs['months'], 'y': inputs['note']}", "{'y': inputs['note'] * 2}"],
    ids=["a feature of it", "a feature that text cannot give"],
)
def test_an_empty_column_that_a_feature_is_made_of_fails_the_node_by_name(
    validate: Validate, reads: str
) -> None:
    with pytest.raises(
        ProjectError, match=r"column 'note' is empty: none of 600 rows has a value, and preproc"
    ):
        validate(reads, train=(474, 0), eval=(126, 0))


@pytest.mark.parametrize(
    ("reads", "note"),
    [("{'x': inputs['months']}", 0), ("{'x': inputs['note']}", 1), ("", 0)],
    ids=["nothing is made of it", "it has a value", "the schema is a person's"],
)
def test_other_empty_columns_do_no_harm(validate: Validate, reads: str, note: int) -> None:
    assert validate(reads, train=(474, note), eval=(126, 0)) == []


def test_what_breaks_the_schema_is_told_as_ever(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SCHEMA", SCHEMA.replace("FLOAT", "INT"))
    found = validate("{'x': inputs['months']}", train=(20, 20), eval=(5, 5))
    assert [(a["split"], a["feature"]) for a in found] == [("eval", "months"), ("train", "months")]
