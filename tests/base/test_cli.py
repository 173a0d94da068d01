"""The command line without TFX: lists, cards, wrong names, wrong values, folders that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.base import registry
from tests.conftest import viaduct


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_list_names_every_project_with_its_question(home: Path) -> None:
    done = viaduct("list", home=home)
    assert done.returncode == 0
    assert [name for name in registry.names() if name in done.stdout] == registry.names()
    assert {p["name"] for p in json.loads(viaduct("list", "--json", home=home).stdout)} == set(
        registry.names()
    )


def test_list_imports_nothing_heavy(home: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from pipelines.cli import main; main(['list'])\n"
        "heavy = {'tensorflow', 'tfx', 'numpy', 'pandas', 'rich', 'ml_metadata'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["list", "show", "data", "run", "node", "compile", "check", "runs", "lineage",
                                     "predict", "new", "host", "serve", "status", "bench-serving"])  # fmt: skip
def test_every_command_has_help(command: str, home: Path) -> None:
    done = viaduct(command, "--help", home=home)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout.lower() or "flags" in done.stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "card_fruad"), "Did you mean 'card_fraud'"),
        (("run", "digits", "--variant", "cnm"), "Did you mean 'cnn'"),
        (("run", "card_fraud", "--profile", "fast"), "Profile 'fast' does not exist"),
        (("run", "card_fraud", "--set", "epoch=3"), "Did you mean 'epochs'"),
        (("run", "card_fraud", "--set", "epochs=many"), "expected int"),
        (("run", "card_fraud", "--set", "epochs"), "expected KEY=VALUE"),
        (("run", "card_fraud", "--data", "/nowhere/at/all"), "does not exist"),
        (("rnu", "card_fraud"), "Did you mean 'run'"),
        (("new", "Churn!"), "lower_snake_case"),
        (("new", "card_fraud"), "exists already"),
        (("lineage", "12345"), "no pushed model version"),
        (("lineage", "card_fraud"), "no model yet"),
        (("predict", "card_fraud"), "--sample"),
        (("predict", "card_fraud", "--sample"), "no run has examples"),
        (("predict", "card_fraud", "--json-inputs", "{"), "no JSON"),
        (
            ("predict", "card_fraud", "--json-inputs", '{"x": [1]}', "--server", "127.0.0.1:9"),
            "Start one: viaduct serve card_fraud",
        ),
        (("data", "card_fraud", "--sample", "0"), "positive"),
        (("data", "card_fraud", "--sample", "9", "--spans", "0"), "positive"),
        (("data", "card_fraud", "--spans", "2"), "--sample"),
    ],
)
def test_a_wrong_request_is_answered_with_what_was_expected(
    arguments: tuple[str, ...], said: str, home: Path
) -> None:
    done = viaduct(*arguments, home=home)
    assert done.returncode in (1, 2)
    assert said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_sample_deliveries_differ_and_stay_when_more_are_asked_for(home: Path) -> None:
    for spans in ("1", "2"):
        done = viaduct("data", "card_fraud", "--sample", "300", "--spans", spans, home=home)
        assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert sorted(path.name for path in folder.iterdir()) == ["span-0", "span-1"]
    first, second = ((folder / f"span-{n}" / "creditcard.csv").read_text() for n in range(2))
    assert first != second and first.splitlines()[0] == second.splitlines()[0]


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = viaduct("run", "card_fraud", "--plain", home=file / "home")
    assert done.returncode == 1
    assert str(file) in done.stderr and "Traceback" not in done.stderr


def test_an_empty_data_folder_is_named(tmp_path: Path, home: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = viaduct("run", "card_fraud", "--data", str(tmp_path / "empty"), home=home)
    assert done.returncode == 1 and "is empty" in done.stderr


def test_a_wrong_metadata_url_shows_the_forms_and_not_the_password() -> None:
    from pipelines.base.metadata import connection_config
    from pipelines.base.project import ProjectError

    with pytest.raises(ProjectError, match="expected sqlite") as caught:
        connection_config("oracle://user:secret@host/db")
    assert "secret" not in str(caught.value)
    postgres = connection_config("postgresql://u:p%40@db:5433/mlmd").postgresql
    assert (postgres.host, postgres.port, postgres.password, postgres.dbname) == ("db", "5433", "p@", "mlmd")
    assert connection_config("mysql://u:p@db/mlmd").mysql.port == 3306
