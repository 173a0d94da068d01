"""stock_prices: kernels against GPflow, forecasts that never look ahead, the reader, the backtest, the server."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT


@pytest.fixture(scope="module")
def history() -> Any:
    """Five years of one random walk on the days that a sample has."""
    from pipelines.stock_prices import data
    from pipelines.stock_prices.histories import History

    days = data._trading_days(5 * 252)
    year = np.array([d.year for d in days])
    day = np.array([d.timetuple().tm_yday for d in days])
    log_price = 3 + np.cumsum(np.random.default_rng(5).normal(0, 0.015, len(days)))
    anchor = np.array([log_price[max(0, int(np.searchsorted(year, y)) - 1)] for y in year])
    return History("ACME", year, day, log_price - anchor, anchor, int(year[-1]) - 1)


def forecaster(history: Any, variant: str = "walk") -> Any:
    from pipelines.stock_prices import kernels
    from pipelines.stock_prices.forecasting import Reverting, make_forecaster, signatures
    from pipelines.stock_prices.model import REVERTING, averaged

    if variant == REVERTING:
        return signatures(Reverting([history], averaged([history])))
    fits = dict.fromkeys(range(history.begin, int(history.year[-1]) + 2), kernels.START[variant])
    return signatures(make_forecaster([history], [fits], variant, 5))


def ask(signature: Any, stock: str, year: int, quarter: int) -> dict[str, np.ndarray]:
    import tensorflow as tf

    answer = signature(
        stock=tf.constant([stock]),
        year=tf.constant([year], tf.int64),
        quarter=tf.constant([quarter], tf.int64),
    )
    return {key: value.numpy()[0] for key, value in answer.items()}


def test_rbf_white_is_gpflows_rbf_plus_white() -> None:
    import gpflow

    from pipelines.stock_prices import kernels

    points = np.random.default_rng(1).uniform(0, 3, (12, 2))
    theirs = gpflow.kernels.RBF(variance=0.3, lengthscales=[2.0, 0.4])
    hyper = {"variance": 0.3, "year_scale": 2.0, "day_scale": 0.4}
    ours = kernels.matrix("rbf_white", points, points, hyper)
    np.testing.assert_allclose(ours, theirs(points), rtol=1e-9)
    matern = gpflow.kernels.Matern12(variance=0.3, lengthscales=[2.0, 0.4])
    np.testing.assert_allclose(
        kernels.matrix("matern_white", points, points, hyper), matern(points), rtol=1e-6
    )


@pytest.mark.parametrize("variant", ["walk", "rbf_white", "matern_white"])
def test_the_served_posterior_is_gpflows_and_masked_points_do_not_count(variant: str) -> None:
    import tensorflow as tf

    from pipelines.stock_prices import kernels

    random = np.random.default_rng(2)
    points = np.stack(
        [np.repeat([2001.0, 2002.0, 2003.0], 10), np.tile(np.linspace(0.05, 0.9, 10), 3)], axis=1
    )
    values, wanted = random.normal(0, 0.1, 30), np.array([[2003.0, 0.95], [2004.0, 0.5]])
    start = {**kernels.START[variant], "noise": 1e-4}
    mean, variance = kernels.gpflow_model(variant, points, values, start).predict_y(wanted)
    mask = np.r_[np.ones(30, bool), np.zeros(4, bool)]
    padded = np.r_[points, random.uniform(0, 1, (4, 2))]
    ours = kernels.condition(
        variant, start, tf.constant(padded), tf.constant(np.r_[values, np.ones(4)]), mask, wanted
    )
    np.testing.assert_allclose(ours[0], mean.numpy()[:, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours[1], variance.numpy()[:, 0], rtol=1e-4)


def test_a_fit_finds_the_volatility_that_made_the_data(history: Any) -> None:
    from pipelines.stock_prices import kernels

    kept = history.thinned(5)
    found, _ = kernels.fit("walk", history.points[kept], history.curve[kept], steps=40)
    assert found["walk"] == pytest.approx(252 * 0.015**2, rel=0.35)


@pytest.mark.parametrize("variant", ["walk", "reverting"])
def test_a_forecast_does_not_change_with_what_came_after_its_origin(history: Any, variant: str) -> None:
    from dataclasses import replace

    year, later = history.begin, history.year * 1000 + history.day
    for quarter, first in ((0, 1), (3, 182)):
        changed = np.where(later >= year * 1000 + first, history.curve + 1.0, history.curve)
        anchor = np.where(history.year > year, history.anchor + 1.0, history.anchor)
        before = ask(forecaster(history, variant)["serving_default"], "ACME", year, quarter)
        after = ask(
            forecaster(replace(history, curve=changed, anchor=anchor), variant)["serving_default"],
            "ACME",
            year,
            quarter,
        )
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])


def test_a_quarters_forecast_starts_at_the_last_close_and_its_band_widens(history: Any) -> None:
    year = history.begin
    answer = ask(forecaster(history)["serving_default"], "ACME", year, 2)
    rows = np.flatnonzero((history.year == year) & (history.day < 91))
    last_close = np.exp(history.curve[rows[-1]] + history.anchor[rows[-1]])
    assert answer["mean"][0] == pytest.approx(last_close, rel=0.01)
    width = np.log(answer["upper"]) - np.log(answer["lower"])
    assert np.all(np.diff(width) > 0) and answer["days"][0] >= 91 and answer["days"][-1] <= 181


def test_the_year_after_the_data_is_forecast_with_all_that_is_unsure_before_it(history: Any) -> None:
    signature = forecaster(history)["serving_default"]
    last = int(history.year[-1])
    this, following = ask(signature, "ACME", last, 4), ask(signature, "ACME", last + 1, 0)
    width = [np.log(a["upper"]) - np.log(a["lower"]) for a in (this, following)]
    assert width[1][0] >= width[0][-1] * 0.98
    assert following["mean"][0] == pytest.approx(this["mean"][-1], rel=0.05)


def test_unknown_stocks_years_and_quarters_are_refused_with_what_is_known(history: Any) -> None:
    import tensorflow as tf

    signature = forecaster(history)["serving_default"]
    for arguments, words in (
        (("ACNE", history.begin, 0), "ACNE"),
        (("ACME", history.begin - 1, 0), "Year cannot be forecast"),
        (("ACME", history.begin, 5), "Quarter must be"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            ask(signature, *arguments)


def test_a_request_for_two_periods_gives_what_two_requests_give(history: Any) -> None:
    import tensorflow as tf

    signature = forecaster(history)["serving_default"]
    both = signature(
        stock=tf.constant(["ACME"] * 2),
        year=tf.constant([history.begin] * 2, tf.int64),
        quarter=tf.constant([0, 2], tf.int64),
    )
    for row, quarter in enumerate((0, 2)):
        alone = ask(signature, "ACME", history.begin, quarter)
        count = len(alone["days"])
        np.testing.assert_array_equal(both["days"].numpy()[row, :count], alone["days"])
        np.testing.assert_allclose(both["mean"].numpy()[row, :count], alone["mean"], rtol=1e-6)
    assert both["days"].numpy()[1, count] == 0 and np.isnan(both["mean"].numpy()[1, count])


def test_weekdays_are_those_of_the_calendar() -> None:
    import tensorflow as tf

    from pipelines.stock_prices.forecasting import weekdays

    for year in (1900, 1999, 2000, 2016, 2023, 2100):
        found = weekdays(*(tf.constant(n, tf.int64) for n in (year, 1, 366))).numpy().tolist()
        first = datetime.date(year, 1, 1)
        dates = [first + datetime.timedelta(days=n) for n in range(366)]
        assert found == [d.timetuple().tm_yday for d in dates if d.year == year and d.weekday() < 5]


def test_thinning_keeps_the_last_day_of_every_quarter(history: Any) -> None:
    kept = history.thinned(10)
    quarter = history.year * 4 + np.searchsorted((91, 182, 274), history.day, side="right")
    lasts = {int(np.flatnonzero(quarter == q)[-1]) for q in np.unique(quarter)}
    assert lasts <= set(kept.tolist()) and len(kept) < len(history.day) / 7


def test_rows_are_split_by_year_and_anchored_at_the_last_close_of_the_year_before(tmp_path: Path) -> None:
    from pipelines.stock_prices import data
    from pipelines.stock_prices.rows import read_rows

    data.sample(tmp_path, 6 * 252 * 3, 1)
    rows = list(read_rows(sorted(tmp_path.glob("*.csv")), {"backtest_years": 2}))
    mine = [(split, row) for split, row in rows if row["stock"] == "ACME"]
    last = mine[-1][1]["year"]
    assert {row["year"] for split, row in mine if split == "eval"} == {last - 1, last}
    closes = [row["close"] for _, row in mine if row["year"] == last - 1]
    assert {row["anchor"] for _, row in mine if row["year"] == last} == {closes[-1]}


def test_tables_that_cannot_be_right_are_refused_with_file_and_line(tmp_path: Path) -> None:
    from pipelines.stock_prices.rows import COLUMNS, read_rows

    header = ",".join(COLUMNS) + "\n"
    for content, words in (
        (header + "2001-01-02,1,1,1,1,1,5\n2001-01-02,1,1,1,1,1,5\n", "line 3.*oldest day first"),
        (header + "2001-01-02,1,1,1,1,zero,5\n", "line 2.*expected the columns"),
        ("Day,Price\n1,2\n", "expected the columns"),
        (header + "2001-01-02,1,1,1,1,1,5\n", "4 calendar years"),
    ):
        (tmp_path / "X.csv").write_text(content, encoding="utf-8")
        with pytest.raises(ProjectError, match=words):
            list(read_rows([tmp_path / "X.csv"], {"backtest_years": 3}))


def test_the_naive_forecasts_use_nothing_after_the_origin(history: Any) -> None:
    from dataclasses import replace

    from pipelines.stock_prices import evaluate

    year = history.begin
    changed = replace(history, curve=np.where(history.year >= year, history.curve + 2.0, history.curve))
    first, other = next(evaluate.periods([history])), next(evaluate.periods([changed]))
    assert first.year == year and first.quarter == 0
    for naive in (evaluate.last_value, evaluate.mean_variance, evaluate.mean_of_years):
        for mine, theirs in zip(naive(first), naive(other), strict=True):
            np.testing.assert_allclose(mine, theirs)


def jumpy(history: Any, quiet: float, loud: float, days: int) -> Any:
    """`history` with returns of deviation `quiet`, of `loud` on the last `days` before its last two years."""
    from dataclasses import replace

    deviation = np.full(len(history.year), quiet)
    origin = int(np.searchsorted(history.year, history.begin))
    deviation[origin - days : origin] = loud
    price = 3 + np.cumsum(np.random.default_rng(7).normal(0, 1, len(deviation)) * deviation)
    anchor = np.array([price[max(0, int(np.searchsorted(history.year, y)) - 1)] for y in history.year])
    return replace(history, curve=price - anchor, anchor=anchor)


def test_the_served_variance_is_the_weighted_mean_of_all_combinations(history: Any) -> None:
    from pipelines.stock_prices import volatility
    from pipelines.stock_prices.histories import BAND, DAYS_PER_YEAR

    given = jumpy(history, 0.01, 0.03, 40)
    year = given.begin
    answer = ask(forecaster(given, "reverting")["serving_default"], "ACME", year, 0)
    known = given.year < year
    time, price = given.time[known], given.log_price[known]
    usual, recent = volatility.rates(np.diff(price) ** 2, time[-1] - time[0])
    ahead = year + answer["days"] / DAYS_PER_YEAR - time[-1]
    weights = volatility.weights([given], [year])[year]
    expected = weights.ravel() @ volatility.variances(usual, recent, np.maximum(ahead, 1 / DAYS_PER_YEAR))
    half = (np.log(answer["upper"]) - np.log(answer["lower"])) / 2
    np.testing.assert_allclose((half / BAND) ** 2, expected, rtol=1e-4)
    np.testing.assert_allclose(answer["mean"], np.exp(price[-1]), rtol=1e-5)


def test_after_a_loud_month_the_variance_is_high_and_returns_to_the_usual_one(history: Any) -> None:
    from pipelines.stock_prices import volatility

    usual, recent = volatility.rates(np.r_[np.full(900, 1e-4), np.full(40, 9e-4)], 940 / 252)
    assert usual == pytest.approx(252 * (900e-4 + 360e-4) / 940)
    assert np.all(np.diff(recent) < 0) and recent[0] > 2 * usual, "short memories see more of the loud month"
    ahead = np.array([1 / 252, 0.25, 1.0, 10.0])
    rate = volatility.variances(usual, recent, ahead) / ahead
    assert np.all(rate[:, 0] > 1.1 * usual) and np.all(np.diff(rate, axis=1) < 0)
    fast = [i for i, (_, speed, _) in enumerate(volatility.GRID) if volatility.SPEEDS[speed] == 8.0]
    np.testing.assert_allclose(rate[fast, -1], usual, rtol=0.1)


def test_combinations_that_forecast_earlier_windows_better_weigh_more(history: Any) -> None:
    from pipelines.stock_prices import volatility

    ends, losses = volatility.windows(history)
    year = int(history.year[-1])
    (before,) = volatility.weights([history], [int(history.year[0])]).values()
    (after,) = volatility.weights([history], [year]).values()
    np.testing.assert_allclose(before, 1 / len(volatility.GRID))
    assert after.sum() == pytest.approx(1.0)
    known = losses[ends < year].mean(axis=0)
    order = np.argsort(known)
    assert after.ravel()[order[0]] > after.ravel()[order[-1]]
    assert np.all(np.diff(after.ravel()[order]) <= 1e-15)


def test_the_gain_on_the_best_rival_is_judged_by_years() -> None:
    from pipelines.stock_prices.evaluate import RIVALS, _metrics

    def forecast(own: float, theirs: float) -> dict[str, np.ndarray]:
        rivals = {
            f"_{name}": np.array([1.0, 9.0, theirs + 5.0 * (name != "last_value"), 10.0]) for name in RIVALS
        }
        return {"": np.array([1.0, 9.0, own, 10.0]), **rivals}

    ones, years = np.ones(4, int), np.array([0, 0, 1, 1])
    alike = _metrics([forecast(-5.0, -4.0)] * 4, ones, years)
    assert alike["nll_gain_on_last_value"] == pytest.approx(0.1)
    assert alike["nll_gain_on_best_upper"] == pytest.approx(0.1), "every year says the same"
    unlike = _metrics([forecast(-5.0, -4.0)] * 2 + [forecast(-4.0, -5.0)] * 2, ones, years)
    # Gains of 0.1 and -0.1 in two years: a deviation of 0.1414, of the mean of two 0.1.
    assert unlike["nll_gain_on_best_upper"] == pytest.approx(1.96 * 0.1)


def test_scores_are_those_of_the_normal_distribution() -> None:
    from scipy.stats import norm

    from pipelines.stock_prices.evaluate import _score

    actual, mean, deviation = np.array([0.1, 0.5]), np.array([0.0, 0.0]), np.array([0.2, 0.2])
    squared, inside, nll = _score(actual, mean, deviation)
    np.testing.assert_allclose(nll, -norm.logpdf(actual, mean, deviation))
    np.testing.assert_allclose(squared, [0.01, 0.25])
    assert inside.tolist() == [1.0, 0.0]


@pytest.mark.slow
@pytest.mark.xdist_group("run-stock_prices")
def test_a_served_model_forecasts_a_quarter_and_the_coming_year_over_grpc(
    finished_run: Callable[[str], Any], tmp_path: Path
) -> None:
    from pipelines.base import answer
    from serving.client import Client
    from serving.errors import ServingError

    run = finished_run("stock_prices")
    assert run.code == 0 and run.record.blessed, run.output
    process, addresses = answer.start_server(
        "stock_prices", Path(run.record.pushed).parent, tmp_path / "serving.log"
    )
    try:
        with Client(addresses["grpc"]) as client:

            def forecast(stock: str, year: int, quarter: int) -> dict[str, np.ndarray]:
                inputs = {"stock": np.array([stock], object), "year": [year], "quarter": [quarter]}
                return client.predict("stock_prices", inputs)

            quarter, year = forecast("ACME", 2016, 3), forecast("BOLT", 2017, 0)
            with pytest.raises(ServingError, match="Stock is not known"):
                forecast("NONE", 2016, 0)
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert 60 <= quarter["days"].shape[1] <= 66 and year["days"].shape[1] in (260, 261, 262)
    for found in (quarter, year):
        assert np.all(found["lower"] < found["mean"]) and np.all(found["mean"] < found["upper"])


@pytest.mark.slow
@pytest.mark.xdist_group("run-stock_prices")
def test_the_pushed_model_answers_where_gpflow_is_not_installed(finished_run: Callable[[str], Any]) -> None:
    run = finished_run("stock_prices")
    program = (
        "import sys; sys.modules['gpflow'] = sys.modules['tensorflow_probability'] = None\n"
        "import tensorflow as tf\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "year, quarter = (tf.constant([n], tf.int64) for n in (2016, 0))\n"
        "print(serve(stock=tf.constant(['CORE']), year=year, quarter=quarter)['mean'].shape[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, run.record.pushed],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 0 and int(done.stdout) == 261, done.stderr


@pytest.mark.slow
@pytest.mark.real_data
def test_on_real_prices_the_walk_is_calibrated_and_likelier_than_the_books_kernel(real_data: Path) -> None:
    from pipelines.stock_prices import evaluate
    from pipelines.stock_prices.forecasting import make_forecaster, signatures
    from pipelines.stock_prices.histories import History
    from pipelines.stock_prices.model import fit_years
    from pipelines.stock_prices.project import COMMON
    from pipelines.stock_prices.rows import read_rows

    rows: dict[str, list[tuple[float, ...]]] = {}
    for split, row in read_rows(sorted((real_data / "stock_prices").glob("*.csv")), {"backtest_years": 6}):
        close, anchor = np.log(row["close"]), np.log(row["anchor"])
        rows.setdefault(row["stock"], []).append(
            (row["year"], row["day"], close - anchor, anchor, split == "eval")
        )
    found = []
    for stock, values in rows.items():
        table = np.array(values)
        begin = int(table[table[:, 4] == 1, 0].min())
        found.append(
            History(stock, table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3], begin)
        )
    nll, coverage = {}, {}
    for variant in ("walk", "rbf_white"):
        fits = [fit_years(history, variant, {**COMMON, "fit_stride": 20}) for history in found]
        signature = signatures(make_forecaster(found, fits, variant, 5))["serving_default"]
        scores = [evaluate._score(p.actual, *evaluate.ask(signature, p)) for p in evaluate.periods(found)]
        _, inside, likelihood = np.concatenate(scores, axis=1)
        nll[variant], coverage[variant] = likelihood.mean(), inside.mean()
    assert 0.88 <= coverage["walk"] <= 0.99, coverage
    assert nll["walk"] < nll["rbf_white"] - 0.05, nll
