"""The serving page beside a real model server: versions, the form and its answer, counts that rise or are missing."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.readers.servers import KEPT_S
from pipelines.base.paths import CHECKOUT

pytestmark = pytest.mark.slow
ORIGIN = {"origin": "http://127.0.0.1"}


@pytest.fixture(scope="module")
def run(finished_run: Callable[[str], Any]) -> Any:
    return finished_run("card_fraud")


@pytest.fixture
def served(run: Any) -> Iterator[Callable[..., str]]:
    """`served(*flags)`: the REST address of a server of the run's pushed model."""
    servers = []

    def start(*flags: str) -> str:
        command = [
            sys.executable,
            "-m",
            "serving.main",
            f"--model_base_path={Path(run.record.pushed).parent}",
        ]
        command += ["--model_name=card_fraud.sample", "--port=0", "--rest_api_port=0", *flags]
        server = subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        servers.append(server)
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.search(r"ready grpc=\S+ rest=(\S+)", line):
                return f"http://{found[1]}"
        raise AssertionError("the server did not become ready")

    yield start
    for server in servers:
        server.terminate()
        server.wait(20)


def _form(page: str) -> dict[str, str]:
    """What a browser would send if nobody changed the form."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    (fields["inputs"],) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)
    return {name: html.unescape(text) for name, text in fields.items()}


def _requests(page: str) -> str:
    (shown,) = re.findall(r'data-label="Requests"[^>]*>(.*?)</td>', page)
    return re.sub("<[^>]+>", "", shown)


def test_a_request_built_by_the_page_is_answered_and_counted(
    run: Any, served: Callable[..., str], make_client: Any
) -> None:
    address = served()
    client = make_client(Path(run.paths.home), servers=[address])
    version = Path(run.record.pushed).name
    page = client.get(f"/serving?server={address}&model=card_fraud.sample").text
    assert version in page and "AVAILABLE" in page and _requests(page) == "0"
    assert version in client.get("/").text
    answer = client.post("/serving/request", data=_form(page), headers=ORIGIN).text
    assert '<section id="answer" tabindex="-1"><h3>Answer' in answer and "is_fraud" in answer
    refused = client.post("/serving/request", data={**_form(page), "inputs": "[{}"}, headers=ORIGIN).text
    assert "The inputs are no JSON" in refused
    time.sleep(KEPT_S)
    assert _requests(client.get("/serving").text) == "1"


def test_a_server_without_metrics_is_not_said_to_have_had_no_request(
    run: Any, served: Callable[..., str], make_client: Any, tmp_path: Path
) -> None:
    off = tmp_path / "monitoring.config"
    off.write_text("prometheus_config { enable: false }")
    page = (
        make_client(Path(run.paths.home), servers=[served(f"--monitoring_config_file={off}")])
        .get("/serving")
        .text
    )
    assert "AVAILABLE" in page and _requests(page) == "–"
    assert "its metrics are off" in page
