"""Every page against a synthetic HOME: that it answers, that names stay text, what is not there, what it imports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.paths import CHECKOUT
from tests.dashboards.tags import tags

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"
PAGES = ["/", "/models", "/compare", "/serving", "/project?name=card_fraud", "/models?project=digits"] + [
    f"/{page}{name}"
    for name in (RUN, DIGITS, "card_fraud-20260101-000007-abcd", "card_fraud-20260101-000006-abcd")
    for page in ("run?id=", "run/live?id=", "data?run=", "training?run=", "evaluation?run=", "lineage?run=")
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_answers_and_keeps_hostile_names_as_text(client: Any, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200, answer.text[:500]
    assert not [tag for tag, _ in tags(answer.text) if tag == "b"], "a name was taken as HTML"
    assert len(answer.content) < 300_000


@pytest.mark.parametrize("page", PAGES[:12])
def test_every_control_has_a_name(client: Any, page: str) -> None:
    text = client.get(page).text
    labelled = set(re.findall(r'<label for="([^"]+)"', text))
    inside_label = "".join(re.findall(r"<label>.*?</label>", text, re.S))
    for tag, attributes in tags(text):
        if tag in ("input", "select", "textarea") and attributes.get("type") != "hidden":
            named = attributes.get("aria-label") or attributes.get("id") in labelled
            assert named or f'name="{attributes.get("name")}"' in inside_label, (tag, attributes)


def test_an_empty_home_says_what_to_run_and_stays_empty(make_client: Any, tmp_path: Path) -> None:
    client = make_client(tmp_path)
    for page in ("/", "/models", "/compare", "/serving", "/project?name=card_fraud"):
        answer = client.get(page)
        assert answer.status_code == 200 and "viaduct " in answer.text
    assert list(tmp_path.iterdir()) == [], "a page wrote something"


def test_deleted_artifacts_are_named_and_the_rest_is_shown(
    make_client: Any, home: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "home"
    shutil.copytree(home, copy)
    # The copy's metadata still names the first HOME: every artifact lies outside this one.
    client = make_client(copy)
    page = client.get(f"/data?run={RUN}")
    assert page.status_code == 200 and "lies outside HOME" in page.text
    assert client.get(f"/run?id={RUN}").status_code == 200


def test_torn_and_foreign_files_are_named(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    builder = synthetic.Builder(tmp_path)
    record = builder.run("card_fraud", 1)
    root = tmp_path / "pipelines" / "card_fraud"
    (root / "StatisticsGen" / "examplestatistics" / "1" / "Split-train" / "FeatureStats.pb").write_bytes(
        b"\xff\xfe no"
    )
    shutil.rmtree(root / "Evaluator" / "modelevaluation" / "1")
    (root / "Trainer" / "model_run" / "1" / "train" / "events.out.tfevents.1.v2").write_bytes(b"\0" * 11)
    client = make_client(tmp_path)
    assert "cannot be read" in client.get(f"/data?run={record.run_id}").text
    assert "has been deleted" in client.get(f"/evaluation?run={record.run_id}").text
    assert "validation" in client.get(f"/training?run={record.run_id}").text


@pytest.mark.parametrize("query", ["run?id=", "run?id=..", "run?id=../../etc", "log?run=..&node=x", "artifact?id=x",
                                   "artifact?id=99999", "lineage?artifact=99999", "data?run=%00", "nowhere",
                                   f"log?run={RUN}&node=../../run"])  # fmt: skip
def test_what_does_not_exist_is_a_404_in_words(client: Any, query: str) -> None:
    answer = client.get(f"/{query}")
    assert answer.status_code == 404 and "Not here" in answer.text


@pytest.mark.slow
def test_a_database_that_is_no_database_leaves_the_records_readable(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    record = synthetic.Builder(tmp_path).run("card_fraud", 1)
    (tmp_path / "metadata.sqlite").write_bytes(b"this is no database" * 100)
    client = make_client(tmp_path)
    assert client.get("/").status_code == 200
    assert client.get(f"/run?id={record.run_id}").status_code == 200
    assert "cannot be read" in client.get("/models").text


def test_the_web_process_imports_nothing_heavy(home: Path) -> None:
    code = f"""
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from dashboards import app
from dashboards.pages import data, evaluation, home, models, training
from dashboards.readers.metadata import Metadata
from dashboards.readers.servers import Servers
from dashboards.pages.site import Site
folder, run = Path({str(home)!r}), {{"run": {RUN!r}}}
site = Site(folder, Metadata("sqlite://" + str(folder / "metadata.sqlite")), Servers(()))
home.home(site, {{}}), models.models(site, {{}}), models.lineage(site, run)
data.data(site, run), evaluation.evaluation(site, run), training.training(site, run)
heavy = {{"tensorflow", "tfx", "tensorflow_data_validation", "tensorflow_model_analysis", "pandas", "apache_beam"}}
print(sorted(heavy & {{name.split(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_an_installed_dashboard_has_its_templates_style_and_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """What setup.py packs beside the modules is all that stands in their folders."""
    import runpy

    import setuptools

    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(CHECKOUT)
    runpy.run_path(str(CHECKOUT / "setup.py"))
    room = CHECKOUT / "dashboards"
    packed = {file for pattern in given["package_data"]["dashboards"] for file in room.glob(pattern)}
    there = {f for name in ("templates", "static") for f in (room / name).rglob("*") if f.is_file()}
    assert packed == there
