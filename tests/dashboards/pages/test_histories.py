"""Metrics over runs: each run under its own variant and bar, failures as crosses, nothing of an older run unsaid."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.run_record import NodeRecord
from pipelines.base.whole import process_started
from tests.dashboards.tags import charts, words

# variant, profile, coverage; the bars of each are in the card of stock_prices.
RUNS = (
    ("matern_white", "full", 0.885), ("matern_white", "full", 0.93), ("rbf_white", "full", 0.8),
    ("matern_white", "quick", 0.99), ("rbf_white", "full", 0.97),
)  # fmt: skip


@pytest.fixture
def builder(synthetic: Any, tmp_path: Path) -> Any:
    """A HOME with RUNS of stock_prices, one that failed after them, and one of a variant left to the default."""
    made = synthetic.Builder(tmp_path)
    for number, (variant, profile, value) in enumerate(RUNS, 1):
        made.run("stock_prices", number, metric="coverage", value=value, variant=variant, profile=profile)
    failed = made.run("stock_prices", 6, state="failed")
    failed.metrics, failed.blessed = {}, None
    failed.nodes["Trainer"] = NodeRecord("failed", error="stock_prices: Trainer failed: ValueError: no rows")
    made.write(failed)
    return made


def _page(make_client: Any, builder: Any) -> str:
    return make_client(builder.home).get("/project?name=stock_prices").text


def test_each_run_has_the_colour_of_its_kind_and_its_own_bars(make_client: Any, builder: Any) -> None:
    traces = {t["name"]: t for t in charts(_page(make_client, builder))["coverage"]["data"]}
    assert {name: t["y"] for name, t in traces.items() if name != "no result"} == {
        "matern_white, full": [0.885, 0.93], "bar of matern_white, full": [0.88, 0.99, 0.88, 0.99],
        "rbf_white, full": [0.8, 0.97], "bar of rbf_white, full": [0.88, 0.99, 0.88, 0.99],
        "matern_white, quick": [0.99], "bar of matern_white, quick": [0.8, 0.999],
    }  # fmt: skip
    for kind in ("matern_white, full", "rbf_white, full", "matern_white, quick"):
        assert traces[kind]["marker"]["color"] == traces[f"bar of {kind}"]["marker"]["color"]
    assert len({t["marker"]["color"] for name, t in traces.items() if not name.startswith("bar")}) == 4


def test_a_failed_run_is_a_cross_and_every_point_leads_to_its_run(make_client: Any, builder: Any) -> None:
    data = charts(_page(make_client, builder))["coverage"]["data"]
    (nothing,) = [t for t in data if t["name"] == "no result"]
    assert nothing["marker"]["symbol"] == "x" and len(nothing["x"]) == 1
    assert nothing["customdata"] == ["/run?id=stock_prices-20260101-000006-abcd"]
    lowest = min(y for t in data for y in t["y"] if t is not nothing)
    assert nothing["y"][0] < lowest, "a cross is no value"
    links = [link for t in data for link in t["customdata"]]
    assert all(re.fullmatch(r"/run\?id=stock_prices-20260101-00000\d-abcd", link) for link in links)


def test_a_sparkline_holds_the_runs_of_one_kind_under_their_bars(make_client: Any, builder: Any) -> None:
    home = make_client(builder.home).get("/").text
    assert "coverage of the last 2 runs of rbf_white, full: 0.8, 0.97 (bar 0.88 and 0.99)" in home


def test_a_run_is_marked_by_its_own_bar_in_the_list(make_client: Any, builder: Any) -> None:
    page = _page(make_client, builder)
    marks = re.findall(r'data-label="coverage".*?title="(met|missed): ([^"]+)"', page)
    assert marks == [
        ("met", "≥ 0.88 and ≤ 0.99"), ("met", "≥ 0.8 and ≤ 0.999"), ("missed", "≥ 0.88 and ≤ 0.99"),
        ("met", "≥ 0.88 and ≤ 0.99"), ("met", "≥ 0.88 and ≤ 0.99"),
    ]  # fmt: skip


def test_the_metric_of_an_older_run_is_said_to_be_one(make_client: Any, builder: Any) -> None:
    running = builder.run("stock_prices", 7, state="running")
    running.metrics, running.blessed, running.ended = {}, None, 0.0
    running.pid, running.pid_started = os.getpid(), process_started(os.getpid())
    builder.write(running)
    line = make_client(builder.home).get("/").text.partition("name=stock_prices")[2].partition("</tr>")[0]
    assert "rbf_white, full, of an earlier run:" in words(line)
    assert "000005-abcd" in line.partition("of an earlier run")[2]


def test_the_metric_of_the_last_run_is_not_said_to_be_older(make_client: Any, builder: Any) -> None:
    builder.run("stock_prices", 8, metric="coverage", value=0.9, variant="matern_white", profile="full")
    line = make_client(builder.home).get("/").text.partition("name=stock_prices")[2].partition("</tr>")[0]
    assert "matern_white, full" in words(line) and "earlier" not in line


def test_an_infinite_metric_is_said_to_be_one_and_is_a_cross(make_client: Any, builder: Any) -> None:
    record = builder.run(
        "stock_prices",
        9,
        metric="nll_gain_on_rbf_white",
        value=-math.inf,
        blessed=False,
        variant="matern_white",
    )
    record.metrics["coverage"] = math.inf
    builder.write(record)
    (builder.home / "pipelines" / "stock_prices" / "Evaluator" / "modelevaluation" / "9").rename(
        builder.home / "gone"
    )
    client = make_client(builder.home)
    run = words(client.get(f"/run?id={record.run_id}").text)
    assert "coverage is ∞, needs ≥ 0.8 and ≤ 0.999" in run and "coverage was not measured" not in run
    page = client.get("/project?name=stock_prices").text
    (nothing,) = [t for t in charts(page)["coverage"]["data"] if t["name"] == "no result"]
    assert f"{record.run_id}, matern_white, quick: ∞, not blessed" in nothing["text"]
