"""TensorBoard as the training page starts it: on loopback, on that run's curves, and gone with the dashboard."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from pipelines.base.paths import CHECKOUT

RUN = "card_fraud-20260101-000003-abcd"
pytestmark = pytest.mark.slow


def _listens(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_tensorboard_ends_with_the_dashboard_however_that_ends(home: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-m", "dashboards.main", "--home", str(home), "--port", "0"]
    dashboard = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    try:
        assert dashboard.stdout is not None
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", dashboard.stdout.readline())
        with httpx.Client(base_url=address, headers={"origin": address}, trust_env=False, timeout=90) as http:
            page, again = (http.post("/tensorboard", data={"run": RUN}).text for _ in range(2))
        (board,) = re.findall(r'<a href="(http://127\.0\.0\.1:\d+/)">', page)
        assert board in again, "a second click starts no second one"
        tags = httpx.get(f"{board}data/plugin/scalars/tags", trust_env=False, timeout=60).json()
        assert set(tags) == {"train", "validation"}
    finally:
        dashboard.send_signal(end)
        dashboard.wait(20)
    deadline = time.monotonic() + 20
    while _listens(board) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _listens(board)
