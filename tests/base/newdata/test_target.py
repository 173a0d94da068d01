"""The label: never guessed in silence, its task by its values, its classes in an order people expect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError
from pipelines.base.newdata import target
from pipelines.base.newdata.reading import Source


def source(**columns: Any) -> Source:
    return Source(Path("/data/t.csv"), (), CsvReading(), pa.table(columns))


def test_without_a_label_the_candidates_are_listed() -> None:
    table = source(plan=["a", "b"] * 20, charge=list(range(40)), note=[str(n) for n in range(40)])
    with pytest.raises(
        ProjectError, match=r"--label COLUMN. Candidates: 'plan' \(2 values\), 'charge' \(num"
    ):
        target.choose(table, None, None)


def test_one_usual_name_is_taken_and_said_and_two_are_asked_about() -> None:
    assert "by its name" in target.choose(source(x=[1, 2] * 9, churn=["no", "yes"] * 9), None, None).why
    with pytest.raises(ProjectError, match="which column is to be predicted"):
        target.choose(source(target=[1, 2] * 9, churn=["no", "yes"] * 9), None, None)


def test_a_misspelt_label_is_named_with_its_neighbour() -> None:
    with pytest.raises(ProjectError, match="Did you mean 'charge'"):
        target.choose(source(charge=[1.0, 2.0]), "chrage", None)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no"] * 10, "binary", ("no", "yes")),
        (["True", "False"] * 10, "binary", ("False", "True")),
        ([" >50K", " <=50K"] * 10, "binary", ("<=50K", ">50K")),
        ([1, 0] * 10, "binary", ("0", "1")),
        ([1.0, 0.0] * 10, "binary", ("0", "1")),
        ([2, 10, 1] * 20, "multiclass", ("1", "2", "10")),
        (["b", "c", "a"] * 10, "multiclass", ("a", "b", "c")),
        (list(range(60)), "regression", ()),
        ([0.5, 1.5] * 10, "regression", ()),
    ],
)
def test_the_task_and_the_order_of_classes_come_from_the_values(
    values: list[Any], task: str, classes: tuple[str, ...]
) -> None:
    found = target.choose(source(label=values), None, None)
    assert (found.task, found.classes) == (task, classes)


@pytest.mark.parametrize(
    ("values", "task", "said"),
    [
        (["yes"] * 5, None, "is 'yes' in every row"),
        (["yes", None, "no", None], None, r"no value in 2 of 4 rows, first in row 2"),
        ([1.0, float("nan"), 2.0], None, "no value in 1 of 3 rows, first in row 2"),
        (["a", "b"] * 5, "regression", "is text"),
        (["a", "b", "c"] * 5, "binary", "has 3 values"),
        ([0.5, 1.5] * 5, "binary", "has fractions"),
        ([f"name {n}" for n in range(200)], None, "200 different values"),
    ],
)
def test_a_label_that_cannot_be_learned_is_refused_in_one_sentence(
    values: list[Any], task: str | None, said: str
) -> None:
    with pytest.raises(ProjectError, match=said):
        target.choose(source(label=values), None, task)
