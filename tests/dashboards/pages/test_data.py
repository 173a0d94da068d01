"""The data of a run: splits beside each other and beside the span before, examples, what is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.pages.data import in_order
from tests.dashboards.synthetic import statistics
from tests.dashboards.tags import tags

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_data_is_compared_with_the_other_split_and_the_span_before(client: Any) -> None:
    page = client.get(f"/data?run={RUN}").text
    assert "Jensen-Shannon" in page and "span 2" in page
    assert page.index(">V2<") < page.index(">V10<"), "V2 comes before V10"
    assert "drift" in page and "0.12" in page
    assert "values it&#39;s" in page, "anomalies are named"


def test_examples_are_shown_as_text_pictures_and_sound(client: Any) -> None:
    page = client.get(f"/data?run={RUN}").text
    found = [tag for tag, attributes in tags(page) if (attributes.get("src") or "").startswith("data:")]
    assert (
        found.count("img") == 24 and found.count("audio") == 12
    )  # two pictures and a sound in each of 12 rows
    assert "row 0 it&#39;s" in page


def test_features_are_filtered_on_the_server(client: Any) -> None:
    page = client.get(f"/data?run={RUN}&q=v1").text
    assert "1 of 5 features" in page and ">V10<" in page


def test_a_link_out_of_home_is_not_followed(make_client: Any, synthetic: Any, tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    record = synthetic.Builder(home).run("card_fraud", 1)
    schema = home / "pipelines" / "card_fraud" / "SchemaGen" / "schema" / "1"
    shutil.move(str(schema), outside)
    schema.symlink_to(outside)
    page = make_client(home).get(f"/data?run={record.run_id}").text
    assert "lies outside HOME" in page and "float_domain" not in page


def _spans(seed: int, rows: int, moved: bool) -> Any:
    """Columns of card_fraud as a run's statistics; `moved` shifts V3 by 2, triples Amount and makes frauds rare."""
    chance = np.random.default_rng(seed)
    frauds = (2, 998) if moved else (90, 910)
    return statistics.statistics(
        {
            "Amount": chance.lognormal(3, 1.5, rows) * (3 if moved else 1),
            "Class": np.tile(np.repeat([1, 0], frauds), rows // 1000),
            "V1": chance.normal(size=rows),
            "V3": chance.normal(size=rows) + 2 * moved,
            "kind": ["new" if moved and i % 50 == 0 else "ab"[i % 2] for i in range(rows)],
            "gaps": [None if i % 10 < 1 + 2 * moved else float(i % 7) for i in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def moved_home(synthetic: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs whose data differ."""
    home = tmp_path_factory.mktemp("moved")
    builder = synthetic.Builder(home)
    for number, moved in ((1, False), (2, True)):
        builder.run("card_fraud", number)
        splits = {"train": _spans(number, 4000, moved), "eval": _spans(number + 5, 2000, moved)}
        statistics.write(home, "card_fraud", number, splits)
    return home


MOVED = "/data?run=card_fraud-20260101-000002-abcd"


def _table(page: str, name: str) -> list[str]:
    """The text of a table's rows."""
    (body,) = re.findall(rf'<table id="{name}".*?<tbody>(.*?)</tbody></table></div>', page, re.DOTALL)
    texts = (re.sub(r"<[^>]+>", " ", row) for row in re.split(r"</tr>", body))
    return [" ".join(text.split()) for text in texts if text.strip()]


def test_what_changed_is_listed_worst_first_with_numbers(make_client: Any, moved_home: Path) -> None:
    changes = _table(make_client(moved_home).get(MOVED).text, "changes")
    names = [change.split()[0] for change in changes]
    assert set(names[:2]) == {"V3", "Amount"} and set(names) == {"V3", "Amount", "Class", "kind", "gaps"}
    # Train and eval of one span differ by chance only; where TFDV's bins make more of that, it is said, and comes last.
    last = [change for change in changes if "no more than chance" in change]
    assert changes[len(changes) - len(last) :] == last
    changes = [change for change in changes if change not in last]
    assert len(changes) == 5 and all(" before " in change for change in changes)
    by_name = {change.split()[0]: change for change in changes}
    # H(0.046) - (H(0.002) + H(0.09)) / 2, worked out by hand.
    assert (
        "Jensen-Shannon 0.0405" in by_name["Class"] and "share of 1 (fraud): 9 % → 0.2 %" in by_name["Class"]
    )
    assert "L∞ 0.02" in by_name["kind"] and "share of new: 0 % → 2 %" in by_name["kind"]
    assert "missing 10 % → 30 %" in by_name["gaps"]


def test_the_label_is_shown_with_its_shares(make_client: Any, moved_home: Path) -> None:
    page = make_client(moved_home).get(f"{MOVED}&q=nothing").text
    label = page[page.index('id="label"') : page.index("<h2>Anomalies")]
    assert (
        '<th scope="row">1 (fraud)</th><td class="num">0.2 %</td><td class="num">9 %</td><td class="num">0.2 %'
        in label
    )


def test_a_shifted_feature_is_drawn_shifted_over_bins_of_all(make_client: Any, moved_home: Path) -> None:
    page = make_client(moved_home).get(f"{MOVED}&q=v3").text
    (picture,) = re.findall(r'<svg class="overlay"[^>]*><title>Shares of V3.*?</svg>', page, re.DOTALL)
    peaks = []
    for series in range(3):
        (path,) = re.findall(rf'<path class="s{series}" d="([^"]+)"', picture)
        steps = re.findall(r"V([\d.]+)H([\d.]+)", path)
        peaks.append(float(min(steps, key=lambda step: float(step[0]))[1]))
    now, before, evaluated = peaks
    assert now > before + 40 and abs(now - evaluated) < 40


def test_switches_are_links_that_keep_the_rest_of_the_address(make_client: Any, moved_home: Path) -> None:
    client = make_client(moved_home)
    page = client.get(f"{MOVED}&q=amount&scale=log&bins=quantiles").text
    assert '&amp;q=amount&amp;scale=log" ' not in page and "q=amount&amp;scale=log" in page
    plain = client.get(f"{MOVED}&q=amount").text
    picture = r'<svg class="overlay"[^>]*><title>Shares of Amount.*?</svg>'
    assert re.search(picture, page, re.DOTALL) and re.findall(picture, page, re.DOTALL) != re.findall(
        picture, plain, re.DOTALL
    )


def test_all_features_are_sorted_not_the_page_that_is_shown(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    synthetic.Builder(home).run("card_fraud", 2)
    columns: dict[str, Any] = {f"x{i}": np.arange(i + 1.0, i + 11) for i in range(100)}
    columns["x50"] = [None, *range(51, 60)]
    statistics.write(home, "card_fraud", 2, dict.fromkeys(("train", "eval"), statistics.statistics(columns)))
    client = make_client(home)

    def first(query: str) -> str:
        return _table(client.get(f"{MOVED}&{query}").text, "features")[0].split()[0]

    assert first("") == "x0" and first("order=down") == "x99"
    assert first("sort=missing") == "x50" and first("sort=most&order=down") == "x99"
    assert first("sort=median&order=up") == "x0" and first("sort=least&page=2") == "x30"
    assert first("sort=nonsense") == "x0"
    page = client.get(f"{MOVED}&sort=most").text
    assert 'aria-sort="descending"' in page and "sort=most&amp;order=up" in page


def test_examples_stand_in_the_schemas_order() -> None:
    columns = ["Amount", "Class", "Time", "V1", "V10", "V2", "other"]
    order = ["Time", "V1", "V2", "V10", "Amount", "Class"]
    assert in_order(columns, order) == ("Time", "V1", "V2", "V10", "Amount", "Class", "other")
    assert in_order(["Amount_xf", "Time_xf"], order) == ("Time_xf", "Amount_xf")
    assert in_order(columns, []) == tuple(columns)


def test_statistics_of_the_same_span_again_are_not_the_span_before(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    builder = synthetic.Builder(tmp_path / "home")
    for number in (1, 2, 2):
        builder.run("card_fraud", number)
    page = make_client(tmp_path / "home").get(MOVED).text
    assert "span 1" in page and "span 2" not in page
