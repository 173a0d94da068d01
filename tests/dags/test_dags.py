"""DAG files, code check, spans and run ids without a running Airflow."""

from __future__ import annotations

import ast
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dags import code_check, spans
from pipelines.base import registry, run_record
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import Project
from pipelines.base.run_folder import RunFolder, run_id_for
from pipelines.base.settings import Settings

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
dags = {d.dag_id: {"tasks": {t.task_id: [sorted(t.upstream_task_ids), t.pool, t.retries, t.owner] for t in d.tasks},
    "schedule": [type(d.schedule).__name__, getattr(d.schedule, "expression", None), str(d.timezone)],
    "tags": sorted(d.tags), "docs": d.doc_md,
    "params": {k: d.params.get_param(k).schema for k in d.params}} for d in bag.dags.values()}
loaded = {name.partition(".")[0] for name in sys.modules}
heavy = sorted(loaded & {"tensorflow", "tfx", "apache_beam", "ml_metadata"})
files = [s.file for s in bag.dagbag_stats]
print(json.dumps({"dags": dags, "errors": bag.import_errors, "heavy": heavy, "files": files}))
"""

HOUSEKEEPING = "viaduct.housekeeping"


def parse(python: str, checkout: Path, home: Path, **env: str) -> dict:
    """What Airflow's DagBag finds in the checkout's dags folder, in a fresh process."""
    done = subprocess.run(
        [python, "-c", PARSE, str(checkout / "dags")],
        capture_output=True,
        text=True,
        cwd=checkout,
        timeout=300,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "VIADUCT_HOME": str(home),
            "VIADUCT_TFX_PYTHON": sys.executable,
            "AIRFLOW__CORE__DAGS_FOLDER": str(checkout / "dags"),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "200",
            "PYTHONPATH": str(checkout),
            **env,
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def parsed(airflow_python, tmp_path_factory) -> dict:
    return parse(
        airflow_python, CHECKOUT, tmp_path_factory.mktemp("airflow-home"), VIADUCT_HEAVY_POOL="viaduct_heavy"
    )


@pytest.mark.slow
def test_every_project_with_an_ir_is_a_dag_and_no_tfx_is_imported(parsed):
    compiled = {name for name in registry.names() if (Paths.of(name).source / "ir.json").exists()}
    cards = [registry.get(name) for name in compiled]
    beside = {f"{card.name}.retraining" for card in cards if card.watch}
    beside |= {f"{card.name}.release" for card in cards if card.release}
    assert set(parsed["dags"]) == compiled | beside | {HOUSEKEEPING}
    assert "card_fraud.retraining" in beside
    assert parsed["heavy"] == []
    assert {Path(file).name for file in parsed["files"]} == {
        "viaduct_dags.py",
        "viaduct_broken.py",
        "viaduct_housekeeping.py",
    }


@pytest.mark.slow
def test_tasks_edges_schedule_and_docs_come_from_ir_and_card(parsed):
    card, dag = registry.get("card_fraud"), parsed["dags"]["card_fraud"]
    nodes = json.loads((Paths.of("card_fraud").source / "ir.json").read_text())["nodes"]
    expected = {
        n["pipelineNode"]["nodeInfo"]["id"]: n["pipelineNode"].get("upstreamNodes", []) for n in nodes
    }
    assert {task: values[0] for task, values in dag["tasks"].items()} == {
        k: sorted(v) for k, v in expected.items()
    }
    assert dag["schedule"] == ["CronDataIntervalTimetable", "0 0 * * *", "UTC"]
    assert card.schedule == "@daily"
    assert dag["tags"] == sorted(card.tags)
    assert dag["docs"].startswith("# card_fraud")
    assert dag["tasks"]["Trainer"][1:] == ["viaduct_heavy", card.retries, card.owner]
    assert dag["tasks"]["Pusher"][1] == "default_pool"


@pytest.mark.slow
def test_the_trigger_form_is_typed(parsed):
    schema = parsed["dags"]["card_fraud"]["params"]
    assert schema["profile"]["enum"] == ["quick", "full"]
    assert schema["parameters"]["properties"]["epochs"] == {"type": "integer"}
    assert schema["parameters"]["additionalProperties"] is False
    assert schema["span"]["type"] == ["null", "integer"]
    assert set(schema) == set(_params_the_tasks_know())


@pytest.mark.slow
def test_house_is_kept_once_a_month_by_one_task_that_asks_for_an_age(parsed):
    dag = parsed["dags"][HOUSEKEEPING]
    assert dag["tasks"] == {"gc": [[], "default_pool", 1, "viaduct"]}
    assert dag["schedule"] == ["CronDataIntervalTimetable", "0 3 1 * *", "UTC"]
    assert dag["params"]["older_than"]["pattern"]


HOUSE_KEPT = """
import logging
from dags import housekeeping
logging.basicConfig(level=logging.INFO)
task = housekeeping.build().get_task(housekeeping.TASK_ID)
task.execute({"params": {"older_than": "1h"}})
"""


@pytest.mark.slow
def test_the_task_that_keeps_house_runs_the_command_and_logs_what_went(airflow_python, tmp_path):
    old = tmp_path / "home" / "samples" / "card_fraud" / "9-rows"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    done = subprocess.run(
        [airflow_python, "-c", HOUSE_KEPT],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "VIADUCT_HOME": str(tmp_path / "home"),
            "VIADUCT_TFX_PYTHON": sys.executable,
            "PYTHONPATH": str(CHECKOUT),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not old.exists() and "card_fraud sample" in done.stdout + done.stderr


def _params_the_tasks_know() -> tuple[str, ...]:
    """PARAMS of node_operator.py, read from its text: importing it would import Airflow here."""
    for node in ast.parse((CHECKOUT / "dags/node_operator.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PARAMS":
            return ast.literal_eval(node.value)
    raise AssertionError("node_operator.py has no PARAMS")


@pytest.mark.slow
def test_each_broken_project_is_named_with_file_and_line_and_the_good_one_stays(
    airflow_python, checkout, tmp_path
):
    probe = checkout / "pipelines" / "probe"
    for name, file, text in (
        ("one", "steps.py", "x = 1\ny = (\n"),
        ("two", "project.py", "PROJECT = None\nraise RuntimeError('no card')\n"),
        ("three", "ir.json", "{"),
    ):
        shutil.copytree(probe, probe.with_name(name))
        card = (probe / "project.py").read_text().replace('name="probe"', f'name="{name}"')
        (probe.with_name(name) / "project.py").write_text(card)
        (probe.with_name(name) / file).write_text(text)
    found = parse(airflow_python, checkout, tmp_path / "home")
    assert set(found["dags"]) == {"probe", HOUSEKEEPING}
    ((file, text),) = found["errors"].items()
    assert file.endswith("viaduct_broken.py")
    assert "pipelines/one/steps.py:2: SyntaxError" in text
    assert "pipelines/two/project.py:2" in text and "no card" in text
    assert "pipelines/three/ir.json:1" in text


@pytest.mark.slow
def test_a_task_parses_its_own_dag_alone(airflow_python, checkout, tmp_path):
    shutil.copytree(checkout / "pipelines/probe", checkout / "pipelines/other")
    card = checkout / "pipelines/other/project.py"
    card.write_text(card.read_text().replace('name="probe"', 'name="other"'))
    found = parse(airflow_python, checkout, tmp_path / "home", _AIRFLOW_PARSING_CONTEXT_DAG_ID="other")
    assert set(found["dags"]) == {"other"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import json\nimport no_such_module\n", ":2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("from pipelines.base.paths import Pahts\n", ":1: ImportError: cannot import name 'Pahts'"),
        ("a = 1\n\nb = a + c\n", ":3: NameError: name 'c' is not defined"),
        ("def f(:\n", ":1: SyntaxError"),
        ("from pipelines.base.nothing import x\n", ":1: ModuleNotFoundError"),
    ],
)
def test_code_that_would_not_import_is_found_without_importing_it(tmp_path, text, problem):
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(code_check.BrokenCode) as caught:
        code_check.check("anything", tmp_path)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import no_such_module\nexcept ImportError:\n    pass\n",
        "def later():\n    import no_such_module\n    return undefined\n",
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import nothing\nx: nothing = 1\n",
        "squares = [n * n for n in range(3)]\nclass A:\n    b = 1\n    c = b\n",
        "import os.path\nfrom math import *\nx = sin(1)\n",
        "(a := 3)\nfor i, (j, k) in []:\n    pass\nelse:\n    i = j = k = a\nprint(__file__, i)\n",
    ],
)
def test_code_that_imports_well_is_left_alone(tmp_path, text):
    (tmp_path / "model.py").write_text(text)
    code_check.check("anything", tmp_path)


def test_what_is_installed_is_looked_for_where_the_nodes_run(tmp_path, monkeypatch):
    site = tmp_path / "lib/python3.11/site-packages"
    (tmp_path / "editable").mkdir()
    site.mkdir(parents=True)
    (site / "only_there.py").touch()
    (site / "of_a_link.pth").write_text(f"import sys\n{tmp_path / 'editable'}\n")
    (tmp_path / "editable" / "edited_here.py").touch()
    (tmp_path / "model.py").write_text("import json, only_there, edited_here\n")
    monkeypatch.setenv("VIADUCT_TFX_PYTHON", str(tmp_path / "bin/python"))
    for cached in (code_check.packages, code_check._exists):
        cached.cache_clear()
    code_check.check("anything", tmp_path)
    (tmp_path / "model.py").write_text("import pytest\n")
    with pytest.raises(code_check.BrokenCode, match="No module named 'pytest'"):
        code_check.check("anything", tmp_path)
    for cached in (code_check.packages, code_check._exists):
        cached.cache_clear()


def test_a_checked_project_is_read_again_only_after_an_edit(tmp_path, monkeypatch):
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    checked = []
    monkeypatch.setattr(code_check, "check", checked.append)
    code_check.check_once("card_fraud")
    code_check.check_once("card_fraud")
    assert checked == ["card_fraud"]
    monkeypatch.setattr(code_check, "code_mark", lambda paths: "edited")
    code_check.check_once("card_fraud")
    assert checked == ["card_fraud"] * 2


@pytest.mark.parametrize("name", registry.names())
def test_no_project_of_ours_is_called_broken(name):
    code_check.check(name)


def test_standard_run_ids_stay_readable_and_made_up_ones_stay_apart():
    assert run_id_for("p", "manual__2026-11-21T07:12:17.187464+00:00") == "p-manual__2026-11-21T071217.187464"
    ids = {run_id_for("p", run_id) for run_id in ("a b", "a/b", "a-b", "a:b", "../b")}
    assert len(ids) == 5 and not any("/" in run_id or " " in run_id for run_id in ids)
    assert run_id_for("p", "x") != run_id_for("q", "x")


def card(**changes) -> Project:
    import dataclasses

    return dataclasses.replace(registry.get("card_fraud"), **changes)


def test_a_dated_run_takes_the_span_of_its_day_and_others_the_latest():
    day = datetime.date(2026, 2, 3)
    dated = card(spans="date")
    assert (
        spans.for_run(dated, "backfill", day, None)
        == spans.number_of(day)
        == (day - datetime.date(1970, 1, 1)).days
    )
    assert spans.day_of(spans.number_of(day)) == day
    assert spans.for_run(dated, "manual", day, None) is None
    assert spans.for_run(dated, "scheduled", day, 7) == 7
    assert spans.for_run(card(spans="none"), "scheduled", day, None) is None


def test_counted_spans_follow_deliveries_and_in_a_backfill_the_cards_start():
    counted = card(spans="counter", start="2026-02-01")
    assert spans.for_run(counted, "scheduled", datetime.date(2026, 2, 3), None) is None
    assert spans.for_run(counted, "backfill", datetime.date(2026, 2, 3), None) == 2
    event = SimpleNamespace(extra={"span": 9})
    watched = SimpleNamespace(extra={"from_trigger": True, "payload": {"span": 11}})
    other = SimpleNamespace(extra=None)
    day = datetime.date(2026, 2, 3)
    assert spans.for_run(counted, "asset_triggered", day, None, {"x": [event], "y": [other]}) == 9
    assert spans.for_run(counted, "asset_triggered", day, None, {"x": [event, watched]}) == 11


def test_a_run_prepared_by_many_tasks_is_compiled_once_and_again_after_an_edit(tmp_path, monkeypatch):
    run = RunFolder(Paths.of("card_fraud", tmp_path), "card_fraud-x")
    settings = Settings.of(registry.get("card_fraud"), data=str(tmp_path))
    compiled = []

    def compile_run(target: Path) -> dict:
        compiled.append(target)
        target.write_text("{}")
        return {"settings": json.loads(settings.to_json())}

    for _ in range(3):
        run.prepare(settings, ["A", "B"], compile_run)
    assert len(compiled) == 1
    (run.path / ".code").write_text("another state of the code")
    run.prepare(settings, ["A", "B"], compile_run)
    assert len(compiled) == 2


def prepared_run(home):
    """A run of one node, A, that is about to begin."""
    run = RunFolder(Paths.of("card_fraud", home), "card_fraud-x")
    settings = Settings.of(registry.get("card_fraud"), data=str(home))
    run.prepare(
        settings,
        ["A"],
        lambda target: target.write_text("{}") and {"settings": json.loads(settings.to_json())},
    )
    return run


def test_the_record_follows_its_nodes_to_the_end(tmp_path):
    run = prepared_run(tmp_path)
    run.node_started("A")
    assert run.read().alive() and run.read().nodes["A"].state == "running"
    run.node_failed("A", "why", again=True)
    assert run.read().state == "running" and run.read().nodes["A"].state == "waiting"
    run.node_done("A", {"cached": False, "outputs": []})
    assert run.read().state == "succeeded" and not run.read().alive()
    assert [r.run_id for r in run_record.read_all(run.paths)] == ["card_fraud-x"]


def test_a_run_that_is_said_to_have_ended_twice_ended_the_first_time(tmp_path, monkeypatch):
    run = prepared_run(tmp_path)
    run.node_done("A", {"cached": False, "outputs": []})
    ended = run.read().ended
    run.ended("succeeded")
    assert run.read().ended == ended


def test_a_node_whose_run_a_person_ended_is_not_waiting_for_another_attempt(tmp_path):
    run = prepared_run(tmp_path)
    run.node_started("A")
    run.ended("failed")
    run.node_failed("A", "its process was killed", again=True)
    assert (run.read().state, run.read().nodes["A"].state) == ("failed", "failed")


def test_the_end_of_a_run_that_was_skipped_leaves_no_folder(tmp_path):
    run = RunFolder(Paths.of("card_fraud", tmp_path), "card_fraud-x")
    run.ended("succeeded")
    assert not run.path.exists()


def test_files_with_passwords_are_for_their_owner_alone(tmp_path):
    from dags.installation import Installation

    installation = Installation.of(tmp_path)
    installation.complete()
    modes = {file.name: file.stat().st_mode & 0o777 for file in installation.folder.iterdir()}
    assert modes == dict.fromkeys(("installation.json", "env.sh", "passwords.json"), 0o600)
    again = Installation.of(tmp_path)
    again.complete()
    assert again.values == installation.values


def test_what_a_killed_writer_left_aside_is_removed_by_the_next_one(tmp_path, monkeypatch):
    from dags.installation import Installation

    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    folders = [tmp_path / "airflow", tmp_path / "cache" / "code_check"]
    for folder in folders:
        folder.mkdir(parents=True)
    program = "import sys; from pathlib import Path; from pipelines.base import whole\n"
    program += "for folder in sys.argv[1:]: whole.aside_of(Path(folder, 'file')).touch()"
    subprocess.run([sys.executable, "-c", program, *map(str, folders)], cwd=CHECKOUT, check=True)
    assert all(list(folder.glob(".file.*.tmp")) for folder in folders)
    Installation.of(tmp_path).complete()
    code_check.check_once("card_fraud")
    assert not any(list(folder.glob(".file.*.tmp")) for folder in folders)


def test_dag_files_and_what_they_import_name_no_heavy_package():
    heavy = {"tensorflow", "tfx", "apache_beam", "ml_metadata", "pandas", "numpy", "pyarrow"}
    for file in (CHECKOUT / "dags").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not heavy & {name.partition(".")[0] for name in names}, file


def test_services_whose_supervisor_was_killed_are_found_and_others_left_alone(tmp_path):
    from dags import supervisor

    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen(sleep, env={**os.environ, "AIRFLOW_HOME": str(tmp_path)}, start_new_session=True)
    other = subprocess.Popen(sleep, env={**os.environ, "AIRFLOW_HOME": "/elsewhere"}, start_new_session=True)
    try:
        (tmp_path / "services.json").write_text(json.dumps({"scheduler": ours.pid, "api-server": other.pid}))
        assert supervisor.end_leftovers(tmp_path) == ["scheduler"]
        assert ours.wait(10) < 0 and other.poll() is None
        assert supervisor.end_leftovers(tmp_path) == []
    finally:
        ours.kill(), other.kill()
        ours.wait(), other.wait()


def test_a_service_that_lives_and_gives_no_sign_of_life_is_started_again(tmp_path, monkeypatch):
    from dags import supervisor

    said = {"scheduler": {"status": "unhealthy"}, "triggerer": {"status": "healthy"}}
    asleep = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"]
    monkeypatch.setattr(supervisor, "SERVICES", {"scheduler": asleep, "triggerer": asleep})
    monkeypatch.setattr(supervisor, "health", lambda url: said)
    for name, seconds in (("HEALTH_EVERY_S", 0.1), ("START_S", 0.2), ("SILENCE_S", 0.3), ("POLL_S", 0.05)):
        monkeypatch.setattr(supervisor, name, seconds)
    monkeypatch.setattr(supervisor.end_session, "__defaults__", (0.2,))
    watching = supervisor.Supervisor(tmp_path)
    seen: list[dict[str, int]] = []

    def look(seconds: float) -> None:
        seen.append(json.loads((tmp_path / "services.json").read_text()))
        if seen[-1]["scheduler"] != seen[0]["scheduler"]:
            os.kill(os.getpid(), signal.SIGTERM)
        wait(seconds)

    wait = time.sleep
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(supervisor.time, "sleep", look)
    try:
        watching.run()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert seen[-1]["scheduler"] != seen[0]["scheduler"] and seen[-1]["triggerer"] == seen[0]["triggerer"]
