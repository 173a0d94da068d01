"""A random walk whose variance returns from what it is to what it usually is: how fast, earlier years say.

The last close is the mean. The variance of the logarithm of the price `h` years ahead is that of a Wiener process (a
Gaussian process with covariance v(min(h, h'))) whose rate decays from a recent one to the stock's usual one:

    v(h) = usual h + share (recent - usual) (1 - exp(-speed h)) / speed

the integral of the expected rate where it reverts as in GARCH(1, 1) (Engle and Patton, 2001, give that form). `recent`
is a mean of squared changes with a half-life. No single half-life, speed and share is fitted: there are too few years
for that. Every combination of GRID forecasts windows of earlier days, of all stocks together, and the variances are
averaged with the combinations' likelihoods as weights. NumPy alone; forecasting.py has the served form.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pipelines.stock_prices.histories import History

HALF_LIVES = (15.0, 30.0, 60.0, 120.0, 250.0)  # trading days
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # per year
SHARES = (0.5, 0.75, 1.0)
GRID = tuple(itertools.product(range(len(HALF_LIVES)), range(len(SPEEDS)), range(len(SHARES))))
# Windows of a quarter and of a year begin every month; before the first are enough days for a recent rate.
HORIZONS, STEP, FIRST = (63, 252), 21, 100
DAYS = 252
# Variance of no price is below this: a stock may stand still.
LEAST = 1e-7


def rates(squared: np.ndarray, years: float) -> tuple[float, np.ndarray]:
    """Variance per year from squared changes [n], oldest first, over `years`: usual, and by half-life."""
    age = np.arange(len(squared))[::-1]
    weights = 0.5 ** (age / np.array(HALF_LIVES)[:, None])
    per_year = len(squared) / years
    return float(squared.mean() * per_year), weights @ squared / weights.sum(axis=1) * per_year


def variances(usual: float, recent: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """[len(GRID), m] of the log price `ahead` [m] years later, by every combination."""
    speeds = np.array(SPEEDS)[:, None]
    decayed = (1 - np.exp(-speeds * ahead)) / speeds
    extra = (recent - usual)[:, None, None, None] * decayed[None, :, None] * np.array(SHARES)[:, None]
    return np.maximum(usual * ahead + extra, LEAST).reshape(len(GRID), -1)


def windows(history: History) -> tuple[np.ndarray, np.ndarray]:
    """When each window of `history` ended [w] (in years), and every combination's NLL per day there [w, GRID]."""
    time, price = history.time, history.log_price
    squared = np.diff(price) ** 2
    ends, losses = [], []
    for origin in range(FIRST, len(price) - min(HORIZONS), STEP):
        usual, recent = rates(squared[:origin], time[origin] - time[0])
        for horizon in HORIZONS:
            last = origin + horizon
            if last >= len(price):
                continue
            variance = variances(usual, recent, time[origin + 1 : last + 1] - time[origin])
            error = price[origin + 1 : last + 1] - price[origin]
            losses.append((0.5 * np.log(2 * np.pi * variance) + 0.5 * error**2 / variance).mean(axis=1))
            ends.append(time[last])
    return np.array(ends), np.array(losses).reshape(len(ends), len(GRID))


def weights(stocks: Sequence[History], years: Sequence[int]) -> dict[int, np.ndarray]:
    """Weights [half-lives, speeds, shares] that sum to 1, for each of `years`, from what ended before it.

    Days of a window are hardly independent and windows overlap: a year of a stock counts as one observation, and
    both horizons share it. With no window yet all combinations weigh the same.
    """
    parts = [windows(history) for history in stocks]
    ends = np.concatenate([end for end, _ in parts])
    losses = np.concatenate([loss for _, loss in parts])
    found = {}
    for year in years:
        known = losses[ends < year]
        mean = known.mean(axis=0) if len(known) else np.zeros(len(GRID))
        observations = len(known) / len(HORIZONS) * STEP / DAYS
        likelihood = np.exp(-observations * (mean - mean.min()))
        shape = (len(HALF_LIVES), len(SPEEDS), len(SHARES))
        found[year] = (likelihood / likelihood.sum()).reshape(shape)
    return found
