"""Home and a project's page: state, verdict, metric and bar, and every run in the list."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.tags import words

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_home_tells_state_verdict_metric_and_bar(client: Any) -> None:
    text = client.get("/").text
    assert "Which card transactions are fraudulent?" in text
    assert 'class="spark"' in text and "≥ 0.8" in text and "blessed" in text


def test_a_failed_run_says_why(client: Any) -> None:
    for page in ("/project?name=card_fraud", "/run?id=card_fraud-20260101-000007-abcd"):
        assert "run_fn failed: it&#39;s" in client.get(page).text


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


def test_a_new_run_appears_without_a_restart(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    builder = synthetic.Builder(tmp_path)
    first = builder.run("card_fraud", 1)
    client = make_client(tmp_path)
    assert first.run_id in client.get("/project?name=card_fraud").text
    second = builder.run("card_fraud", 2)
    assert second.run_id in client.get("/project?name=card_fraud").text
    assert "1700000002" in client.get("/models").text


def test_the_list_shows_the_parameters_in_which_runs_differ(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    builder = synthetic.Builder(tmp_path)
    for number, rate in enumerate((1e-7, 0.003), 1):
        builder.run("card_fraud", number, parameters={"epochs": 5, "learning_rate": rate})
    page = make_client(tmp_path).get("/project?name=card_fraud").text
    cells = [words(cell) for cell in re.findall(r'data-label="Settings">(.*?)</td>', page, re.S)]
    assert cells == ["quick learning_rate 0.003", "quick learning_rate 1e-07"]


def test_runs_on_other_data_say_so_in_the_list(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    builder = synthetic.Builder(tmp_path)
    for number, data in ((1, "/data/january"), (2, "/data/february"), (3, "")):
        record = builder.run("card_fraud", number, parameters={"epochs": 5})
        record.settings["data"] = data
        builder.write(record)
    page = make_client(tmp_path).get("/project?name=card_fraud").text
    cells = [words(cell) for cell in re.findall(r'<td data-label="Settings">(.*?)</td>', page, re.S)]
    assert cells == ["quick data HOME/data", "quick data february", "quick data january"]
