"""The page of a search: trials, the best with other seeds, the choice; hostile and broken results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.base.run_record import NodeRecord
from tests.dashboards.synthetic.records import EVIL

TRIALS = [
    {
        "number": 0,
        "state": "complete",
        "value": 0.81,
        "parameters": {"rate": 0.01, "kind": EVIL},
        "seconds": 3.5,
    },
    {"number": 1, "state": "pruned", "value": None, "parameters": {"rate": 0.5, "kind": "b"}, "seconds": 1.0},
    {
        "number": 2,
        "state": "failed",
        "value": None,
        "parameters": {"rate": 9.0, "kind": "b"},
        "error": f"NaN {EVIL}",
    },
    {
        "number": 3,
        "state": "complete",
        "value": 0.86,
        "parameters": {"rate": 0.02, "kind": "b"},
        "seconds": 3.0,
    },
]
FINALS = [
    {"trial": 3, "parameters": {"rate": 0.02, "kind": "b"}, "values": [0.85, 0.86, 0.87], "mean": 0.86, "error": 0.0058,
     "score": 0.8542},
    {"trial": 0, "parameters": {"rate": 0.01, "kind": EVIL}, "values": [0.8, 0.81, 0.82], "mean": 0.81, "error": 0.0058,
     "score": 0.8042},
]  # fmt: skip
RESULTS = {
    "metric": "auc", "maximise": True, "trials": TRIALS, "finals": FINALS, "chosen": FINALS[0],
    "importances": {"rate": 0.9, "kind": 0.1}, "space": {"rate": "0.001..10 (log)", "kind": f"b, {EVIL}"},
}  # fmt: skip


def _searched(synthetic: Any, home: Path, content: str) -> str:
    """A HOME with a run and, after it, a search whose results are `content`; the search's run id."""
    builder = synthetic.Builder(home)
    builder.run("card_fraud", 1)
    record = builder.run("card_fraud", 2, blessed=False)
    folder = home / "pipelines" / "card_fraud" / "Tuner" / "tuner_results" / "9"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(content, encoding="utf-8")
    output = {"key": "tuner_results", "type": "TunerResults", "id": 999, "uri": str(folder)}
    kept = {name: record.nodes[name] for name in ("CsvExampleGen", "Transform")}
    tuner = NodeRecord("done", record.started, record.started + 9, {"cached": False, "outputs": [output]})
    record.nodes = {**kept, "Tuner": tuner}
    record.blessed, record.metrics, record.settings["search"] = None, {}, "{}"
    builder.write(record)
    return record.run_id


def test_a_search_is_shown_with_its_choice_and_linked_from_the_project(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    run = _searched(synthetic, tmp_path, json.dumps(RESULTS))
    client = make_client(tmp_path)
    assert f"/tuning?run={run}" in client.get("/project?name=card_fraud").text
    page = client.get(f"/tuning?run={run}").text
    assert "Chosen is trial 3" in page and "standard error" in page
    assert page.count('data-label="State"') == 4 and "pruned" in page
    assert "What auc depends on" in page and "best so far" in page
    assert EVIL not in page and "&lt;b&gt;" in page
    assert 'aria-current="page">Tuning' in page


def test_a_run_without_a_search_has_no_such_page(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    record = synthetic.Builder(tmp_path).run("card_fraud", 1)
    client = make_client(tmp_path)
    answer = client.get(f"/tuning?run={record.run_id}")
    assert answer.status_code == 404 and "has searched nothing" in answer.text
    assert "/tuning" not in client.get(f"/run?id={record.run_id}").text


def test_results_that_cannot_be_read_are_said_to_be_so(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    for number, content in enumerate(("{", "[]", json.dumps({**RESULTS, "trials": [{}]}))):
        home = tmp_path / str(number)
        page = make_client(home).get(f"/tuning?run={_searched(synthetic, home, content)}")
        assert page.status_code == 200 and "cannot be read" in page.text
