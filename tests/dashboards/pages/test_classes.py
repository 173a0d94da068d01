"""The classes by the card's words: confusion matrix, shares of the label, slices, examples and a model's answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.pages.classes import in_words, named, named_slice
from pipelines.base import registry
from pipelines.base.errors import ProjectError
from pipelines.base.project import Evaluation, Project
from tests.dashboards.synthetic import statistics
from tests.dashboards.tags import words

GARMENTS = ("shirt", "dress", "ankle boot", "bag", "coat", "sandal", "pullover", "trouser", "sneaker", "hat")


@pytest.fixture
def card() -> Project:
    digits = registry.get("digits")
    return dataclasses.replace(digits, evaluation=dataclasses.replace(digits.evaluation, classes=GARMENTS))


@pytest.fixture
def dressed(make_client: Any, synthetic: Any, tmp_path: Path, card: Project) -> Callable[[str], str]:
    """`dressed(page)`: a page over a run of digits whose card calls the classes by garments."""
    record = synthetic.Builder(tmp_path).run("digits", 1, task="multiclass")
    columns = {"label": [0, 0, 0, 2], "country": [1, 2, 1, 2]}
    split = statistics.statistics(columns, categorical=["label"])
    statistics.write(tmp_path, "digits", 1, {"train": split, "eval": split})
    client = make_client(tmp_path)
    client.app.state.site._cards["digits"] = card
    return lambda page: client.get(page.format(run=record.run_id)).text


def test_a_confusion_matrix_has_the_cards_words_at_both_sides(dressed: Callable[[str], str]) -> None:
    page = dressed("/evaluation?run={run}")
    table = page[page.index('id="confusion"') :].partition("</table>")[0]
    rows = [words(row) for row in table.split("<tr>")[1:]]
    assert rows[0] == "actual " + " ".join(GARMENTS) + " rows"
    assert rows[3].startswith("ankle boot 1 1 90 ")
    assert 'title="bag taken for coat: 1.01 %"' in table and 'class="upright"' in table


def test_the_labels_shares_are_told_by_number_and_name(dressed: Callable[[str], str]) -> None:
    page = dressed("/data?run={run}")
    label = page[page.index('id="label"') :].partition("<h2>")[0]
    assert '<th scope="row">0 (shirt)</th><td class="num">75 %' in label
    assert '<th scope="row">2 (ankle boot)</th><td class="num">25 %' in label
    assert "1 (dress)" not in page, "country is no label"


def test_a_binary_matrix_calls_both_classes_by_the_cards_words(client: Any) -> None:
    page = words(client.get("/evaluation?run=card_fraud-20260101-000003-abcd").text)
    assert "predicted fraud predicted genuine was fraud" in page and "was genuine" in page


def test_only_values_of_the_label_get_names(card: Project) -> None:
    assert named(card, "label", "2") == "2 (ankle boot)" and named(card, "label", "2.0") == "2.0 (ankle boot)"
    assert named(card, "label_xf", "1") == "1 (dress)"
    assert named(card, "country", "2") == "2" and named(card, "label", "10") == "10"
    assert named(card, "label", "²") == "²" and named(None, "label", "2") == "2"
    assert named_slice(card, "label = 9, country = 2") == "label = 9 (hat), country = 2"
    assert named_slice(card, "text = a, b = c, d") == "text = a, b = c, d"


def test_an_answer_names_the_likeliest_classes_of_each_row(card: Project) -> None:
    first, second = [0.0] * 10, [0.05] * 10
    first[2], first[0], first[9] = 0.9, 0.08, 0.02
    second[1] = 0.55
    told = in_words(card, {"probabilities": [first, second], "label": [2, 1]})
    assert told == ["ankle boot: 0.9, shirt: 0.08, hat: 0.02", "dress: 0.55, shirt: 0.05, ankle boot: 0.05"]
    assert in_words(card, {"label": [2, 1]}) == ["ankle boot", "dress"]
    assert in_words(card, {"probabilities": [[0.5, 0.5]], "pixels": [[12.0] * 10]}) == []
    assert in_words(card, {"label": [11]}) == [] and in_words(None, {"label": [1]}) == []


@pytest.mark.parametrize(
    ("task", "classes"), [("binary", ("a", "b", "c")), ("multiclass", ("a", "a")), ("multiclass", ("a",)),
                          ("multiclass", ("a", ""))]
)  # fmt: skip
def test_a_card_whose_classes_cannot_be_told_apart_is_refused(task: Any, classes: tuple[str, ...]) -> None:
    with pytest.raises(ProjectError, match="classes"):
        Evaluation(task=task, classes=classes)


def test_the_label_is_shown_also_where_the_raw_data_has_another_name_for_it(
    make_client: Any, synthetic: Any, tmp_path: Path
) -> None:
    """exoplanets: LABEL is 1 or 2 in the data, of which is_host is made."""
    record = synthetic.Builder(tmp_path).run("exoplanets", 1)
    split = statistics.statistics({"LABEL": np.array([1, 1, 1, 2]), "flux": [0.1, 0.2, 0.3, 0.4]})
    statistics.write(tmp_path, "exoplanets", 1, {"train": split, "eval": split})
    page = make_client(tmp_path).get(f"/data?run={record.run_id}").text
    label = page[page.index('id="label"') :].partition("<h2>")[0]
    assert '<th scope="row">2</th><td class="num">25 %' in label
