"""From one table per stock, in Yahoo's columns, to one row per trading day, and their split by year.

Trading days only, oldest first; columns but Date and Adj Close are not looked at.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.errors import ProjectError

SPLITS = ("train", "eval")
COLUMNS = ("Date", "Open", "High", "Low", "Close", "Adj Close", "Volume")
# A year with fewer rows before the backtest teaches nothing about a year.
MIN_YEARS_BEFORE = 3


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) per trading day: stock, date, year, day of the year, adjusted close, and the year's anchor.

    The anchor is the last close of the year before (the first close, for a stock's first year): what a forecast
    made at New Year knows. The last `backtest_years` years of each stock are `eval`, the rest `train`.
    Raises ProjectError for a file without years enough, or with days out of order.
    """
    tables = [file for file in files if file.suffix.lower() == ".csv"]
    if not tables:
        raise ProjectError(
            f"No <STOCK>.csv among {[f.name for f in files][:5]}; expected one table per stock."
        )
    for file in tables:
        days, close = read_csv(file)
        first, last = days[0].year, days[-1].year
        begin = max(last - int(options["backtest_years"]) + 1, first + MIN_YEARS_BEFORE)
        if begin > last:
            raise ProjectError(
                f"{file} holds {first} to {last}; expected {MIN_YEARS_BEFORE + 1} calendar years at least: "
                f"{MIN_YEARS_BEFORE} to learn from and one to be judged on."
            )
        anchor = close[0]
        for i, day in enumerate(days):
            if i and day.year != days[i - 1].year:
                anchor = close[i - 1]
            yield (
                "train" if day.year < begin else "eval",
                {
                    "stock": file.stem.upper(),
                    "date": day.isoformat(),
                    "year": day.year,
                    "day": day.timetuple().tm_yday,
                    "close": float(close[i]),
                    "anchor": float(anchor),
                },
            )


def read_csv(file: Path) -> tuple[list[datetime.date], list[float]]:
    """Days and adjusted closes of one stock; raises ProjectError with file and line for another layout."""
    days: list[datetime.date] = []
    close: list[float] = []
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            if row.get("Adj Close") in ("null", ""):
                continue
            try:
                day, price = datetime.date.fromisoformat(row["Date"]), float(row["Adj Close"])
            except (KeyError, ValueError, TypeError) as error:
                raise ProjectError(
                    f"{file}, line {number}: {error!r}; expected the columns {', '.join(COLUMNS)}."
                ) from error
            if price <= 0 or (days and day <= days[-1]):
                raise ProjectError(
                    f"{file}, line {number}: {row!r}; expected prices above 0, oldest day first."
                )
            days.append(day)
            close.append(price)
    if not days:
        raise ProjectError(f"{file} holds no day; expected the columns {', '.join(COLUMNS)}.")
    return days, close
