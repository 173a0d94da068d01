"""What takes seconds is made once, behind a page that does not wait for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from dashboards.pages import changes, data
from dashboards.pages.behind import Behind
from dashboards.readers.files import Missing
from tests.dashboards.synthetic import statistics


def test_a_thing_is_made_once_and_given_when_it_is_there() -> None:
    behind, go, made = Behind(), threading.Event(), []

    def make() -> str:
        assert go.wait(20)
        made.append(1)
        return "done"

    assert behind.get("key", make, 0.0) is None and behind.get("key", make, 0.0) is None
    go.set()
    assert behind.get("key", make, None) == "done" == behind.get("key", make, 0.0)
    assert made == [1]


def test_what_failed_is_said_and_tried_again() -> None:
    behind, answers = Behind(), iter((ValueError("torn"), "whole"))

    def make() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(Missing, match="ValueError: torn"):
        behind.get("key", make, None)
    assert behind.get("key", make, None) == "whole"


def test_a_page_of_many_features_comes_before_they_are_compared(
    make_client: Any, synthetic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = synthetic.Builder(tmp_path).run("card_fraud", 1)
    one = statistics.statistics({f"x{i}": [0.0, 1.0, 2.0, 3.0 + i] for i in range(40)})
    other = statistics.statistics({f"x{i}": [100.0, 101.0, 102.0, 103.0] for i in range(39)})
    statistics.write(tmp_path, "card_fraud", 1, {"train": one, "eval": other})
    client, go, compared = make_client(tmp_path), threading.Event(), changes.compared

    def slowly(*given: Any) -> Any:
        assert go.wait(30)
        return compared(*given)

    monkeypatch.setattr(data, "FEW", 50)
    monkeypatch.setattr(changes, "compared", slowly)
    address = f"?run={record.run_id}"
    page = client.get(f"/data{address}").text
    assert "All features are being compared" in page and 'data-live="/data/live?run=' in page
    assert "40 of 40 features" in page and ">x29<" in page and ">x30<" not in page
    assert 'id="changes"' not in page and "No feature differs" not in page
    assert "data-live" in client.get(f"/data/live{address}").text
    go.set()
    exported = client.get(f"/export{address}").text
    assert "All features are being compared" not in exported and 'id="changes"' in exported
    assert "data-live" not in client.get(f"/data/live{address}").text
    page = client.get(f"/data{address}").text
    assert 'id="changes"' in page and "Jensen-Shannon" in page
