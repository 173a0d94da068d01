"""One stock's days in order of time, as the model sees them, and how a year is cut into quarters.

Nothing is fitted here and nothing forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.base import training
from pipelines.stock_prices.features import ANCHOR_XF, CURVE_XF, DAY_XF, DAYS_PER_YEAR, STOCK_XF, YEAR_XF

# 97.5 % quantile of the normal distribution: the half width of a 95 % band in deviations.
BAND = 1.959963984540054
QUARTER_STARTS = (1, 1, 91, 182, 274)
QUARTER_ENDS = (366, 90, 181, 273, 366)


@dataclass(frozen=True)
class History:
    """One stock's days in order of time: year [n], day of the year [n], log(close / anchor) [n], log(anchor) [n].

    `begin` is the first year to forecast; the first year after the last row is forecast too.
    """

    stock: str
    year: np.ndarray
    day: np.ndarray
    curve: np.ndarray
    anchor: np.ndarray
    begin: int

    @property
    def points(self) -> np.ndarray:
        """[n, 2] float64: year and the part of it that has passed."""
        return np.stack([self.year, self.day / DAYS_PER_YEAR], axis=1).astype(np.float64)

    @property
    def time(self) -> np.ndarray:
        """[n] in years."""
        return self.year + self.day / DAYS_PER_YEAR

    @property
    def log_price(self) -> np.ndarray:
        """[n] logarithm of the adjusted close."""
        return self.curve + self.anchor

    def thinned(self, stride: int) -> np.ndarray:
        """Indices of every `stride`-th day, counted back from each quarter's last, which is always kept.

        Neighbouring days tell little that is new, and a forecast starts from a quarter's very last close.
        """
        quarter = self.year * 4 + np.searchsorted(QUARTER_STARTS[2:], self.day, side="right")
        kept = [np.flatnonzero(quarter == q)[::-1][::stride] for q in np.unique(quarter)]
        return np.sort(np.concatenate(kept))


def histories(
    train_files: Sequence[str], eval_files: Sequence[str], spec: Mapping[str, Any], stocks: Sequence[str]
) -> list[History]:
    """The transformed rows of both splits by stock; a stock's first `eval` year is the first to forecast."""
    parts = []
    for late, files in enumerate((train_files, eval_files)):
        for rows in training.dataset(files, spec, None, 4096):
            columns = [rows[key].numpy().ravel() for key in (STOCK_XF, YEAR_XF, DAY_XF, CURVE_XF, ANCHOR_XF)]
            parts.append(np.stack([*columns, np.full(len(columns[0]), late)], axis=1).astype(np.float64))
    table = np.concatenate(parts)
    ordered = []
    for index, stock in enumerate(stocks):
        rows = table[table[:, 0] == index]
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1]))]
        year, day = rows[:, 1].astype(int), np.rint(rows[:, 2] * DAYS_PER_YEAR).astype(int)
        begin = int(year[rows[:, 5] == 1].min())
        ordered.append(History(stock, year, day, rows[:, 3], rows[:, 4], begin))
    return ordered
