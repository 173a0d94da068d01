"""The command line without TFX: lists, cards, wrong names, wrong values, folders that cannot be written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipelines import cli, cli_results
from pipelines.base import registry
from pipelines.base.run_record import RunRecord
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


def test_the_version_is_that_of_the_distribution(home: Path) -> None:
    done = viaduct("--version", home=home)
    assert done.returncode == 0 and done.stdout.startswith("viaduct "), done.stderr
    assert done.stdout.split()[1][0].isdigit() or "checkout" in done.stdout


def test_predict_waits_for_a_server_only_as_long_as_it_is_told(home: Path) -> None:
    began = time.monotonic()
    done = viaduct(
        "predict", "digits", "--json-inputs", "{}", "--server", "127.0.0.1:1", "--wait", "0.5", home=home
    )
    assert done.returncode == 1 and "not available" in done.stderr and time.monotonic() - began < 20


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


@pytest.mark.parametrize(
    "command", sorted({*cli.DEFINED, *cli.PASSED_ON} - {"dashboard", "export", "airflow"})
)
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
        (("tune", "stock_prices"), "variant 'reverting' has no search space"),
        (("tune", "digits", "--set", "drop=1"), "Did you mean 'dropout'"),
        (("tune", "digits", "--set", "dropout=a..b"), "'a' is no float, as the default 0.3 is"),
        (("run", "card_fraud", "--set", "epoch=3"), "Did you mean 'epochs'"),
        (("run", "card_fraud", "--set", "epochs=many"), "expected int"),
        (("run", "card_fraud", "--set", "epochs"), "expected KEY=VALUE"),
        (("new", "own", "--label", "x"), "--label, --task, --keep, --query and --split-by are about --data"),
        (("new", "own", "--data", "/nowhere.csv"), "/nowhere.csv does not exist"),
        (("predict", "card_fraud", "--row", "{"), "--row is no JSON"),
        (("predict", "card_fraud", "--rows", "/nowhere.csv"), "cannot be read: No such file"),
        (("run", "card_fraud", "--data", "/nowhere/at/all"), "does not exist"),
        (("run", "card_fraud", "--csv-decimal", "x"), "expected '.' or ','"),
        (("run", "card_fraud", "--csv-encoding", "klingon"), "'latin-1'"),
        (("run", "digits", "--csv-null=NA"), "no ArrowExampleGen"),
        (("run", "card_fraud", "--workers", "2"), "needs --spark"),
        (("run", "stock_prices", "--spark", "spark://127.0.0.1:9"), "does not train by training.fit"),
        (("run", "digits", "--engine", "spark"), "makes no table on Spark"),
        (("run", "customer_spending", "--engine", "flink"), "expected spark or spark://HOST:7077"),
        (("run", "customer_spending", "--engine", "spark://127.0.0.1:1"), "No Spark master answers"),
        (("rnu", "card_fraud"), "Did you mean 'run'"),
        (("validate", "card_fraud", "/nowhere/at/all"), "does not exist"),
        (("schema", "card_fruad"), "Did you mean 'card_fraud'"),
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
        (("data", "card_fraud", "--sample", "9", "--seed", "-1"), "got '-1', expected a whole number from 0"),
        (("data", "card_fraud", "--sample", "9", "--seed", "4294967296"), "to 4294967295"),
        (("run", "card_fraud", "--parallel", "-1"), "got '-1', expected 0 (by cores) or a positive"),
        (("run", "card_fraud", "--parallel=two"), "got 'two', expected 0 (by cores)"),
        (("run", "card_fraud", "--span", "-1"), "got '-1', expected a whole number from 0"),
        (
            ("node", "card_fraud", "Trainer", "--run-id", "card_fraud-1", "--span", "-1"),
            "a whole number from 0",
        ),
        (("runs", "--last", "-3"), "got '-3', expected a positive whole number of runs"),
        (("runs", "--last", "0"), "got '0', expected a positive whole number of runs"),
        (("predict", "card_fraud", "--sample", "0"), "got '0', expected a positive whole number of rows"),
        (("predict", "card_fraud", "--sample", "--version", "-1"), "a whole number from 0"),
        (("predict", "card_fraud", "--sample", "--version", "9223372036854775808"), "a whole number from 0"),
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


def test_a_new_home_is_its_users_alone(home: Path) -> None:
    assert viaduct("data", "card_fraud", "--sample", "300", home=home).returncode == 0
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_host_that_was_not_there_is_not_said_to_be_stopped(home: Path) -> None:
    done = viaduct("host", "stop", home=home)
    assert (done.returncode, done.stdout) == (0, "there was none\n")


def test_an_empty_data_folder_is_named(tmp_path: Path, home: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = viaduct("run", "card_fraud", "--data", str(tmp_path / "empty"), home=home)
    assert done.returncode == 1 and "is empty" in done.stderr


def test_a_wrong_metadata_url_shows_the_forms_and_not_the_password() -> None:
    from pipelines.base.errors import ProjectError
    from pipelines.base.metadata import connection_config

    with pytest.raises(ProjectError, match="expected sqlite") as caught:
        connection_config("oracle://user:secret@host/db")
    assert "secret" not in str(caught.value)
    postgres = connection_config("postgresql://u:p%40@db:5433/mlmd").postgresql
    assert (postgres.host, postgres.port, postgres.password, postgres.dbname) == ("db", "5433", "p@", "mlmd")
    assert connection_config("mysql://u:p@db/mlmd").mysql.port == 3306


def test_serve_takes_a_name_with_its_kind_and_says_what_there_is_where_production_is_empty(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines import cli
    from pipelines.base.errors import ViaductError

    monkeypatch.setenv("VIADUCT_HOME", str(home))
    first = cli._serve_flags(["digits", "--port=0"])
    assert "nothing is pushed to digits yet" in capsys.readouterr().err
    assert first[:2] == ["--model_name=digits", f"--model_base_path={home}/serving/digits"], (
        "it waits for one"
    )
    (home / "serving" / "digits.sample" / "17").mkdir(parents=True)
    with pytest.raises(ViaductError, match=r"Nothing is pushed to digits yet.*viaduct serve digits\.sample"):
        cli._serve_flags(["digits"])
    served = cli._serve_flags(["digits.sample", "--port=0"])
    assert served[0] == "--model_name=digits.sample" and served[1].endswith("serving/digits.sample")
    with pytest.raises(ViaductError, match=r"Did you mean 'digits\.sample'"):
        cli._serve_flags(["digits.smple"])


def test_a_version_under_two_names_is_asked_for_by_one_of_them(home: Path) -> None:
    for name in ("digits", "digits.sample"):
        (home / "serving" / name / "17").mkdir(parents=True)
    done = viaduct("lineage", "17", home=home)
    assert done.returncode == 1 and "digits, digits.sample" in done.stderr
    assert "viaduct lineage digits 17" in done.stderr


@pytest.mark.parametrize("pushed", ["", "/home/serving/digits.sample/17"])
def test_a_run_takes_more_lines_where_the_terminal_is_narrow(pushed: str) -> None:
    record = RunRecord(
        "digits-20261127-080141-5384", "digits", {"variant": "cnn", "profile": "quick"}, "f", 0, "", 1.0, 40.0,
        state="failed", pushed=pushed,
    )  # fmt: skip
    (wide,) = cli_results.run_lines(record, 200)
    narrow = cli_results.run_lines(record, 60)
    assert max(map(len, narrow)) <= 60 and len(narrow) == 2 + bool(pushed)
    assert set(" ".join(narrow).split()) == set(wide.split())
