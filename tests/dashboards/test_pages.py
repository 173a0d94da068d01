"""Every page against a synthetic HOME: what it says, what it leaves out, and that names stay text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.paths import CHECKOUT

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"
PAGES = ["/", "/models", "/compare", "/serving", "/project?name=card_fraud", "/models?project=digits"] + [
    f"/{page}{name}"
    for name in (RUN, DIGITS, "card_fraud-20260101-000007-abcd", "card_fraud-20260101-000006-abcd")
    for page in ("run?id=", "run/live?id=", "data?run=", "training?run=", "evaluation?run=", "lineage?run=")
]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.labels: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags


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


def test_home_tells_state_verdict_metric_and_bar(client: Any) -> None:
    text = client.get("/").text
    assert "Which card transactions are fraudulent?" in text
    assert 'class="spark"' in text and "≥ 0.8" in text and "blessed" in text


def test_a_failed_run_says_why(client: Any) -> None:
    for page in ("/project?name=card_fraud", "/run?id=card_fraud-20260101-000007-abcd"):
        assert "run_fn failed: it&#39;s" in client.get(page).text


def test_a_run_that_only_metadata_knows_has_its_page(client: Any) -> None:
    run_id = "card_fraud-20260101-000006-abcd"
    assert run_id.removeprefix("card_fraud-") in client.get("/project?name=card_fraud").text
    page = client.get(f"/run?id={run_id}").text
    assert "CsvExampleGen" in page and "graph has no arrows" in page


def test_a_dead_run_is_not_shown_as_running(client: Any) -> None:
    page = client.get("/run?id=digits-20260101-000008-abcd").text
    assert "dead" in page and "data-live" not in page


def test_a_half_written_run_is_listed_and_explained(client: Any) -> None:
    assert "incomplete" in client.get("/project?name=digits").text
    answer = client.get("/run?id=digits-20260101-half")
    assert answer.status_code == 404 and "not whole" in answer.text


@pytest.mark.parametrize("change", [{"metrics": []}, {"nodes": {"x": {"started": "late"}}}, {"settings": 3},
                                    {"model": {}}, {"started": None}, {"of_tomorrow": 1}])  # fmt: skip
def test_a_record_of_another_shape_is_incomplete_and_breaks_no_list(
    make_client: Any, synthetic: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    builder = synthetic.Builder(tmp_path)
    good, odd = builder.run("card_fraud", 1), builder.run("card_fraud", 2)
    file = tmp_path / "runs" / "card_fraud" / odd.run_id / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}), encoding="utf-8")
    client = make_client(tmp_path)
    page = client.get("/project?name=card_fraud").text
    assert "incomplete" in page and good.run_id in page
    assert client.get("/").status_code == 200
    # ML Metadata knows the run too, so that it can still be looked at.
    assert client.get(f"/run?id={odd.run_id}").status_code == 200


def test_the_evaluation_names_each_gate_with_its_number(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    gates = page[page.index("Gates") : page.index("Metrics over all rows")]
    assert "≥ 0.8" in gates and "0.88" in gates and "passed" in gates
    assert "against the last blessed model" in gates and "change ≥ -0.1" in gates and "0.02" in gates


def test_the_worst_slice_comes_first_with_its_interval(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    table = page[page.index('id="slices"') :]
    assert table.index("bold") < table.index("country = de")
    assert "0.63 … 0.73" in table


def test_the_threshold_of_the_curves_can_be_chosen(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}&threshold=0.9").text
    assert "Confusion matrix at threshold 0.9" in page
    assert client.get(f"/evaluation?run={RUN}&threshold=nonsense").status_code == 200


def test_chart_texts_are_no_html_for_plotly_either(client: Any) -> None:
    for spec in re.findall(
        r'<script type="application/json">(.*?)</script>', client.get(f"/evaluation?run={RUN}").text
    ):
        chart = json.loads(spec)
        texts = [
            t
            for trace in chart["data"]
            for t in (*trace.get("y", ()), trace.get("name"))
            if isinstance(t, str)
        ]
        assert not [t for t in texts if "<" in t]


def test_a_multiclass_evaluation_draws_its_confusion_matrix(client: Any) -> None:
    specs = re.findall(
        r'<script type="application/json">(.*?)</script>', client.get(f"/evaluation?run={DIGITS}").text
    )
    heat = [s for s in map(json.loads, specs) if s["data"][0]["type"] == "heatmap"]
    assert len(heat) == 1 and len(heat[0]["data"][0]["z"]) == 10


def test_data_is_compared_with_the_other_split_and_the_span_before(client: Any) -> None:
    page = client.get(f"/data?run={RUN}").text
    assert "Jensen-Shannon" in page and "span 2" in page
    assert page.index(">V2<") < page.index(">V10<"), "V2 comes before V10"
    assert "drift" in page and "0.12" in page
    assert "values it&#39;s" in page, "anomalies are named"


def test_examples_are_shown_as_text_pictures_and_sound(client: Any) -> None:
    page = client.get(f"/data?run={RUN}").text
    found = [tag for tag, attributes in tags(page) if (attributes.get("src") or "").startswith("data:")]
    assert (
        found.count("img") == 24 and found.count("audio") == 12
    )  # two pictures and a sound in each of 12 rows
    assert "row 0 it&#39;s" in page


def test_features_are_filtered_on_the_server(client: Any) -> None:
    page = client.get(f"/data?run={RUN}&q=v1").text
    assert "1 of 5 features" in page and ">V10<" in page


def test_compare_says_what_changed_and_by_how_much(client: Any) -> None:
    page = client.get(f"/compare?a=card_fraud-20260101-000001-abcd&b={RUN}").text
    assert "parameter epochs" in page and "data span" in page and "code of Trainer" in page
    assert "+0.18 better" in page


def test_lineage_leads_from_the_model_to_the_data_and_to_the_push(client: Any) -> None:
    page = client.get(f"/lineage?run={RUN}").text
    text = page[page.index("The same as text") :]
    assert text.index("Trainer") < text.index("Examples") < text.index("used for") < text.index("PushedModel")
    links = {
        a["href"]
        for tag, a in tags(page)
        if tag == "a" and (a.get("href") or "").startswith("/lineage?artifact=")
    }
    for link in sorted(x for x in links if x):
        assert client.get(link).status_code == 200


def test_models_tell_verdict_version_and_size(client: Any) -> None:
    page = client.get("/models?project=card_fraud").text
    assert "1700000003" in page and "1.0 kB" in page and "not blessed" in page


def test_a_report_is_served_in_a_sandbox_and_nothing_else_of_it(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    links = re.findall(r'src="(/report[^"]+)"', page)
    assert len(links) == 2
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200 and answer.headers["content-security-policy"].startswith("sandbox")
        assert "script" not in answer.headers["content-security-policy"]
    folder = links[0].rpartition("/")[0]
    for name in ("secret.pkl", "..%2f..%2f..%2fmetadata.sqlite", "%2fetc%2fpasswd", "%2e%2e/x", "a%00b", "."):
        assert client.get(f"{folder}/{name}").status_code == 404
    assert client.get(folder.replace("report/", "report/9") + "/page.html").status_code == 404


def test_an_export_holds_the_whole_run_and_asks_for_nothing(client: Any) -> None:
    answer = client.get(f"/export?run={RUN}")
    assert answer.headers["content-disposition"].startswith("attachment")
    text = answer.text
    for wanted in (
        "Gates",
        "Statistics",
        "Hyper-parameters",
        "ExampleValidator",
        "used for",
        "picture one.png",
    ):
        assert wanted in text
    links = [
        a.get(key) for tag, a in tags(text.split("<script>")[0]) for key in ("href", "src") if a.get(key)
    ]
    assert links and all(link.startswith(("#", "data:")) for link in links if link)


def test_the_export_command_writes_the_newest_run_of_a_project(home: Path, tmp_path: Path) -> None:
    from dashboards import export
    from pipelines.base.project import ProjectError

    target = tmp_path / "run.html"
    assert export.main([DIGITS, "-o", str(target), "--home", str(home)]) == 0
    assert DIGITS in target.read_text(encoding="utf-8") and list(tmp_path.iterdir()) == [target]
    with pytest.raises(ProjectError, match="does not exist"):
        export.main(["digist", "-o", str(target), "--home", str(home)])


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


def test_a_link_out_of_home_is_not_followed(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    record = synthetic.Builder(home).run("card_fraud", 1)
    schema = home / "pipelines" / "card_fraud" / "SchemaGen" / "schema" / "1"
    shutil.move(str(schema), outside)
    schema.symlink_to(outside)
    page = make_client(home).get(f"/data?run={record.run_id}").text
    assert "lies outside HOME" in page and "float_domain" not in page


@pytest.mark.parametrize("query", ["run?id=", "run?id=..", "run?id=../../etc", "log?run=..&node=x", "artifact?id=x",
                                   "artifact?id=99999", "lineage?artifact=99999", "data?run=%00", "nowhere",
                                   f"log?run={RUN}&node=../../run"])  # fmt: skip
def test_what_does_not_exist_is_a_404_in_words(client: Any, query: str) -> None:
    answer = client.get(f"/{query}")
    assert answer.status_code == 404 and "Not here" in answer.text


def test_a_running_run_is_followed_until_it_ends(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    import os

    from pipelines.base.run_record import process_started

    builder = synthetic.Builder(tmp_path)
    record = builder.run("card_fraud", 1, state="running")
    record.pid, record.pid_started, record.ended = os.getpid(), process_started(os.getpid()), 0.0
    record.nodes["Trainer"].state, record.nodes["Trainer"].ended = "running", 0.0
    folder = builder.write(record)
    (folder / "Trainer.progress.json").write_text(
        json.dumps({"done": 30, "total": 120, "unit": "steps", "figures": {"loss": 0.5}}), encoding="utf-8"
    )
    client = make_client(tmp_path)
    part = client.get(f"/run/live?id={record.run_id}").text
    assert "data-live=" in part and "30 of 120 steps, loss 0.5" in part and '<progress max="120"' in part
    record.state, record.ended = "succeeded", time.time()
    builder.write(record)
    assert "data-live=" not in client.get(f"/run/live?id={record.run_id}").text


def test_a_new_run_appears_without_a_restart(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    builder = synthetic.Builder(tmp_path)
    first = builder.run("card_fraud", 1)
    client = make_client(tmp_path)
    assert first.run_id in client.get("/project?name=card_fraud").text
    second = builder.run("card_fraud", 2)
    assert second.run_id in client.get("/project?name=card_fraud").text
    assert "1700000002" in client.get("/models").text


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
from dashboards import app, pages_data, pages_home, pages_models, pages_quality
from dashboards.metadata import Metadata
from dashboards.servers import Servers
from dashboards.site import Site
home, run = Path({str(home)!r}), {{"run": {RUN!r}}}
site = Site(home, Metadata("sqlite://" + str(home / "metadata.sqlite")), Servers(()))
pages_home.home(site, {{}}), pages_models.models(site, {{}}), pages_models.lineage(site, run)
pages_data.data(site, run), pages_quality.evaluation(site, run), pages_quality.training(site, run)
heavy = {{"tensorflow", "tfx", "tensorflow_data_validation", "tensorflow_model_analysis", "pandas", "apache_beam"}}
print(sorted(heavy & {{name.split(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
