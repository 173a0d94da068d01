"""Where prices come from: the book's three files, or made-up stocks of the same layout.

One `<STOCK>.csv` per stock, in Yahoo's columns (Date, Open, High, Low, Close, Adj Close, Volume), trading days
only, oldest first. `sample` simulates what makes real prices hard to forecast: daily returns with fat tails and
volatility that comes in clusters, years of growth and years of loss, a crisis in which all stocks fall together,
a faint yearly season, earnings jumps, dividends and a split (in Close, not in Adj Close).
"""

from __future__ import annotations

import csv
import datetime
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.stock_prices.project import PROJECT
from pipelines.stock_prices.rows import COLUMNS, read_csv

MIRROR = "https://raw.githubusercontent.com/PacktPublishing/TensorFlow-Machine-Learning-Projects/master/Chapter06/Data/"
STOCKS = ("GOOG", "NFLX", "GE")
MADE_UP = ("ACME", "BOLT", "CORE")
LAST_DAY = datetime.date(2016, 8, 16)


def fetch(folder: Path) -> None:
    """Downloads the book's files (1 MB) to `folder`; raises ProjectError with the other way."""
    for stock in STOCKS:
        url = f"{MIRROR}{stock}.csv"
        try:
            with (
                urllib.request.urlopen(url, timeout=60) as response,
                (folder / f"{stock}.csv").open("wb") as file,
            ):
                shutil.copyfileobj(response, file)
        except (urllib.error.URLError, OSError) as error:
            raise ProjectError(
                f"{PROJECT.name}: {url} cannot be fetched: {error}. Save daily prices as <STOCK>.csv with the "
                f"columns {', '.join(COLUMNS)} and pass their folder: viaduct run stock_prices --data FOLDER."
            ) from error
        read_csv(folder / f"{stock}.csv")


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes three made-up stocks with about `rows` days in all to `folder`; same seed, same bytes."""
    # A short sample still needs years to learn from and a year to be judged on.
    days = _trading_days(max(rows // len(MADE_UP), 6 * 252))
    random = np.random.default_rng(seed)
    market = _returns(random, len(days), 0.010)
    crisis = int(len(days) * random.uniform(0.25, 0.45))
    market[crisis : crisis + 120] -= 0.0035
    for stock, share, own, price in zip(
        MADE_UP, (0.9, 0.6, 1.1), (0.011, 0.024, 0.006), (40.0, 9.0, 25.0), strict=True
    ):
        change = (
            share * market + _returns(random, len(days), own) + _drift(random, days) + _season(random, days)
        )
        _write_csv(folder / f"{stock}.csv", random, days, price * np.exp(np.cumsum(change)))


def _trading_days(count: int) -> list[datetime.date]:
    """The last `count` weekdays before LAST_DAY, without nine holidays or so a year."""
    days: list[datetime.date] = []
    day = LAST_DAY
    while len(days) < count:
        holiday = (day.month, day.day) in {
            (1, 1),
            (7, 4),
            (12, 25),
            (12, 26),
            (9, 3),
            (5, 28),
            (2, 18),
            (1, 18),
        }
        if day.weekday() < 5 and not holiday:
            days.append(day)
        day -= datetime.timedelta(days=1)
    return days[::-1]


def _returns(random: np.random.Generator, count: int, level: float) -> np.ndarray:
    """[count] daily log returns: Student's t times a volatility that wanders and returns (half-life of a month)."""
    log_volatility = np.zeros(count)
    for i in range(1, count):
        log_volatility[i] = 0.977 * log_volatility[i - 1] + random.normal(0, 0.085)
    return level * np.exp(log_volatility) * random.standard_t(5, count) / np.sqrt(5 / 3)


def _drift(random: np.random.Generator, days: Sequence[datetime.date]) -> np.ndarray:
    """[days] a drift that changes about every two years: +8 % a year on average, give or take 22 %."""
    change = random.random(len(days)) < 1 / 500
    change[0] = True
    levels = random.normal(0.08, 0.22, len(days))
    return levels[np.maximum.accumulate(np.where(change, np.arange(len(days)), 0))] / 252


def _season(random: np.random.Generator, days: Sequence[datetime.date]) -> np.ndarray:
    """[days] what a faint yearly wave (2 % up and down) adds per day, and a jump at each quarter's earnings."""
    day = np.array([d.timetuple().tm_yday for d in days])
    wave = 0.02 * 2 * np.pi / 365 * np.cos(2 * np.pi * (day - random.integers(0, 365)) / 365)
    earnings = np.isin(day % 91, (20,)) * random.normal(0, 0.03, len(days))
    return wave + earnings


def _write_csv(
    path: Path, random: np.random.Generator, days: Sequence[datetime.date], adjusted: np.ndarray
) -> None:
    """Yahoo's columns around an adjusted close: dividends and one 2:1 split make Close differ from it."""
    count = len(days)
    dividends = np.exp(np.linspace(0.25, 0, count))
    split = int(count * random.uniform(0.3, 0.7))
    close = adjusted * dividends * np.where(np.arange(count) < split, 2.0, 1.0)
    spread = np.abs(random.normal(0, 0.008, (2, count)))
    opened = close * np.exp(random.normal(0, 0.006, count))
    high = np.maximum(opened, close) * (1 + spread[0])
    low = np.minimum(opened, close) * (1 - spread[1])
    volume = (np.exp(random.normal(16, 0.4, count)) // 100 * 100).astype(int)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, day in enumerate(days):
            prices = (opened[i], high[i], low[i], close[i], adjusted[i])
            writer.writerow([day.isoformat(), *(f"{p:.6f}" for p in prices), volume[i]])
