"""The interval for a difference of means, under peeking."""

import numpy as np
import pytest

from serving.ab.means import FEW, intervals
from tests.serving.ab.conftest import amounts, looks_of


@pytest.mark.parametrize("difference", [0.0, 0.7])
def test_the_true_difference_falls_out_in_fewer_than_alpha_of_the_tests(difference):
    rng = np.random.default_rng(21)
    wrong = 0
    for _ in range(200):
        looks = intervals(amounts(rng, 5000, difference), 0.05)
        wrong += not looks.low[-1] <= difference <= looks.high[-1]
    assert wrong <= 10  # 5 % of 200


def test_a_difference_of_a_twelfth_of_the_standard_deviation_is_found():
    rng = np.random.default_rng(22)
    found = sum(intervals(amounts(rng, 20_000, 0.6), 0.05).low[-1] > 0 for _ in range(60))
    assert found >= 54


def test_the_formula_is_the_one_that_is_named():
    sums = np.array([[500.0, 1000.0, 2600.0, 400.0, 900.0, 2500.0]])
    looks = intervals(sums, 0.05, effect=0.3)
    var_a = (2600 - 1000**2 / 500) / 499
    var_b = (2500 - 900**2 / 400) / 399
    v, d, tau2 = var_a / 500 + var_b / 400, 900 / 400 - 2.0, 0.09
    half = np.sqrt(v * (v + tau2) / tau2 * (2 * np.log(20) + np.log((v + tau2) / v)))
    assert (looks.low[0], looks.high[0]) == pytest.approx((d - half, d + half))
    # At the ends of the interval the likelihood ratio is 1 / alpha.
    at_end = np.sqrt(v / (v + tau2)) * np.exp(tau2 * half**2 / (2 * v * (v + tau2)))
    assert at_end == pytest.approx(20)


def test_nothing_is_said_before_there_are_a_few_users_of_either_version_or_where_all_are_alike():
    rng = np.random.default_rng(23)
    looks = intervals(amounts(rng, FEW, 50.0), 0.05)
    assert np.all(np.isinf(looks.low)) and np.all(np.isinf(looks.high)) and not looks.log_e.any()
    is_b = np.arange(1000) % 2 == 1
    same = intervals(looks_of(is_b, np.ones(1000), np.ones(1000)), 0.05)
    assert np.all(np.isinf(same.low)) and np.all(np.isinf(same.high))
