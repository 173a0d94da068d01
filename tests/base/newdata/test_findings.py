"""Reading and judging a whole file: words for nothing, leaks, keys, splits as the ExampleGen makes them, the bar."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.newdata import findings, prose, reading, target
from pipelines.base.newdata.baseline import Baseline
from pipelines.base.newdata.columns import Role
from pipelines.base.newdata.findings import Findings
from tests.base.newdata import tables


def found(file: Path, keep: tuple[str, ...] = (), label: str | None = None) -> Findings:
    source = reading.read(file)
    return findings.find("churn", source, target.choose(source, label, None), keep)


def test_every_column_of_a_file_gets_its_role(tmp_path: Path) -> None:
    of_customers = found(tables.customers(tmp_path))
    roles = {column.name: column.role for column in of_customers.columns}
    assert roles == {
        "customer": Role.OUT,
        "plan": Role.CATEGORY,
        "months": Role.NUMBER,
        "charge": Role.NUMBER,
        "since": Role.DATE,
        "note": Role.TEXT,
        "always": Role.OUT,
        "region code": Role.CATEGORY,
        "churn": Role.LABEL,
    }
    assert of_customers.source.csv.null_values == ("NA",)
    assert of_customers.slices == ("plan", "region code")
    assert of_customers.train_rows + of_customers.eval_rows == 300
    measured = of_customers.baseline
    assert measured.naive == 0.5 < of_customers.bar < measured.linear < 1


def test_a_column_that_gives_the_label_away_is_left_out_and_said_and_can_be_kept(tmp_path: Path) -> None:
    lines = tables.customers(tmp_path).read_text().splitlines()
    leaking = tmp_path / "leaking.csv"
    marks = ["cancelled", *("1" if line.endswith("yes") else "0" for line in lines[1:])]
    leaking.write_text("".join(f"{mark},{line}\n" for mark, line in zip(marks, lines, strict=True)))
    column = found(leaking).columns[0]
    assert column.role is Role.OUT and "gives the label away (AUC 1.000 alone)" in column.about
    assert found(leaking, keep=("cancelled",)).columns[0].role is Role.NUMBER
    with pytest.raises(
        ProjectError, match=r"--keep: Column 'canceled' does not exist. Did you mean 'cancelled'"
    ):
        found(leaking, keep=("canceled",))


def test_rows_of_one_key_are_never_in_both_splits(tmp_path: Path) -> None:
    rows = [(number // 5, number % 17, number % 2) for number in range(400)]
    of_visits = found(tables.write(tmp_path / "visits.csv", ("patient_id", "dose", "target"), rows))
    assert of_visits.key == "patient_id"
    train, evaluation = findings.split(of_visits.source, of_visits.columns)
    patients = [set(part.column("patient_id").to_pylist()) for part in (train, evaluation)]
    assert patients[0] and patients[1] and patients[0].isdisjoint(patients[1])


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (
            ("a", "target"),
            [(n % 7, n % 2) for n in range(40)],
            "has 40 rows, . of them to judge by; expected about 100",
        ),
        (
            ("a", "target"),
            [("x", n % 2) for n in range(100)],
            "no column is left to learn from: a: always 'x'",
        ),
        (
            ("a", "target"),
            [(n * 0.7 % 9, int(n > 195)) for n in range(200)],
            "is '1' in . of 1.. training rows",
        ),
        (("a b", "a-b", "target"), [(n % 7, n % 5, n % 2) for n in range(200)], "would both be 'a_b_xf'"),
    ],
)
def test_data_that_nothing_can_be_made_of_is_refused(
    tmp_path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]], said: str
) -> None:
    with pytest.raises(ProjectError, match=said):
        found(tables.write(tmp_path / "t.csv", header, rows))


@pytest.mark.parametrize(
    ("naive", "linear", "noise", "smaller", "bar"),
    [
        (0.5, 0.9, 0.005, False, 0.86),
        (0.5, 0.9, 0.04, False, 0.82),
        (0.5, 0.6, 0.2, False, 0.55),
        (2.0, 1.0, 0.01, True, 1.1),
        (0.5, 0.45, 0.02, False, 0.52),
        (2.0, 2.1, 0.1, True, 1.9),
    ],
)
def test_the_bar_is_near_the_linear_model_and_clearly_past_the_naive_answer(
    naive: float, linear: float, noise: float, smaller: bool, bar: float, tmp_path: Path
) -> None:
    import dataclasses

    metric = "root_mean_squared_error" if smaller else "auc"
    measured = Baseline(metric, naive, linear, linear, noise)
    of_prices = dataclasses.replace(found(tables.prices(tmp_path), label="price"), baseline=measured)
    assert of_prices.bar == pytest.approx(bar)


def test_a_semicolon_file_with_decimal_commas_is_read_as_it_is_written(tmp_path: Path) -> None:
    rows = [(n % 7, f"{n % 50},25", n % 2) for n in range(100)]
    source = reading.read(tables.write(tmp_path / "t.csv", ("a", "b", "target"), rows, ";"))
    assert source.csv.changed() == {"delimiter": ";", "decimal": ","}
    assert str(source.table.column("b").type) == "double"


def test_classes_of_a_few_rows_are_no_obstacle(tmp_path: Path) -> None:
    rows = [
        (n % 9, ("low", "high", "rare")[2 if n == 7 else int(n % 9 > 4) ^ int(n % 11 == 0)])
        for n in range(300)
    ]
    of_levels = found(tables.write(tmp_path / "t.csv", ("a", "target"), rows))
    assert of_levels.target.classes == ("high", "low", "rare") and of_levels.baseline.linear > 0.7


def test_later_rows_judge_where_that_is_asked_and_what_could_say_so_is_told(tmp_path: Path) -> None:
    source = reading.read(tables.customers(tmp_path))
    chosen = target.choose(source, None, None)
    by_chance = findings.find("churn", source, chosen)
    assert any("--split-by time:since" in line for line in prose.summary(by_chance))
    by_time = findings.find("churn", source, chosen, split_by="time:since")
    train, evaluation = findings.split(source, by_time.columns, by_time.split_time)
    assert (train.num_rows, evaluation.num_rows) == (by_time.train_rows, by_time.eval_rows)
    assert max(train.column("since").to_pylist()) < min(evaluation.column("since").to_pylist())
    assert 0.1 < evaluation.num_rows / 300 < 0.3 and by_time.key is None
    assert {c.name: c.role for c in by_time.columns} == {c.name: c.role for c in by_chance.columns}
    text = "\n".join([*prose.summary(by_time), prose.readme(by_time)["SPLIT"]])
    assert text.count("the latest by") == 2 and "--split-by" not in text


def test_a_key_can_be_named_and_a_time_needs_none(tmp_path: Path) -> None:
    rows = [(n // 5, n % 17, n * 7 % 23, n % 2) for n in range(400)]
    source = reading.read(
        tables.write(tmp_path / "visits.csv", ("patient_id", "dose", "size", "target"), rows)
    )
    chosen = target.choose(source, None, None)
    assert findings.find("v", source, chosen, split_by="key:dose").key == "dose"
    by_time = findings.find("v", source, chosen, split_by="time:patient_id")
    assert by_time.key is None and (by_time.train_rows, by_time.eval_rows) == (320, 80)


@pytest.mark.parametrize(
    ("split_by", "said"),
    [
        ("since", "expected time:COLUMN"),
        ("time:sinse", "Did you mean 'since'"),
        ("time:charge", "of the rows have no value of it"),
        ("time:plan", "split_time 'plan' is"),
        ("key:churn", "is the label"),
    ],
)
def test_what_cannot_split_is_refused(tmp_path: Path, split_by: str, said: str) -> None:
    source = reading.read(tables.customers(tmp_path))
    with pytest.raises(ViaductError, match=said):
        findings.find("churn", source, target.choose(source, None, None), split_by=split_by)
