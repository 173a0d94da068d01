"""What is generated: code that parses, a card that checks itself, the linter's and the formatter's approval."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.newdata import creating, findings, prose, reading, target, writing
from pipelines.base.newdata.findings import Findings
from pipelines.base.paths import CHECKOUT
from tests.base.newdata import tables


@pytest.fixture(scope="module", params=["customers", "prices"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Path]:
    """The findings about a table, and the project written about it as a part of a house."""
    house = tmp_path_factory.mktemp(request.param)
    (house / "pyproject.toml").symlink_to(CHECKOUT / "pyproject.toml")
    for package in ("pipelines/__init__.py", "pipelines/base/__init__.py", "components/__init__.py"):
        (house / package).parent.mkdir(exist_ok=True)
        (house / package).touch()
    source = reading.read(getattr(tables, request.param)(house))
    label = "price" if request.param == "prices" else None
    found = findings.find("own", source, target.choose(source, label, None))
    folder = house / "pipelines" / "own"
    folder.mkdir()
    writing.write(found, folder)
    return found, folder


def test_the_linter_and_the_formatter_find_nothing(made: tuple[Findings, Path]) -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", made[1]],
            cwd=made[1].parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_is_short_and_says_what_it_does(made: tuple[Findings, Path]) -> None:
    for file in made[1].glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), file
        assert text.count("\n") <= 200 and "$" not in text, file


def test_the_card_says_what_was_found(made: tuple[Findings, Path]) -> None:
    found, folder = made
    spec = importlib.util.spec_from_file_location("own_card", folder / "project.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    card = module.PROJECT
    assert card.evaluation.task == found.target.task
    assert card.evaluation.classes == found.target.classes
    assert card.variants[0].name == found.default
    (bar,) = card.quick.bars
    assert bar.metric == found.baseline.metric and bar.bound == pytest.approx(found.bar, rel=0.01)
    assert card.csv == found.source.csv


def test_the_schema_has_a_feature_for_every_column_that_is_used(made: tuple[Findings, Path]) -> None:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    found, folder = made
    text = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    schema = text_format.Parse(text, schema_pb2.Schema())
    assert {feature.name for feature in schema.feature} == {c.name for c in found.features} | {
        found.target.name
    }
    assert text.startswith("# Written from the data")


def test_the_readme_and_the_summary_name_every_column(made: tuple[Findings, Path]) -> None:
    found, folder = made
    readme, summary = (folder / "README.md").read_text(encoding="utf-8"), "\n".join(prose.summary(found))
    for column in found.columns:
        assert f"| `{column.name}` |" in readme
        assert column.name in summary
    assert "viaduct predict own --row" in readme


def test_nothing_is_left_of_a_project_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = tmp_path / "pipelines"
    rooms.mkdir()
    (tmp_path / "viaduct.toml").touch()
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path / "home"))
    for source, said in (
        ("postgresql://host/table", "name the rows with --query"),
        ("mysql://host/table", "name the rows with --query"),
        (str(tmp_path / "none.csv"), "does not exist"),
        (str(tables.prices(tmp_path)), "--label COLUMN"),
    ):
        with pytest.raises(ProjectError, match=said):
            creating.create("own", source)
    assert list(rooms.iterdir()) == [] and not (tmp_path / "home").exists()


def test_the_data_of_an_earlier_project_of_that_name_is_never_taken_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "data" / "own" / "span-0").mkdir(parents=True)
    with pytest.raises(ProjectError, match="holds data of an earlier project"):
        creating.create("own", str(tables.customers(tmp_path)))


def test_a_name_that_no_project_may_have_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ProjectError, match="no project name"):
        creating.create("Own Data", "/nowhere")
