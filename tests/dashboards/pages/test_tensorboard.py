"""TensorBoard as the training page starts it: guarded, on chosen runs, told of, and gone with the dashboard."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards import board
from dashboards.pages import tensorboard
from dashboards.pages.tensorboard import Board, Boards
from dashboards.readers.files import Missing
from pipelines.base.paths import CHECKOUT

RUN, FIRST = "card_fraud-20260101-000003-abcd", "card_fraud-20260101-000001-abcd"


def _asked(method: str, **headers: str) -> str:
    """The status that a guarded app gives to a request with these headers."""
    said: list[str] = []

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [])
        return [b""]

    environ = {"REQUEST_METHOD": method, **{f"HTTP_{k.upper()}": v for k, v in headers.items()}}
    list(board.guarded(app)(environ, lambda status, headers: said.append(status)))
    return said[0][:3]


def test_tensorboard_answers_whom_the_dashboard_would_answer() -> None:
    here = {"host": "127.0.0.1:6006"}
    assert _asked("GET", **here) == "200" and _asked("GET", host="localhost:6006") == "200"
    assert _asked("POST", **here, origin="http://127.0.0.1:6006") == "200", "its own pages ask for curves so"
    for host in ("evil.example:6006", "127.0.0.1.evil.example", ""):
        assert _asked("GET", host=host) == "421"
    assert _asked("POST", **here, origin="http://evil.example") == "403"
    assert _asked("POST", **here) == "403"
    assert _asked("GET", **here, sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == "403"


def test_each_run_has_its_own_name_whatever_its_folder_is_called(tmp_path: Path) -> None:
    events = tmp_path / "a,b:c" / "5"
    events.mkdir(parents=True)
    links = tmp_path / "links"
    links.mkdir()
    board.linked({"run-1": str(events), "odd/run": str(events)}, links)
    assert {link.name: link.resolve() for link in links.iterdir()} == {"run-1": events, "odd_run": events}


@pytest.fixture
def a_board() -> Iterator[Callable[..., Board]]:
    """`a_board(code)`: a Board whose process runs `code`, on a port that nobody listens on."""
    made = []

    def build(code: str) -> Board:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        said = tempfile.TemporaryFile()  # noqa: SIM115 - the board owns it
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=said)
        made.append(process)
        return Board("abc", (RUN,), process, port, said, time.monotonic())

    yield build
    for process in made:
        process.kill()
        process.wait()


WAITING = "import sys; sys.stdin.read()"


def test_the_page_tells_that_it_starts_and_then_leads_there(
    home: Path, make_client: Any, a_board: Any
) -> None:
    site, one = make_client(home).app.state.site, a_board(WAITING)
    boards = Boards({"abc": one})
    page = tensorboard.page(boards, site, {"board": "abc"})
    assert "It is starting, for" in page and 'http-equiv="refresh" content="1"' in page and RUN in page
    with socket.create_server(("127.0.0.1", one.port)):
        page = tensorboard.page(boards, site, {"board": "abc"})
    assert f'content="0; url=http://127.0.0.1:{one.port}/"' in page and "It is starting" not in page


def test_one_that_ended_tells_its_last_words(a_board: Any) -> None:
    one = a_board("import sys; sys.exit('No module named tensorboard')")
    one.process.wait()
    with pytest.raises(Missing, match="code 1: No module named tensorboard"):
        one.listens()


def test_the_same_choice_is_started_once_and_the_oldest_of_too_many_ends(
    a_board: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "_start", lambda key, folders: a_board(WAITING))
    boards = Boards()
    first = boards.start({"a": "/x", "b": "/y"})
    assert boards.start({"b": "/y", "a": "/x"}) is first
    others = [boards.start({"a": f"/{n}"}) for n in range(tensorboard.MOST)]
    assert first.process.poll() is not None and all(o.process.poll() is None for o in others)
    boards.close()
    assert all(o.process.poll() is not None for o in others)


def test_other_runs_of_the_project_can_be_chosen(client: Any) -> None:
    page = client.get(f"/training?run={RUN}").text
    offered = re.findall(r'type="checkbox" name="run" value="([^"]+)"', page)
    assert FIRST in offered and RUN not in offered and all(run.startswith("card_fraud") for run in offered)


@pytest.mark.parametrize("form", [{}, {"run": ["none"]}])
def test_without_event_files_nothing_is_started(client: Any, form: dict[str, Any]) -> None:
    answer = client.post("/tensorboard", data=form, headers={"origin": "http://127.0.0.1"})
    assert answer.status_code == 404
    assert (
        client.get("/tensorboard").status_code == 404
        and client.get("/tensorboard?board=x").status_code == 404
    )


def _listens(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _address(http: httpx.Client, page: str) -> str:
    """Where TensorBoard listens, when the page says so."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        text = http.get(page).text
        if found := re.findall(r'<a href="(http://127\.0\.0\.1:\d+/)">', text):
            return str(found[0])
        assert "It is starting" in text
        time.sleep(0.5)
    raise AssertionError("TensorBoard did not start")


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_tensorboard_ends_with_the_dashboard_however_that_ends(home: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-m", "dashboards.main", "--home", str(home), "--port", "0"]
    dashboard = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        assert dashboard.stdout is not None
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", dashboard.stdout.readline())
        with httpx.Client(base_url=address, headers={"origin": address}, trust_env=False, timeout=90) as http:
            chosen = {"run": [RUN, FIRST]}
            first, again = (http.post("/tensorboard", data=chosen).headers["location"] for _ in range(2))
            assert first == again, "a second click starts no second one"
            listening = _address(http, first)
        tags = httpx.get(f"{listening}data/plugin/scalars/tags", trust_env=False, timeout=60).json()
        assert set(tags) == {f"{run}/{writer}" for run in (RUN, FIRST) for writer in ("train", "validation")}
        foreign = httpx.get(listening, headers={"host": "evil.example"}, trust_env=False, timeout=60)
        assert foreign.status_code == 421
    finally:
        dashboard.send_signal(end)
        dashboard.wait(20)
    deadline = time.monotonic() + 20
    while _listens(listening) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _listens(listening)
