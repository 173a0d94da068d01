"""The page of releases and A/B tests: states, shares, the judge's numbers, the journal with its lineage, the test."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from dashboards.drawing.intervals import over_time
from tests.dashboards.synthetic import releases


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, synthetic: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("released")
    releases.add(folder, synthetic.Builder(folder))
    return folder


@pytest.fixture(scope="module")
def client(home: Path, make_client: Any) -> Any:
    return make_client(home)


def words(client: Any, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return html.unescape(re.sub(r"<script type=.*?</script>|<[^>]+>", " ", answer.text, flags=re.S))


def test_the_newest_release_of_every_model_is_listed(client: Any) -> None:
    page = client.get("/releases").text
    assert page.count("/releases?model=card_fraud&amp;release=") == 1
    assert "A/B test" in page and "canary" in page
    assert "/releases" in client.get("/serving").text


def test_a_release_shows_its_steps_the_judges_numbers_and_the_lineage_of_each_step(client: Any) -> None:
    told = " ".join(words(client, "/releases?model=card_fraud&release=1").split())
    for text in (
        "rolled back",
        "shadow → 10 % → 100 %",
        "12 of 3,000",
        "20 of 27,000",
        "<b>asked</b> for",
        "ann",
    ):
        assert text in told, text
    assert "not recorded" not in told
    page = client.get("/releases?model=card_fraud&release=1").text
    links = [html.unescape(link) for link in re.findall(r'href="(/lineage\?artifact=\d+)"', page)]
    assert len(set(links)) == 5  # two versions, three steps
    for link in links:
        assert client.get(link).status_code == 200
    assert "viaduct.Judgement" in client.get(links[-1]).text


def test_an_ab_test_shows_effect_interval_over_time_ratio_and_decision(client: Any) -> None:
    page = client.get("/releases?model=card_fraud").text
    told = " ".join(words(client, "/releases?model=card_fraud").split())
    assert re.search(r"Version \d+ is better\.", told)
    assert "50 % asked for" in told and "passed" in told and "counted" in told
    assert "Difference over time" in told and "plotly.min.js" in page
    # Its step is not in ML Metadata yet, and the page says how it gets there.
    assert "not recorded" in told and "viaduct lineage card_fraud" in told


def test_what_is_not_there_or_cannot_be_believed_is_said(client: Any, home: Path, make_client: Any) -> None:
    for query in ("model=nobody", "model=../runs", "model=card_fraud&release=9"):
        assert client.get(f"/releases?{query}").status_code == 404
    file = home / "serving" / "card_fraud" / ".release" / "releases" / "0001-"
    (torn,) = file.parent.glob("0001-*.json")
    before = torn.read_text()
    torn.write_text(before[:100])
    assert "went on from the copy" in client.get("/releases?model=card_fraud&release=1").text
    torn.write_text(before)


def test_a_home_without_releases_says_how_to_begin(tmp_path: Path, make_client: Any) -> None:
    (tmp_path / "serving" / "m" / "1").mkdir(parents=True)
    with make_client(tmp_path) as fresh:
        assert "viaduct ab card_fraud" in fresh.get("/releases").text
        assert "No release of m yet" in fresh.get("/releases?model=m").text


def test_the_chart_is_cut_where_nothing_is_known_yet() -> None:
    looks = ((0.0, 20, 0.1, -1.0, 1.0), (10.0, 40, 0.1, 0.05, 0.2), (20.0, 80, None, None, None))
    low, high, difference, zero = over_time(looks, "bought")["data"]
    assert (low["y"], high["y"]) == ([-0.8, 0.05], [0.8, 0.2])
    assert difference["text"] == ["20 users", "40 users"] and zero["y"] == [0, 0]
    assert over_time((), "bought") == {}
