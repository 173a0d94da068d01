"""From events.csv in Retailrocket's layout to one row per event, and their split by time.

`transactionid` is read by nobody and left out of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.errors import ProjectError
from pipelines.recommendations.features import EVENT_KEY, ITEM_KEY, STRENGTHS, TIME_KEY, VISITOR_KEY
from pipelines.recommendations.project import PROJECT

SPLITS = ("train", "eval")
FILE = "events.csv"
COLUMNS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
# 1973 to 2286; the schema has the same bounds. Seconds, which are shorter, are refused rather than taken for 1970.
MILLISECONDS = r"[1-9]\d{11,12}"
# The last 15 % of the period are what the model is judged on: three weeks of Retailrocket's twenty.
EVAL_SHARE = 0.15


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, event) in the order of time: the last 15 % of the period are `eval`, what was before is `train`.

    Ids become text, whatever they look like. Raises ProjectError for another layout, with file and line.
    """
    import pandas as pd

    chosen = files if len(files) == 1 else [f for f in files if f.name.startswith("events")]
    tables = [_read_csv(file) for file in chosen if ".csv" in file.name]
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
        ~table[TIME_KEY].str.fullmatch(MILLISECONDS)
        | ~table[EVENT_KEY].isin(list(STRENGTHS))
        | (table[VISITOR_KEY] == "")
        | (table[ITEM_KEY] == "")
    )
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ProjectError(
            f"{file}, line {row + 2}: {table.iloc[row].to_dict()}; expected milliseconds since 1970 (12 or 13 digits; "
            f"seconds lack three zeros), one of {', '.join(STRENGTHS)}, and two ids."
        )
    if table.empty:
        raise ProjectError(f"{file} holds no event.")
    return table.assign(**{TIME_KEY: table[TIME_KEY].astype("int64")})
