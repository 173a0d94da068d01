"""A made file through `viaduct new`, `check`, `run` and a model server: a row with missing values is answered.

In a copy of the code, so that the new project is in no other test's way.
"""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import answer, run_record
from pipelines.base.paths import CHECKOUT, Paths
from serving.client import Client
from tests.base.newdata import tables
from tests.conftest import viaduct
from tests.environments import PACKAGES

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("own-project")]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with a project `own` about customers.csv, whose model is pushed."""
    folder = tmp_path_factory.mktemp("own")
    for name in PACKAGES:
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(CHECKOUT / name, folder)
    home = folder / "home"
    file = tables.customers(folder, rows=400)
    for command in (("new", "own", "--data", str(file)), ("check", "own"), ("run", "own", "--plain")):
        done = viaduct(*command, home=home, cwd=folder, VIADUCT_HOST_IDLE="60")
        assert done.returncode == 0, done.stdout + done.stderr
    viaduct("host", "stop", home=home, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def server(code: Path) -> Iterator[dict[str, str]]:
    process, addresses = answer.start_server("own", code / "home" / "serving" / "own", code / "serving.log")
    yield addresses
    answer.end(process)


def asked(code: Path, server: dict[str, str], *arguments: str) -> Any:
    """What `viaduct predict own` says: its lines read, or its complaint."""
    done = viaduct("predict", "own", "--server", server["grpc"], *arguments, home=code / "home", cwd=code)
    if done.returncode:
        return done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


LEAVING = {"plan": "monthly", "months": 1, "charge": 95.0, "note": "angry, never again"}
STAYING = {"plan": "yearly", "months": 60, "charge": 20, "since": "2011-05-03"}


def test_the_run_is_blessed_on_the_split_that_new_foresaw(code: Path) -> None:
    record = next(run_record.read_all(Paths.of("own", code / "home")))
    assert record.state == "succeeded" and record.blessed and "own/" in record.pushed
    log = next((code / "home" / "runs" / "own").glob("*/logs/ArrowExampleGen.log")).read_text()
    train, evaluation = _foreseen(code)
    assert f"train {train}, eval {evaluation}" in log


def _foreseen(code: Path) -> tuple[int, int]:
    from pipelines.base.newdata import findings, reading, target

    source = reading.read(code / "customers.csv")
    found = findings.find("own", source, target.choose(source, None, None))
    return found.train_rows, found.eval_rows


def test_a_typed_row_is_answered_with_the_name_of_its_class(code: Path, server: dict[str, str]) -> None:
    (leaving,) = asked(code, server, "--row", json.dumps(LEAVING))
    (staying,) = asked(code, server, "--row", json.dumps(STAYING))
    assert leaving["label"] == "yes" and staying["label"] == "no"
    assert staying["probability"] < 0.5 <= leaving["probability"]


def test_a_missing_value_breaks_nothing_in_any_feature(code: Path, server: dict[str, str]) -> None:
    (nothing,) = asked(code, server, "--row", '{"months": null}')
    assert 0 < nothing["probability"] < 1
    (unknown,) = asked(code, server, "--row", '{"plan": "weekly", "since": "soon", "region code": -4}')
    assert 0 < unknown["probability"] < 1


def test_what_the_model_does_not_know_is_named(code: Path, server: dict[str, str]) -> None:
    said = asked(code, server, "--row", '{"mouths": 3}')
    assert "Feature 'mouths' does not exist. Did you mean 'months'?" in said


def test_the_file_itself_can_be_asked_about(code: Path, server: dict[str, str]) -> None:
    rows = asked(code, server, "--rows", str(code / "customers.csv"))
    assert len(rows) == 400
    lines = (code / "customers.csv").read_text().splitlines()[1:]
    right = [row["label"] == line.rpartition(",")[2] for row, line in zip(rows, lines, strict=True)]
    assert sum(right) > 300


def test_rest_rows_and_tf_examples_are_answered_alike(server: dict[str, str]) -> None:
    def post(method: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://{server['rest']}/v1/models/own:{method}", json.dumps(body).encode(), method="POST"
        )
        return json.load(urllib.request.urlopen(request, timeout=30))

    rows = post("predict", {"signature_name": "serve_rows", "instances": [LEAVING, {"months": None}]})
    classified = post("classify", {"signature_name": "classify", "examples": [LEAVING]})
    ((no, yes),) = classified["results"]
    assert [no[0], yes[0]] == ["no", "yes"]
    assert yes[1] == pytest.approx(rows["predictions"][0]["probability"], abs=1e-5)
    with Client(server["grpc"]) as client:
        signature = client.metadata("own").signatures["serve_rows"]
        assert signature.inputs.keys() == signature.optional
        assert client.metadata("own").signatures["classify"].method == "classify"


def test_the_sample_of_the_project_is_drawn_from_its_source(code: Path, tmp_path: Path) -> None:
    import subprocess

    program = (
        "import sys; from pathlib import Path; from pipelines.own import data\n"
        "data.sample(Path(sys.argv[1]), 9, 3)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=code, check=True)
    assert len((tmp_path / "sample.csv").read_text().splitlines()) == 10
