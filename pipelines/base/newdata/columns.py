"""What each column of a table is good for: number, category, date, text, or nothing, and why.

Judged by values and names, without the label. Rules of thumb, which the findings say and a person may overrule in the
generated features.py.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


class Role(enum.Enum):
    """What a column becomes."""

    NUMBER = "number"
    CATEGORY = "category"
    DATE = "date"  # ISO text
    MOMENT = "moment"  # seconds since 1970
    TEXT = "text"
    KEY = "key"  # rows with the same value belong together: they are split by it
    LABEL = "label"
    OUT = "left out"


@dataclasses.dataclass(frozen=True)
class Column:
    """One column and what was found. `missing` is a share; `about` is for people; `long_tail` of numbers."""

    name: str
    role: Role
    type: str  # INT, FLOAT or BYTES, as the schema calls it
    missing: float
    distinct: int
    about: str
    long_tail: bool = False


ID_NAME = re.compile(
    r"(^|[_\s-])(id|uuid|guid|key|index|nr|no|number|rownum)$|^(id|uuid|index|unnamed)|Id$|ID$"
)
CODE_NAME = re.compile(
    r"zip|postal|postcode|code|tract|area|region|(^|[_\s-])(type|class|category|group|store|shop|branch)([_\s-]|$)",
    re.I,
)
TIME_NAME = re.compile(r"time|date|stamp|(_|^)(at|on|ts)$", re.I)
ISO_DATE = r"^\s*\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?\s*$"
EPOCH_SECONDS = (300_000_000, 4_000_000_000)  # 1979 to 2096
MOST_VALUES = 2_000  # of a category
SENTENCE_WORDS = 4.0  # on average; fewer are a name
LONG_TAIL = 2.0  # of the skewness


def judge(table: pa.Table) -> list[Column]:
    """All columns, in the table's order."""
    return [_judged(name, table.column(name)) for name in table.column_names]


def _judged(name: str, column: pa.ChunkedArray) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = len(column)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    values = column.drop_null()
    if pa.types.is_binary(column.type):
        return Column(name, Role.OUT, "BYTES", 0.0, 0, "bytes: features.py has to say what they are")
    if pa.types.is_nested(column.type):
        return Column(
            name, Role.OUT, "BYTES", 0.0, 0, "lists of values: features.py has to say what of them counts"
        )
    missing = 1 - len(values) / rows
    distinct = len(values.unique())
    type_ = {"int64": "INT", "double": "FLOAT"}.get(str(column.type), "BYTES")
    if not len(values):
        role, about, tail = Role.OUT, "no value in any row", False
    elif distinct == 1:
        role, about, tail = Role.OUT, f"always {str(values[0].as_py())[:30]!r}", False
    elif type_ == "BYTES":
        role, about, tail = *_of_text(name, values, distinct), False
    elif type_ == "INT":
        role, about, tail = _of_integers(name, values, distinct)
    else:
        role, about, tail = _number(values)
    return Column(name, role, type_, missing, distinct, about, tail)


def _of_text(name: str, values: Any, distinct: int) -> tuple[Role, str]:
    import pyarrow.compute as pc

    count = len(values)
    if pc.sum(pc.match_substring_regex(values, ISO_DATE)).as_py() >= 0.99 * count:
        return Role.DATE, "dates: parts of the year, week and day"
    words = pc.mean(pc.add(pc.count_substring_regex(values, r"\S\s+\S"), 1)).as_py()
    if words >= SENTENCE_WORDS and distinct > min(count / 10, MOST_VALUES / 4):
        return Role.TEXT, f"text of {words:.0f} words on average: hashed words and pairs of words"
    if ID_NAME.search(name) and distinct > count / 20:
        return (
            (Role.OUT, "an id")
            if distinct > 0.9 * count
            else (Role.KEY, "rows of one value stay in one split")
        )
    if distinct > 0.9 * count and distinct > 20:
        return Role.OUT, "an id: nearly every row has its own value"
    if distinct > min(MOST_VALUES, count / 2) and distinct > 20:
        return Role.OUT, f"{distinct:,} different values: too many for a category"
    return Role.CATEGORY, f"{distinct:,} values"


def _of_integers(name: str, values: Any, distinct: int) -> tuple[Role, str, bool]:
    import pyarrow.compute as pc

    count = len(values)
    ends = pc.min_max(values).as_py()
    counted = distinct == count > 20 and ends["max"] - ends["min"] + 1 == count
    if counted or (ID_NAME.search(name) and distinct > 0.9 * count):
        return Role.OUT, "an id" if not counted else "a row's number", False
    if TIME_NAME.search(name) and EPOCH_SECONDS[0] <= ends["min"] <= ends["max"] <= EPOCH_SECONDS[1]:
        return Role.MOMENT, "seconds since 1970: parts of the year, week and day", False
    if ID_NAME.search(name) and distinct > count / 20:
        return Role.KEY, "rows of one value stay in one split", False
    codes = CODE_NAME.search(name) or (ends["min"] > 1_000_000 and distinct < count / 20)
    if codes and 2 < distinct <= min(MOST_VALUES, count / 5):
        return Role.CATEGORY, f"{distinct:,} codes", False
    return _number(values)


def _number(values: Any) -> tuple[Role, str, bool]:
    import numpy as np

    numbers = values.to_numpy().astype(float)
    low, high, spread = numbers.min(), numbers.max(), numbers.std()
    skew = float(np.mean(((numbers - numbers.mean()) / spread) ** 3)) if spread > 0 else 0.0
    tail = low >= 0 and skew > LONG_TAIL
    return Role.NUMBER, f"{low:,.6g} to {high:,.6g}{', a long tail: logarithm' if tail else ''}", tail
