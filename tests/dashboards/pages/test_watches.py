"""The page of watches: windows, alarms with their lineage, and live quality beside the evaluation's."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.base import lineage
from pipelines.base.paths import Paths
from pipelines.base.watching import state
from tests.dashboards.synthetic import watches


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, synthetic: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("watched")
    watches.add(folder, synthetic.Builder(folder))
    return folder


@pytest.fixture(scope="module")
def client(home: Path, make_client: Any) -> Any:
    return make_client(home)


def test_a_watchs_judgement_descends_from_the_pushed_model_and_from_no_run(client: Any) -> None:
    text = client.get("/lineage?artifact=6").text.partition("The same as text")[2]
    assert re.search(r"read by Watch\n +judgement: viaduct.WatchJudgement", text)


def words(client: Any, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_every_watch_is_listed_and_opens(client: Any) -> None:
    told = words(client, "/watches")
    assert re.search(r"card_fraud .*alarm 1700000001 5 2 320", told)
    assert "/watches" in client.get("/serving").text
    assert client.get("/watches?model=nobody").status_code == 404
    assert client.get("/watches?model=..").status_code == 404


def test_live_quality_stands_beside_the_evaluations(client: Any) -> None:
    told = words(client, "/watches?model=card_fraud")
    assert "recall 0.52 0.44 … 0.6 0.85 0.79 … 0.9 300 yes" in told
    assert "fall_ out 0.004 0.001 … 0.01 0.01 300 no" in told
    assert "320 of 5,000 answers have an outcome; 20 of them cannot be compared" in told
    assert "drift: <b>Amount</b>" in told


def test_alarms_and_windows_lead_to_their_judgement(client: Any) -> None:
    page = client.get("/watches?model=card_fraud").text
    links = [html.unescape(link) for link in re.findall(r'href="(/lineage\?artifact=\d+)"', page)]
    assert len(set(links)) == 4  # an alarm and three windows
    assert "viaduct.WatchJudgement" in client.get(links[0]).text
    # The last alarm is not in ML Metadata yet, and the page says how it gets there.
    assert page.count("not recorded") == 1 and "viaduct lineage card_fraud" in page


def test_lineage_records_what_is_not_yet_recorded_once_and_names_it(home: Path, client: Any) -> None:
    paths = Paths.of("card_fraud", home)
    for _ in range(2):
        told = lineage.lineage(paths, "1700000001")
        assert [one["kind"] for one in told["watch"]] == ["window", "window", "window", "alarm", "alarm"]
    text = lineage.text(told)
    assert "ALARM: Amount has drifted: 0.31, 0.043 is what chance makes" in text
    assert (
        "ALARM: recall 0.52 (0.44 to 0.6) of 300 answers, 0.85 (0.79 to 0.9) in its evaluation: it is worse"
        in text
    )
    assert "3 windows beyond" in text


def test_a_home_without_watches_and_one_without_outcomes_say_how_to_begin(
    tmp_path: Path, make_client: Any
) -> None:
    with make_client(tmp_path) as fresh:
        assert "viaduct watch card_fraud" in fresh.get("/watches").text
        state.save(tmp_path / "watch" / "card_fraud", state.State())
        state.save(tmp_path / "watch" / "faces", state.State())
        told = words(fresh, "/watches?model=card_fraud")
        assert "No outcomes yet: what Class was is told by request id" in told
        assert "No window is full yet" in told
        assert "a function of its own" in words(fresh, "/watches?model=faces")
