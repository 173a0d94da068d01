"""A project about the rows of a query: made, and its rows read again, with the password in no file."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pipelines
from bridges.warehouse import address, pointer
from pipelines.base import check, data, registry, scaffold
from pipelines.base.errors import ViaductError
from pipelines.base.newdata import creating
from pipelines.base.newdata.findings import Findings
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from tests.base.newdata import tables
from tests.postgresql import temporary_cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("warehouse")]
PASSWORD = "of-mlmd"
TABLE = (
    "CREATE TABLE customers (customer text, plan text, months int, charge numeric(8, 2), since date, note text, always "
    'text, "region code" int, churn text)'
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address with the password, and customers.csv as a table in it."""
    file = tables.customers(tmp_path_factory.mktemp("rows"), rows=400)
    with temporary_cluster() as cluster, pytest.MonkeyPatch.context() as patched:
        patched.setenv(address.PASSWORD, PASSWORD)
        where = f"127.0.0.1:{cluster.port}/mlmd"
        with (
            contextlib.closing(address.connect(f"postgresql://mlmd@{where}")) as connection,
            connection,
            connection.cursor() as cursor,
            file.open() as lines,
        ):
            cursor.execute(TABLE)
            cursor.copy_expert("COPY customers FROM STDIN (FORMAT csv, HEADER, NULL 'NA')", lines)
        yield f"postgresql://mlmd:{PASSWORD}@{where}"


@pytest.fixture(scope="module")
def made(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Findings, Path]]:
    """What was found, and the workspace with the project."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "viaduct.toml").touch()
    (folder / "pipelines").mkdir()
    query = folder / "asked.sql"
    query.write_text("SELECT * FROM customers -- all of them\n;\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VIADUCT_WORKSPACE", str(folder))
        patched.setenv("VIADUCT_HOME", str(folder / "home"))
        patched.setattr(pipelines, "__path__", [str(folder / "pipelines"), *pipelines.__path__])
        yield creating.create("tabled", database, query=str(query), split_by="time:since"), folder
    for name in [name for name in sys.modules if name.startswith("pipelines.tabled")]:
        del sys.modules[name]


def test_the_project_reads_the_same_query_and_its_rows_split_as_new_foresaw(
    made: tuple[Findings, Path], database: str, tmp_path: Path
) -> None:
    found, workspace = made
    assert check.project("tabled") == ["tabled/ir.json: missing; `viaduct compile tabled` writes it"]
    card, paths = registry.get("tabled"), Paths.of("tabled")
    assert card.data.database == database.replace(f":{PASSWORD}", "")
    assert (paths.source / "query.sql").read_text() == (workspace / "asked.sql").read_text()
    assert not paths.data.exists(), "the rows stay in the database"
    raw = data.locate(card, paths, Settings.of(card), print)
    assert pointer.is_pointer(raw) and pointer.read(raw / pointer.NAME).rows == 400
    generated = _example_gen(paths, Settings.of(card, data=str(raw)))
    rows = _execute(generated, tmp_path / "examples")
    assert rows == {"train": found.train_rows, "eval": found.eval_rows}
    assert type(_example_gen(paths, Settings.of(card))).__name__ == "SqlExampleGen", (
        "also where nothing is named"
    )
    told = subprocess.run(
        ["grep", "-rl", PASSWORD, str(workspace)], capture_output=True, text=True, check=False
    )
    assert told.stdout == ""


def _example_gen(paths: Paths, settings: Settings) -> Any:
    import importlib

    from pipelines.base import stack

    stack.light()
    pipeline = importlib.import_module("pipelines.tabled.pipeline").create_pipeline(paths, settings)
    return next(node for node in pipeline.components if node.id.endswith("ExampleGen"))


def _execute(component: Any, folder: Path) -> dict[str, int]:
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    properties = {
        name: proto_utils.proto_to_json(value) if hasattr(value, "DESCRIPTOR") else value
        for name, value in component.exec_properties.items()
        if value is not None
    }
    executor = component.executor_spec.executor_class
    executor(executor.Context(beam_pipeline_args=[], unique_id="1")).Do(
        {}, {"examples": [artifact]}, properties
    )
    return {name: artifact.get_int_custom_property(f"num_rows_{name}") for name in ("train", "eval")}


def test_a_sample_of_the_query_is_a_file_that_the_project_reads_too(
    made: tuple[Findings, Path], tmp_path: Path
) -> None:
    card, paths = registry.get("tabled"), Paths.of("tabled")
    folder = data.sample(card, paths, 150)
    settings = Settings.of(card, data=str(folder / "span-0"))
    rows = _execute(_example_gen(paths, settings), tmp_path / "drawn")
    assert sum(rows.values()) == 150 and rows["eval"] > 15


def test_what_is_no_query_or_no_database_leaves_no_project(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIADUCT_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path / "home"))
    (tmp_path / "viaduct.toml").touch()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "q.sql").write_text("SELECT * FROM customers")
    (tmp_path / "none.sql").write_text("SELECT * FROM customers WHERE months < 0")
    (tmp_path / "wrong.sql").write_text("SELECT nothing FROM customers")
    nowhere = f"postgresql://mlmd:{PASSWORD}@127.0.0.1:1/mlmd"
    for source, query, said in (
        (database, "", "name the rows with --query"),
        (database, "none.sql", "gives no rows"),
        (database, "wrong.sql", 'column "nothing" does not exist'),
        (database, "gone.sql", "cannot be read"),
        (nowhere, "q.sql", "No connection to"),
        ("mysql://host/db", "q.sql", "is no warehouse"),
        (str(tmp_path), "q.sql", "--query needs --data postgresql"),
    ):
        with pytest.raises(ViaductError, match=said) as told:
            creating.create("tabled", source, query=str(tmp_path / query) if query else "")
        assert PASSWORD not in str(told.value)
    assert list((tmp_path / "pipelines").iterdir()) == []
    scaffold.check_free("tabled")
