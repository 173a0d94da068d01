"""Where events come from: Retailrocket's events.csv, or a sample of the same layout; and their split by time.

`transactionid` is read by nobody and left out of the rows. The sample's statistics are described in sampling.py.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.project import ProjectError
from pipelines.recommendations import sampling
from pipelines.recommendations.features import EVENT_KEY, ITEM_KEY, STRENGTHS, TIME_KEY, VISITOR_KEY
from pipelines.recommendations.project import PROJECT

FILE = "events.csv"
COLUMNS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
# The last 15 % of the period are what the model is judged on: three weeks of Retailrocket's twenty.
EVAL_SHARE = 0.15


def fetch(folder: Path) -> None:
    """Kaggle gives the file to its members only, so this raises ProjectError with the command to type."""
    raise ProjectError(
        f"{PROJECT.name}: Kaggle asks for an account. Fetch it with `{PROJECT.data.command}` (Kaggle's own "
        f"client and key), then: viaduct run {PROJECT.name} --profile full --data FOLDER."
    )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` made-up events to events.csv, see sampling.events; same seed, same bytes."""
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sampling.events(rows, seed))


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, event) in the order of time: the last 15 % of the period are `eval`, what was before is `train`.

    Ids become text, whatever they look like. Raises ProjectError for another layout, with file and line.
    """
    import pandas as pd

    tables = [_read_csv(file) for file in files if file.name.startswith("events") and ".csv" in file.name]
    if not tables:
        raise ProjectError(f"No {FILE} among {[f.name for f in files][:5]}; expected {PROJECT.data.title}.")
    table = pd.concat(tables).sort_values([TIME_KEY, VISITOR_KEY, ITEM_KEY, EVENT_KEY])
    first, last = int(table[TIME_KEY].iloc[0]), int(table[TIME_KEY].iloc[-1])
    cut = last - EVAL_SHARE * (last - first)
    columns = (table[key].tolist() for key in (TIME_KEY, VISITOR_KEY, EVENT_KEY, ITEM_KEY))
    for time, visitor, event, item in zip(*columns, strict=True):
        split = "train" if time < cut else "eval"
        yield split, {TIME_KEY: time, VISITOR_KEY: visitor, EVENT_KEY: event, ITEM_KEY: item}


def _read_csv(file: Path) -> Any:
    import pandas as pd

    names = [TIME_KEY, VISITOR_KEY, EVENT_KEY, ITEM_KEY]
    try:
        table = pd.read_csv(file, usecols=names, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise ProjectError(f"{file}: {error}; expected the columns {', '.join(COLUMNS)}.") from error
    wrong = (
        ~table[TIME_KEY].str.fullmatch(r"\d{12,13}")
        | ~table[EVENT_KEY].isin(list(STRENGTHS))
        | (table[VISITOR_KEY] == "")
        | (table[ITEM_KEY] == "")
    )
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ProjectError(
            f"{file}, line {row + 2}: {table.iloc[row].to_dict()}; expected milliseconds since 1970, one of "
            f"{', '.join(STRENGTHS)}, and two ids."
        )
    if table.empty:
        raise ProjectError(f"{file} holds no event.")
    return table.assign(**{TIME_KEY: table[TIME_KEY].astype("int64")})
