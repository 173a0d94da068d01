"""The evaluation of a run: gates, slices, thresholds and curves."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.dashboards.tags import words

RUN = "card_fraud-20260101-000003-abcd"
DIGITS = "digits-20260101-000005-abcd"


def test_the_evaluation_names_each_gate_with_its_number(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    gates = page[page.index("Gates") : page.index("Metrics over all rows")]
    assert "≥ 0.8" in gates and "0.88" in gates and "passed" in gates
    assert "against the last blessed model" in gates and "change ≥ -0.1" in gates and "0.02" in gates


def test_the_worst_slice_comes_first_with_its_interval(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}").text
    table = page[page.index('id="slices"') :]
    assert table.index("bold") < table.index("country = de")
    assert "0.63 … 0.73" in table


def test_the_threshold_of_the_curves_can_be_chosen(client: Any) -> None:
    page = client.get(f"/evaluation?run={RUN}&threshold=0.9").text
    assert "Confusion matrix at threshold 0.9" in page
    assert client.get(f"/evaluation?run={RUN}&threshold=nonsense").status_code == 200


def test_chart_texts_are_no_html_for_plotly_either(client: Any) -> None:
    for spec in re.findall(
        r'<script type="application/json">(.*?)</script>', client.get(f"/evaluation?run={RUN}").text
    ):
        chart = json.loads(spec)
        texts = [
            t
            for trace in chart["data"]
            for t in (*trace.get("y", ()), trace.get("name"))
            if isinstance(t, str)
        ]
        assert not [t for t in texts if "<" in t]


def test_a_multiclass_evaluation_shows_its_confusion_matrix_in_numbers(client: Any) -> None:
    page = client.get(f"/evaluation?run={DIGITS}").text
    table = page[page.index('id="confusion"') :].partition("</table>")[0]
    rows = [words(row).split() for row in table.split("<tr>")[2:]]
    # The builder: 90 of each class right, 1 taken for each of the nine others.
    assert rows == [[str(a), *("90" if p == a else "1" for p in range(10)), "99"] for a in range(10)]
    assert "3 taken for 3: 90.9 %" in table and "3 taken for 4: 1.01 %" in table
