"""What `viaduct airflow trigger` asks of Airflow: one run, and none of the schedule's beside it."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dags import control
from dags.installation import Installation
from dags.rest import Api
from pipelines.base.errors import ProjectError, ViaductError

DUE = "2026-02-03T00:00:00Z"
AFTER = "2026-02-04T00:00:00Z"


@dataclass
class FakeAirflow:
    """Airflow's API with one DAG; `asked` are (method, body) of what changed something, in order."""

    paused: bool = True
    triggerer: dict[str, Any] = field(default_factory=lambda: {"status": "healthy"})
    next_dagrun: str | None = DUE
    create_after: str | None = AFTER
    dates: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    token: str = "first"
    logins: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: dict[str, Any], token: str) -> tuple[int, dict[str, Any]]:
        if path == "/api/v2/monitor/health":
            healthy = {"status": "healthy"}
            return 200, {"scheduler": healthy, "dag_processor": healthy, "triggerer": self.triggerer}
        if path == "/auth/token":
            self.logins.append(body)
            return 201, {"access_token": self.token}
        if token != f"Bearer {self.token}":
            return 401, {"detail": "Invalid JWT token"}
        if method == "GET":
            return 200, {
                "is_paused": self.paused,
                "next_dagrun_logical_date": self.next_dagrun,
                "next_dagrun_data_interval_start": self.next_dagrun,
                "next_dagrun_data_interval_end": self.create_after,
                "next_dagrun_run_after": self.create_after,
            }
        self.asked.append((method, body))
        if method == "POST" and body.get("logical_date") in self.dates:
            return 409, {"detail": "already exists"}
        return 200, {"dag_run_id": body.get("dag_run_id", "made-up")}


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAirflow]:
    fake = FakeAirflow()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "")
            status, answer = fake.answer(self.command, self.path, json.loads(sent or b"{}"), token)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _serve

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("VIADUCT_AIRFLOW_URL", fake.url)
    yield fake
    server.shutdown()
    server.server_close()


def test_the_run_of_a_paused_dag_takes_the_place_of_the_scheduled_run_that_is_due(airflow, capsys):
    assert control.main(["trigger", "card_fraud", "--data", "/mnt/day"]) == 0
    (posted, run), (patched, state) = airflow.asked
    assert (posted, patched) == ("POST", "PATCH"), "the date is taken before the schedule is on"
    assert (run["logical_date"], run["data_interval_start"], run["data_interval_end"]) == (DUE, DUE, AFTER)
    assert run["conf"]["data"] == "/mnt/day"
    assert run["dag_run_id"].startswith("manual__") and DUE not in run["dag_run_id"]
    assert state == {"is_paused": False}
    assert "its schedule (@daily) is on from now on" in capsys.readouterr().out


def test_a_date_that_has_its_run_already_is_not_asked_for_twice(airflow):
    airflow.dates.append(DUE)
    assert control.main(["trigger", "card_fraud"]) == 0
    assert [body.get("logical_date") for method, body in airflow.asked if method == "POST"] == [DUE, None]


@pytest.mark.parametrize(
    "state",
    [
        {"paused": False},
        {"next_dagrun": None, "create_after": None},
        {"create_after": (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).isoformat()},
    ],
    ids=["not paused", "no schedule", "nothing due"],
)
def test_a_run_has_a_date_of_its_own_where_no_scheduled_one_would_start(airflow, state):
    for name, value in state.items():
        setattr(airflow, name, value)
    assert control.main(["trigger", "card_fraud", "--run-id", "mine"]) == 0
    posted = [body for method, body in airflow.asked if method == "POST"]
    assert [body["dag_run_id"] for body in posted] == ["mine"]
    assert posted[0]["logical_date"] is None and "data_interval_start" not in posted[0]


def test_sample_is_asked_for_by_name_alone(airflow):
    for flags, expected in (([], False), (["--sample"], True)):
        airflow.asked.clear()
        control.main(["trigger", "card_fraud", *flags])
        assert airflow.asked[0][1]["conf"]["sample"] is expected


def test_a_trigger_here_without_data_is_refused_before_airflow_is_asked(airflow, tmp_path, monkeypatch):
    monkeypatch.delenv("VIADUCT_AIRFLOW_URL")
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    Installation.of().complete()
    with pytest.raises(ProjectError, match=r"no data in .*--sample"):
        control.main(["trigger", "card_fraud"])
    with pytest.raises(ViaductError, match="does not answer"):
        control.main(["trigger", "card_fraud", "--sample"])
    assert airflow.asked == []


def test_what_airflow_does_not_answer_is_no_projects_fault(tmp_path, monkeypatch):
    monkeypatch.delenv("VIADUCT_AIRFLOW_URL", raising=False)
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    with pytest.raises(ViaductError, match="There is no Airflow under") as caught:
        control.main(["status"])
    assert not isinstance(caught.value, ProjectError)


def test_airflows_own_command_runs_in_its_own_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("VIADUCT_AIRFLOW_PYTHON", str(tmp_path / "bin/python"))
    Installation.of().complete()
    with pytest.raises(ViaductError, match=r"Airflow's environment is not there: .*make airflow"):
        control.main(["cli", "dags", "list"])
    (tmp_path / "bin/python").symlink_to(sys.executable)
    ran: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda file, command, environment: ran.append((command, environment)))
    control.main(["cli", "backfill", "create", "--dag-id", "card_fraud"])
    ((command, environment),) = ran
    assert command == ["airflow", "backfill", "create", "--dag-id", "card_fraud"]
    assert environment["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert environment["VIADUCT_TFX_PYTHON"] == sys.executable


def test_a_token_that_the_server_takes_no_more_is_renewed_once(airflow):
    api = Api(airflow.url, "admin", "secret")
    api.unpause("card_fraud")
    airflow.token = "second"
    airflow.asked.clear()
    api.unpause("card_fraud")
    assert [method for method, _ in airflow.asked] == ["PATCH"]
    assert airflow.logins == [{"username": "admin", "password": "secret"}] * 2


def test_a_delivery_to_a_project_that_does_not_start_on_data_is_refused_with_the_reason(airflow):
    with pytest.raises(ProjectError, match=r"card_fraud does not start on data.*'@daily'.*'@data'"):
        control.main(["deliver", "card_fraud", "3"])
    assert airflow.asked == []


def test_status_shows_no_password_and_fails_while_a_service_is_missing(airflow, monkeypatch, capsys):
    monkeypatch.setenv("VIADUCT_AIRFLOW_URL", airflow.url.replace("http://", "http://admin:secret@"))
    assert control.main(["status"]) == 0
    out = capsys.readouterr().out
    assert "secret" not in out and airflow.url in out
    assert "scheduler" in out and "dag_processor" in out
    airflow.triggerer = {"status": None}
    assert control.main(["status"]) == 1
    assert "triggerer      unknown" in capsys.readouterr().out
