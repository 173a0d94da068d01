"""The ratio of the users: hardly ever blamed when it is right, found when somebody is lost."""

import numpy as np

from serving.ab.ratio import STOPS, p_value
from serving.ab.result import sample_ratio


def test_a_right_ratio_is_hardly_ever_blamed_although_it_is_looked_at_all_the_time():
    rng = np.random.default_rng(31)
    assert sum(sample_ratio(rng.random(5000) < 0.2, 0.2) < STOPS for _ in range(300)) <= 1


def test_four_users_of_a_hundred_who_are_lost_are_missed():
    rng = np.random.default_rng(32)
    found = sum(sample_ratio(rng.random(40_000) < 0.48, 0.5) < STOPS for _ in range(20))
    assert found == 20


def test_nobody_says_nothing():
    assert sample_ratio(np.zeros(0), 0.5) == 1.0
    assert p_value(np.zeros(0), np.zeros(0), 0.5) == 1.0
