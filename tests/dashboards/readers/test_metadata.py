"""ML Metadata under many readers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from dashboards.readers.store import Late


def test_many_threads_read_metadata_at_once(home: Path) -> None:
    from dashboards.readers.metadata import Metadata

    metadata = Metadata(f"sqlite://{home / 'metadata.sqlite'}")
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for name, context, _ in metadata.runs():
                assert metadata.run(context).nodes, name
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_pages_are_answered_while_the_store_does_not_and_say_how_old_they_are(
    make_client: Any, synthetic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = synthetic.Builder(tmp_path).run("card_fraud", 1).run_id
    client = make_client(tmp_path)
    pages = ["/", f"/lineage?run={run}", "/models?project=card_fraud", "/artifact?id=1"]
    before = {page: client.get(page).text for page in pages}
    metadata = client.app.state.site.metadata

    def late(*_: Any) -> None:
        raise Late

    monkeypatch.setattr(metadata._store, "call", late)
    # Another process has written: lists are not taken for unchanged.
    monkeypatch.setattr(metadata, "stamp", lambda: "another")
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200
        assert "ML Metadata has not answered for" in answer.text and "old." in answer.text
        assert "PushedModel" not in before[page] or "PushedModel" in answer.text
    unknown = client.get("/artifact?id=2")
    assert unknown.status_code == 404 and "does not answer" in unknown.text
    monkeypatch.undo()
    monkeypatch.setattr(metadata._patient, "_again", 0.0)
    client.get("/artifact?id=2")
    assert "has not answered" not in client.get("/").text


LOCK = """
import sqlite3, sys
lock = sqlite3.connect(sys.argv[1], isolation_level=None)
lock.execute("PRAGMA journal_mode=DELETE")
lock.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_home_does_not_wait_for_a_locked_database(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    """Locked by another process, since the locks of one process do not shut it out itself."""
    import subprocess
    import sys

    synthetic.Builder(tmp_path).run("card_fraud", 1)
    client = make_client(tmp_path)
    command = [sys.executable, "-c", LOCK, str(tmp_path / "metadata.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        answer = client.get("/")
        assert other.poll() is None, "still locked: the page was made without what the database holds"
        assert answer.status_code == 200 and "card_fraud" in answer.text
        assert "ML Metadata has not answered for" in answer.text
        other.communicate()
