"""A run's page: what it says of runs that failed, died, still work, or that only metadata knows."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from pipelines.base.run_record import NodeRecord

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_a_run_that_only_metadata_knows_has_its_page(client: Any) -> None:
    run_id = "card_fraud-20260101-000006-abcd"
    assert run_id.removeprefix("card_fraud-") in client.get("/project?name=card_fraud").text
    page = client.get(f"/run?id={run_id}").text
    assert "CsvExampleGen" in page and "graph has no arrows" in page


def test_a_dead_run_is_not_shown_as_running(client: Any) -> None:
    page = client.get("/run?id=digits-20260101-000008-abcd").text
    assert "dead" in page and "data-live" not in page


def test_a_running_run_is_followed_until_it_ends(make_client: Any, synthetic: Any, tmp_path: Path) -> None:

    from pipelines.base.whole import process_started

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


def test_what_ran_in_a_dead_run_is_dead_and_its_time_stands_still(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    builder = synthetic.Builder(tmp_path)
    record = builder.run("card_fraud", 1, state="running", started=1_700_000_000.0)
    record.ended, record.blessed, record.metrics = 0.0, None, {}
    record.nodes["Trainer"].state, record.nodes["Trainer"].ended = "running", 0.0
    for name in ("Evaluator", "ReportGen", "Pusher"):
        record.nodes[name] = NodeRecord("waiting")
    builder.write(record)
    page = make_client(tmp_path).get(f"/run?id={record.run_id}").text
    table = page[page.index('id="nodes"') :].partition("</table>")[0]
    states = re.findall(r'data-label="State"><span class="state \w+"><span[^>]*>.</span> (\w+)<', table)
    assert states == ["done"] * 5 + ["dead"] + ["skipped"] * 3
    # The Trainer began 25 s after the run, and nothing later is known.
    assert "<dt>Took</dt><dd>25 s</dd>" in page and "running" not in table


def test_settings_name_of_csv_only_what_is_unusual(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    builder = synthetic.Builder(tmp_path)
    usual, unusual = builder.run("card_fraud", 1), builder.run("card_fraud", 2)
    reading = {"delimiter": "", "null_values": [], "decimal": ".", "thousands": "", "encoding": "utf-8"}
    usual.settings["csv"] = reading
    unusual.settings["csv"] = {**reading, "decimal": ",", "null_values": ["NA", "?"]}
    builder.write(usual), builder.write(unusual)
    client = make_client(tmp_path)
    pages = [
        client.get(f"/run?id={run.run_id}").text.partition("<h2>Settings</h2>")[2] for run in (usual, unusual)
    ]
    assert "csv" not in pages[0] and "utf-8" not in pages[0]
    assert "<dt>csv decimal</dt>" in pages[1] and ">NA, ?</dd>" in pages[1] and "encoding" not in pages[1]
