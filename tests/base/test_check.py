"""`viaduct check` finds a mistake by file and name before anything runs, and nothing in a project without one."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.base import check, registry, scaffold, source_facts
from pipelines.base.errors import ProjectError
from pipelines.base.project import Project

SCHEMA = "".join(
    f'feature {{ name: "{name}" type: {kind} }}\n'
    for name, kind in (("contract", "BYTES"), ("months", "INT"), ("charge", "FLOAT"), ("left", "INT"))
)
Edit = Callable[..., list[str]]


@pytest.fixture
def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """What is found before a run of a fresh project after an edit of one of its files."""
    rooms = tmp_path / "pipelines"
    rooms.mkdir()
    (tmp_path / "viaduct.toml").touch()
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))

    def get(name: str) -> Project:
        return runpy.run_path(str(rooms / name / "project.py"))["PROJECT"]  # type: ignore[no-any-return]

    monkeypatch.setattr(check.registry, "get", get)

    def edited(file: str = "", old: str = "", new: str = "", schema: str = "") -> list[str]:
        folder = scaffold.create("churning")
        if schema:
            (folder / "schema.pbtxt").write_text(schema)
        if file:
            text = (folder / file).read_text() if (folder / file).exists() else ""
            assert old in text
            (folder / file).write_text(text.replace(old, new) if old else new)
        return check.before_run("churning")

    return edited


def test_a_new_project_has_nothing_to_find_with_or_without_a_schema(findings: Edit, tmp_path: Path) -> None:
    assert findings() == []
    (tmp_path / "pipelines" / "churning" / "schema.pbtxt").write_text(SCHEMA)
    assert check.before_run("churning") == []


@pytest.mark.parametrize("name", registry.names())
def test_the_projects_that_stand_have_nothing_to_find(name: str) -> None:
    assert check.before_run(name) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("model.py", "    import tf_keras as keras", "    import tf_keras as", ["churning/model.py:16: "]),
        ("data.py", "def fetch(", "def fetch((", ["churning/data.py:15: "]),
        ("more.py", "", "x = '", ["churning/more.py:1: unterminated string"]),
        ("model.py", "def run_fn", "def run", ["churning/model.py: no function run_fn"]),
        (
            "project.py",
            'label_key="left"',
            'label_key="lfet"',
            ["label_key 'lfet' is in no file", "mean 'left'"],
        ),
        (
            "features.py",
            "    outputs[LABEL_KEY] = tf.cast(filled(inputs[LABEL_KEY], 0), tf.int64)\n",
            "",
            ["churning/features.py:14: preprocessing_fn gives nothing under the label 'left'"],
        ),
        (
            "project.py",
            'Bar("auc", at_least=0.70',
            'Bar("acu", at_least=0.70',
            ["quick bar on 'acu'", "mean 'auc'"],
        ),
        (
            "project.py",
            '"BinaryAccuracy"',
            '"BinaryAcuracy"',
            ["metric 'BinaryAcuracy'", "mean 'BinaryAccuracy'"],
        ),
        ("project.py", '"AUC",', "'AUC:{\"curve\"}',", ["what follows the colon is no JSON"]),
        (
            "project.py",
            'slices=(("contract",),)',
            'slices=(("contrct",),)',
            ["slice 'contrct'", "mean 'contract'"],
        ),
    ],
)
def test_a_mistake_is_told_by_file_and_name(
    findings: Edit, file: str, old: str, new: str, words: list[str]
) -> None:
    told = findings(file, old, new)
    assert len(told) == 1 and all(word in told[0] for word in words), told


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (SCHEMA.replace('"charge"', '"chrage"'), ["features.py:", "reads 'charge'", "mean 'chrage'"]),
        (SCHEMA.replace('"left"', '"gone"'), ["label 'left' does not exist", "(schema.pbtxt)"]),
        (SCHEMA.replace('"contract"', '"contrat"'), ["slice 'contract' does not exist", "mean 'contrat'"]),
        (SCHEMA.replace('"left" type: INT', '"left" type: BYTES'), ["label 'left' is text (BYTES)"]),
        (SCHEMA.replace("type: INT", "type: INTEGER"), ["churning/schema.pbtxt: no schema in text form: 2:"]),
        (
            'feature { name: "charge" type: FLOAT presence { min_fraction: 0.5 } shape { dim { size: 1 } } }',
            ["'charge' has a shape, and may be missing"],
        ),
    ],
)
def test_a_schema_that_disagrees_with_the_project_is_told(
    findings: Edit, schema: str, words: list[str]
) -> None:
    told = findings(schema=schema)
    assert any(all(word in line for word in words) for line in told), told


def test_code_that_goes_through_all_columns_is_not_suspected(findings: Edit) -> None:
    new = "def preprocessing_fn(inputs):\n    return {k: v for k, v in inputs.items()}\n"
    assert (
        findings("features.py", "", new + "LABEL_KEY = 'left'\nNUMBERS = ()\nCONTRACT_KEY = 'contract'\n")
        == []
    )


def test_the_findings_are_one_error_for_a_run(findings: Edit) -> None:
    assert findings("model.py", "def run_fn", "def run")
    with pytest.raises(ProjectError, match=r"churning/model.py: no function run_fn"):
        check.refuse("churning")


def test_metrics_have_the_names_that_keras_gives_them() -> None:
    names = {
        "AUC": "auc",
        "BinaryAccuracy": "binary_accuracy",
        "SparseTopKCategoricalAccuracy": "sparse_top_k_",
    }
    for metric, name in names.items():
        assert source_facts.snake_case(metric).startswith(name)
