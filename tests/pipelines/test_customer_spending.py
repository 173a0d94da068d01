"""customer_spending: exact sums, frames by rows, no look ahead, the hurdle's forecasts, the backtest, the server."""

from __future__ import annotations

import datetime
import io
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.errors import ProjectError
from tests.conftest import missing

HEADER = "order_id,customer,date,category,product,quantity,price\n"
# Two customers; Ann orders twice on one day, around New Year, and sends something back.
LINES = HEADER + (
    "7,ann,2009-12-30,x,a,1,10.00\n"
    "8,ann,2009-12-30,x,b,2,2.50\n"
    "9,bob,2009-12-31,x,a,1,0.10\n"
    "10,ann,2010-01-02,x,a,1,1.00\n"
    "10,ann,2010-01-02,x,b,3,0.30\n"
    "11,ann,2010-01-04,x,a,-1,10.00\n"
    "12,ann,2010-12-30,x,a,4,1.25\n"
)


def written(folder: Path, text: str, name: str = "orders.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipelines.customer_spending import data

    folder = tmp_path_factory.mktemp("shop")
    data.sample(folder, 6000, 3)
    return folder / "orders.csv"


def test_ucis_columns_are_read_and_amounts_are_exact(tmp_path: Path) -> None:
    from pipelines.customer_spending.orders import read_orders

    text = (
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
        '489434,85048,"LIGHTS, 12",12,2009-12-01 07:45:00,6.95,13085.0,United Kingdom\n'
        "489435,22350,nobody's,1,2009-12-01 07:46:00,9.99,,United Kingdom\n"
        "C489449,22087,sent back,-3,2009-12-01 10:33:00,2.95,13085.0,Australia\n"
        "489450,1,half a cent,1,2009-12-02 10:33:00,0.005,13086,Australia\n"
    )
    orders = read_orders([written(tmp_path, text)])
    assert orders.customers.tolist() == ["13085", "13086"]
    assert orders.cents.tolist() == [8340, -885, 0]
    assert orders.order_ids.tolist() == ["489434", "C489449", "489450"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("order_id,customer,date,quantity\n1,a,2010-01-01,1\n", "no column 'price'"),
        ("order_id,customer,date,quantity,price,Price\n", "two columns 'price'"),
        (HEADER + "1,a,01/02/2010,x,p,1,1.00\n", "line 2.*01/02/2010.*expected a date"),
        (HEADER + "1,a,2010-01-01,x,p,1,\n", "line 2.*expected a date"),
        (HEADER + "1,a,2010-01-01,x,p,many,1.0\n", "line 2.*many"),
        (HEADER + ",a,2010-01-01,x,p,1,1.0\n", "line 2.*expected an order id"),
        (HEADER + "1,,2010-01-01,x,p,1,1.0\n", "no order line names a customer"),
    ],
)
def test_tables_that_cannot_be_right_are_refused_with_file_and_line(
    tmp_path: Path, text: str, words: str
) -> None:
    from pipelines.customer_spending.orders import read_orders

    with pytest.raises(ProjectError, match=words) as told:
        read_orders([written(tmp_path, text)])
    assert "orders.csv" in str(told.value)


def test_the_tables_of_a_few_orders_are_those_reckoned_by_hand(tmp_path: Path) -> None:
    from pipelines.customer_spending.orders import read_orders
    from pipelines.customer_spending.tables import make_tables

    tables = make_tables(read_orders([written(tmp_path, LINES)]))
    orders = tables["orders"]
    # Two orders of one day are two rows: a frame by value would give both of them 1500.
    assert orders["order_id"].tolist() == ["7", "8", "10", "11", "12", "9"]
    assert orders["cumulative_cents"].tolist() == [1000, 1500, 1690, 690, 1190, 10]
    np.testing.assert_allclose(orders["average_last_4"], [1000, 750, 1690 / 3, 172.5, 190 / 4, 10])
    np.testing.assert_allclose(orders["average_of_5"], [1690 / 3, 690 / 4, 1190 / 5, 190 / 4, -310 / 3, 10])
    # 2009-12-30 and 2010-01-02 lie in the last ISO week of 2009, which has 53; 2010-12-30 in week 52 of 2010.
    weeks = tables["weeks"]
    assert weeks["period"].tolist() == ["2009-W53", "2010-W01", "2010-W52", "2009-W53"]
    assert weeks["cents"].tolist() == [1690, -1000, 500, 10]
    assert weeks["back_cents"].tolist() == [1690, 690, 1190, 10]
    assert tables["months"]["period"].tolist() == ["2009-12", "2010-01", "2010-12", "2009-12"]
    assert tables["days"]["back_cents"].tolist() == [1500, 1690, 690, 1190, 10]
    customers = {name: values.tolist() for name, values in tables["customers"].items()}
    assert customers["days"] == [4, 1] and customers["orders"] == [5, 1] and customers["returned"] == [1, 0]
    assert customers["cents"] == [1190, 10]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-(10**9), 10**9)), min_size=1, max_size=30),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_a_frame_is_the_rows_before_and_after_of_the_same_group(
    rows: list[tuple[int, int]], before: int, after: int
) -> None:
    from pipelines.customer_spending.tables import framed_sums

    group, values = (np.array(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True))
    total, count = framed_sums(values, group, before, after)
    for row in range(len(values)):
        near = [
            i for i in range(row - before, row + after + 1) if 0 <= i < len(values) and group[i] == group[row]
        ]
        assert total[row] == sum(int(values[i]) for i in near) and count[row] == len(near)


def test_labels_of_one_split_do_not_lie_in_the_time_of_the_next(shop: Path) -> None:
    from pipelines.customer_spending.rows import HORIZON, read_rows

    days: dict[str, set[str]] = {}
    for split, row in read_rows([shop], {"eval_periods": 2, "tune_periods": 1}):
        days.setdefault(split, set()).add(row["as_of"])
        assert row["days_ago"] == sorted(row["days_ago"]) and row["days_ago"][0] >= 0
    assert (len(days["eval"]), len(days["tune"])) == (2, 1)
    order = sorted(datetime.date.fromisoformat(day) for split in days.values() for day in split)
    assert {(b - a).days for a, b in itertools.pairwise(order)} == {HORIZON}
    assert max(days["train"]) < min(days["tune"]) < min(days["eval"])


def test_what_is_ordered_later_changes_the_label_and_nothing_else(shop: Path) -> None:
    from dataclasses import replace

    from pipelines.customer_spending.orders import read_orders
    from pipelines.customer_spending.rows import HORIZON, LABEL_KEY, daily, rows_of

    orders = read_orders([shop])
    as_of = orders.last_day - 3 * HORIZON
    later = orders.day > as_of
    changed = replace(orders, cents=np.where(later, orders.cents * 3 + 7, orders.cents))
    moved = replace(changed, day=np.where(later, as_of + 1, orders.day))
    mine, theirs = (list(rows_of(daily(told), orders.customers, as_of)) for told in (orders, moved))
    assert [row.pop(LABEL_KEY) for row in mine] != [row.pop(LABEL_KEY) for row in theirs]
    assert mine == theirs and len(mine) > 50


def test_too_short_a_history_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    from pipelines.customer_spending.rows import read_rows

    with pytest.raises(ProjectError, match=r"2009-12-30 to 2010-12-30; expected 392 days"):
        list(read_rows([written(tmp_path, LINES)], {"eval_periods": 4, "tune_periods": 3}))


def test_dates_are_those_of_the_calendar_and_others_are_refused() -> None:
    import tensorflow as tf

    from pipelines.customer_spending.dates import days_since_1970

    first = datetime.date(1896, 1, 1)
    dates = [first + datetime.timedelta(days=37 * step) for step in range(2000)]
    dates += [datetime.date(2000, 2, 29), datetime.date(1900, 2, 28), datetime.date(2100, 3, 1)]
    found = days_since_1970(tf.constant([date.isoformat() for date in dates])).numpy()
    assert found.tolist() == [(date - datetime.date(1970, 1, 1)).days for date in dates]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"(?s)Expected dates as 2011-12-09.*9\.12\.2011"
    ):
        days_since_1970(tf.constant(["2011-12-09", "9.12.2011"]))


def test_windows_are_sums_counts_and_gaps_of_what_a_customer_did() -> None:
    import tensorflow as tf

    from pipelines.customer_spending.features import WINDOWS, windows

    days = tf.constant([[0, 27, 28, 340], [5, -1, -1, -1]], tf.int64)
    cents = tf.constant([[1000, 500, -200, 4000], [700, 0, 0, 0]], tf.int64)
    found = windows(days, cents).numpy()
    sums, counts = np.expm1(found[:, 0 : 2 * len(WINDOWS) : 2]), np.expm1(found[:, 1 : 2 * len(WINDOWS) : 2])
    np.testing.assert_allclose(sums, [[15, 13, 13, 13, 53], [7] * 5], rtol=1e-5)
    np.testing.assert_allclose(counts, [[2, 3, 3, 3, 4], [1] * 5], rtol=1e-5)
    last, first, gap, overdue, newest, mean, spread, most, year_ago, back = found[:, 10:20].T
    np.testing.assert_allclose(np.expm1(last), [0, 5], atol=1e-5)
    np.testing.assert_allclose(np.expm1(first), [340, 5], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(gap), [340 / 3, 5], rtol=1e-5)
    np.testing.assert_allclose(overdue, [0, 1], atol=1e-6)
    np.testing.assert_allclose(np.expm1(newest), [10, 7], rtol=1e-5)
    np.testing.assert_allclose(most, np.log1p([40, 7]), rtol=1e-5)
    np.testing.assert_allclose(np.expm1(year_ago), [40, 0], atol=1e-4)
    np.testing.assert_allclose(back, [2 / 55, 0], atol=1e-6)
    logs = np.log1p([10, 5, 0, 40])
    np.testing.assert_allclose([mean[0], spread[0]], [logs.mean(), logs.std()], rtol=1e-5)


def test_forecasts_are_the_hurdles_mean_and_quantiles() -> None:
    import tensorflow as tf

    from pipelines.customer_spending.model import LOWER, UPPER, forecast, parts

    told = tf.constant([[0.4, 0.3, 0.1], [3.0, -0.5, 0.4], [-3.0, 0.0, 0.0]])
    answer = {key: values.numpy() for key, values in forecast(told, tf.constant(1.1)).items()}
    logit, centre, width = (values.numpy() for values in parts(told))
    random = np.random.default_rng(1)
    drawn = np.exp(centre + width * random.normal(size=(400_000, 3))) * (
        random.random((400_000, 3)) < 1 / (1 + np.exp(-logit))
    )
    np.testing.assert_allclose(answer["expected"], 1.1 * drawn.mean(axis=0), rtol=0.02)
    for name, share in (("median", 0.5), ("lower", LOWER), ("upper", UPPER)):
        np.testing.assert_allclose(answer[name], np.quantile(drawn, share, axis=0), rtol=0.03, atol=1e-6)


def test_the_loss_is_least_at_the_distribution_that_made_the_data() -> None:
    import tensorflow as tf

    from pipelines.customer_spending.model import hurdle_loss

    random = np.random.default_rng(2)
    buys = random.random(20_000) < 0.3
    spent = tf.constant(
        np.where(buys, np.exp(4.6 + 0.8 * random.normal(size=20_000)), 0.0)[:, None], tf.float32
    )

    def loss(chance: float, centre: float, width: float) -> float:
        softplus = np.log(np.expm1(width - 0.05))
        told = tf.constant([[np.log(chance / (1 - chance)), centre - 4.6, softplus]] * 20_000, tf.float32)
        return float(tf.reduce_mean(hurdle_loss(spent, told)))

    best = loss(0.3, 4.6, 0.8)
    assert best < min(loss(0.4, 4.6, 0.8), loss(0.3, 4.9, 0.8), loss(0.3, 4.6, 1.1), loss(0.3, 4.6, 0.6))


def test_metrics_and_rivals_are_those_reckoned_by_hand(tmp_path: Path) -> None:
    import tensorflow as tf

    from components.function_example_gen.executor import encode
    from pipelines.customer_spending import evaluate

    rows = [
        {"days_ago": [3, 40], "cents": [500, 2300], "recency": "up to 4 weeks", "spent_cents": 1000},
        {"days_ago": [83], "cents": [900], "recency": "5 to 12 weeks", "spent_cents": 0},
    ]
    with tf.io.TFRecordWriter(str(tmp_path / "rows.gz"), "GZIP") as writer:
        for number, row in enumerate(rows):
            writer.write(encode({"customer": f"c{number}", "as_of": "2011-01-01", **row}))
    read = evaluate.read((str(tmp_path / "rows.gz"),))
    np.testing.assert_allclose(read.rivals["last_period"], [5, 0])
    np.testing.assert_allclose(read.rivals["customer_mean"], [28 / (41 / 28), 9 / 3])
    told = {"median": [8.0, 1.0], "expected": [9.0, 2.0], "lower": [9.5, 0.0], "upper": [12.0, 3.0]}
    columns = np.stack(
        evaluate._columns(read, {key: np.array(values) for key, values in told.items()}), axis=1
    )
    metrics = evaluate._metrics(columns.sum(axis=0), 2.0)
    assert metrics["mae"] == 1.5 and metrics["mae_expected"] == 1.5 and metrics["mae_nothing"] == 5.0
    assert metrics["mae_last_period"] == 2.5 and metrics["mae_gain_on_best"] == 1.0
    assert metrics["coverage"] == 1.0 and metrics["interval_width"] == 2.75
    assert metrics["total_ratio"] == pytest.approx(1.1) and metrics["total_error"] == pytest.approx(0.1)


def test_ucis_workbook_becomes_one_table(tmp_path: Path) -> None:
    import openpyxl

    from pipelines.customer_spending.data import write_workbook
    from pipelines.customer_spending.orders import read_orders

    book = openpyxl.Workbook()
    header = [
        "Invoice",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "Price",
        "Customer ID",
        "Country",
    ]
    for number, sheet in enumerate((book.active, book.create_sheet())):
        sheet.append(header)
        when = datetime.datetime(2010 + number, 1, 2, 8, 30)
        sheet.append([f"{number}", "1", "a, b", 2, when, 1.25, 17850.0, "France"])
    packed = io.BytesIO()
    book.save(packed)
    write_workbook(packed, tmp_path / "orders.csv")
    orders = read_orders([tmp_path / "orders.csv"])
    assert orders.cents.tolist() == [250, 250] and orders.customers.tolist() == ["17850"]


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.xdist_group("spark")
def test_sparks_windows_give_the_same_rows_in_the_same_order(shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        missing("Java")
    from pipelines.customer_spending import spark_tables, tables

    # Two files, the second with UCI's columns in another order; quotes, a time, half a cent, a customer like a number.
    more = written(tmp_path, "\ufeff" + LINES, "more.csv")
    other = written(
        tmp_path,
        "Price,Invoice,StockCode,Description,Quantity,InvoiceDate,Customer ID,Country\n"
        '6.95,489434,85048,"12"" LIGHTS,\nround",12,2009-12-01 07:45:00,13085.0,United Kingdom\n'
        "0.005,489450,1,half a cent,3,2009-12-02 10:33:00,13085,Australia\n"
        "9.99,489435,22350,nobody's,1,2009-12-01,,Australia\n",
        "other.csv",
    )
    files = [shop, more, other]
    expected = list(tables.read_rows(files, {}))
    assert list(spark_tables.read_rows(files, {spark_tables.MASTER: "local[2]"})) == expected
    wrong = written(tmp_path, LINES + "12,ann,2010-12-32,x,a,4,1.25\n", "wrong.csv")
    with pytest.raises(ProjectError, match=r"wrong\.csv: .*2010-12-32.*expected an order id, a date as"):
        list(spark_tables.read_rows([wrong], {spark_tables.MASTER: "local[1]"}))
    # Before Spark has anything to do.
    with pytest.raises(ProjectError, match=r"No Spark master answers at spark://127.0.0.1:1"):
        list(spark_tables.read_rows(files, {spark_tables.MASTER: "spark://127.0.0.1:1"}))


@pytest.mark.slow
@pytest.mark.xdist_group("run-customer_spending")
def test_a_served_model_forecasts_from_dates_and_cents_over_grpc(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from pipelines.base import answer
    from serving.client import Client
    from serving.errors import ServingError

    run = finished_run("customer_spending")
    assert run.code == 0 and run.record.blessed, run.output
    pushed = Path(run.record.pushed)
    process, addresses = answer.start_server("customer_spending", pushed.parent, tmp_path / "serving.log")
    try:
        with Client(addresses["grpc"]) as client:

            def forecast(dates: list[list[str]], cents: list[list[int]], as_of: list[str]) -> dict[str, Any]:
                inputs = {"dates": np.array(dates, object), "cents": cents, "as_of": np.array(as_of, object)}
                return client.predict("customer_spending", inputs)

            often = [f"2011-{month:02d}-{day:02d}" for month in range(3, 10) for day in (2, 12, 22)]
            seldom = ["2010-02-01", *[""] * (len(often) - 1)]
            told = forecast([often, seldom], [[9000] * len(often)] * 2, ["2011-10-01"] * 2)
            with pytest.raises(ServingError, match="after as_of"):
                forecast([["2011-10-02"]], [[100]], ["2011-10-01"])
            with pytest.raises(ServingError, match="Expected dates as"):
                forecast([["yesterday"]], [[100]], ["2011-10-01"])
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert told["buys"][0] > 0.5 > told["buys"][1] and told["expected"][0] > 5 * told["expected"][1]
    assert np.all(told["lower"] <= told["median"]) and np.all(told["median"] <= told["upper"])
