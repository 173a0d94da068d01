"""JSON values as the original prints them in its error texts, cut where they are long.

It reads nothing and decides nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from serving.rest.reader import members

LIMIT = 1024
_INDENT = "    "
# Beyond it RapidJSON no longer counts a number as one that a float could hold.
_FLOAT_LIMIT = 3.4028234e38
# Marks on the stack: here an array or an object ends.
_CLOSE_ARRAY, _CLOSE_OBJECT = object(), object()


def json_type(value: Any) -> str:
    if value is None:
        return "Null"
    if value is True:
        return "True"
    if value is False:
        return "False"
    if isinstance(value, dict):
        return "Object"
    kinds: dict[type, str] = {list: "Array", str: "String"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "Number")


def as_text(value: Any) -> str:
    """A JSON value, indented as the original's writer does it."""
    if isinstance(value, float):
        return _decimal(value)
    parts: list[str] = []
    length = 0
    for part in _written(value):
        parts.append(part)
        length += len(part)
        if length > LIMIT:
            return "".join(parts)[:LIMIT] + "..."
    return "".join(parts)


def _decimal(value: float) -> str:
    """Six digits where they are exact, else as many as the type can need: a float's where one could hold it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    kind: type = np.float32 if abs(value) <= _FLOAT_LIMIT else np.float64
    with np.errstate(over="ignore"):
        held = kind(value)
    text = f"{held:g}"
    if kind(text) != held:
        text = f"{held:.{9 if kind is np.float32 else 17}g}"
    return text if "." in text or "e" in text else text + ".0"


def _written(value: Any) -> Iterator[str]:
    """The pieces of a value's text, without recursion: what is deep is cut like what is long."""
    stack: list[tuple[Any, str]] = [(value, "")]
    depth = 0
    while stack:
        item, before = stack.pop()
        if item is _CLOSE_ARRAY or item is _CLOSE_OBJECT:
            depth -= 1
            yield "\n" + _INDENT * depth + ("]" if item is _CLOSE_ARRAY else "}")
            continue
        yield before
        if isinstance(item, (list, dict)) and item:
            depth += 1
            start = "\n" + _INDENT * min(depth, LIMIT)
            if isinstance(item, list):
                opening, end, shown = "[", _CLOSE_ARRAY, [("", v) for v in item[:LIMIT]]
            else:
                opening, end = "{", _CLOSE_OBJECT
                shown = [(f"{_leaf(name)}: ", v) for name, v in members(item)[:LIMIT]]
            yield opening
            stack.append((end, ""))
            entries = [(v, ("," if i else "") + start + name) for i, (name, v) in enumerate(shown)]
            stack.extend(reversed(entries))
        else:
            yield _leaf(item)


def _leaf(item: Any) -> str:
    if isinstance(item, float) and not math.isfinite(item):
        return _decimal(item)
    if isinstance(item, str):
        return json.dumps(item[: LIMIT + 1], ensure_ascii=False)
    return json.dumps(item)
