"""What a person should know about columns that were read as they stand: numbers that were read as text, zeros that
were lost, text with line ends in it. It changes no value and refuses nothing.

Looked for where it costs nothing: in columns of text, and there only as long as they look like numbers.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from components.arrow_example_gen.reading.kinds import PLAIN_NUMBER

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATED = r"^\s*-?[0-9]{1,3}([, '][0-9]{3})+(\.[0-9]+)?\s*$"
_DECIMAL_COMMA = r"^\s*-?[0-9]*,[0-9]+\s*$"
_WITH_UNIT = r"^\s*([-+]?[$€£¥]\s*[-+]?[0-9][0-9., ']*|[-+]?[0-9][0-9., ']*[%$€£¥])\s*$"
_LEADING_ZERO = r"^\s*-?0[0-9]"
_FIRST_ROWS = 256  # after so many a column that is mostly words is looked at no more
_MOST_WORDS = 20  # tokens for a missing value are few; more different ones are text
_SHOWN = 60


@dataclasses.dataclass
class _Column:
    """What is known of one column; all but `leading_zero` of text only."""

    leading_zero: str = ""  # a whole number such as 007
    rows: int = 0
    numbers: int = 0
    separated: int = 0
    example: str = ""  # of a separated number
    commas: int = 0
    comma_example: str = ""  # of a number with a decimal comma
    units: int = 0
    unit_example: str = ""  # of a number with a sign of money or per cent
    words: dict[str, int] = dataclasses.field(default_factory=dict)
    line_end: str = ""  # a value with a line end
    is_text: bool = False


class Remarks:
    """Gathers what is to be said about the batches of one task; `facts` travels as JSON. Not for several threads."""

    def __init__(self, columns: Iterable[str], leading_zeros: Mapping[str, str]) -> None:
        """`columns`: those whose type no schema fixes; `leading_zeros`: examples from columns read as numbers."""
        self._columns = {name: _Column(leading_zeros.get(name, "")) for name in columns}

    def see(self, batch: pa.RecordBatch) -> None:
        """Looks at the columns of text."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for name, state in self._columns.items():
            place = batch.schema.get_field_index(name)
            if place >= 0 and pa.types.is_string(batch.schema.field(place).type):
                values = batch.column(place).drop_null()
                if not state.line_end and any(
                    pc.any(pc.match_substring(values, end)).as_py() for end in "\n\r"
                ):
                    state.line_end = _first(values, r"[\r\n]")
                if not state.is_text:
                    _count(values, state)

    def facts(self) -> dict[str, Any]:
        """What `words` needs, as JSON types."""
        return {
            name: dataclasses.asdict(state)
            for name, state in self._columns.items()
            if state.rows or state.leading_zero
        }


def _count(values: pa.Array, state: _Column) -> None:
    import pyarrow.compute as pc

    plain = pc.match_substring_regex(values, PLAIN_NUMBER)
    rest = values.filter(pc.invert(plain))
    separated = pc.match_substring_regex(rest, _SEPARATED)
    state.rows += len(values)
    state.numbers += len(values) - len(rest)
    state.separated += pc.sum(separated).as_py() or 0
    state.example = state.example or _first(rest, _SEPARATED)
    rest = rest.filter(pc.invert(separated))
    commas = pc.match_substring_regex(rest, _DECIMAL_COMMA)
    state.commas += pc.sum(commas).as_py() or 0
    state.comma_example = state.comma_example or _first(rest, _DECIMAL_COMMA)
    rest = rest.filter(pc.invert(commas))
    units = pc.match_substring_regex(rest, _WITH_UNIT)
    state.units += pc.sum(units).as_py() or 0
    state.unit_example = state.unit_example or _first(rest, _WITH_UNIT)
    for word, count in _counts(rest.filter(pc.invert(units))):
        state.words[word[:_SHOWN]] = state.words.get(word[:_SHOWN], 0) + count
    few = len(state.words) <= _MOST_WORDS
    known = state.numbers + state.separated + state.commas + state.units
    state.is_text = not few or (state.rows >= _FIRST_ROWS and known < state.rows / 2)


def _counts(values: pa.Array) -> list[tuple[str, int]]:
    counted = values.value_counts()
    return [(str(pair["values"]), int(pair["counts"])) for pair in counted[: 2 * _MOST_WORDS].to_pylist()]


def _first(values: pa.Array, expression: str) -> str:
    import pyarrow.compute as pc

    matching = pc.match_substring_regex(values, expression)
    place = matching.index(True).as_py()
    return str(values[place].as_py())[:_SHOWN] if place >= 0 else ""


def leading_zero(values: pa.Array) -> str:
    """A value such as '007' of a column of text, '' if there is none."""
    return _first(values.drop_null(), _LEADING_ZERO)


def words(parts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The remarks on all tasks together, a sentence each, in the order of the columns' names."""
    columns: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        for name, state in part.items():
            columns.setdefault(name, []).append(state)
    said = []
    for name, states in sorted(columns.items()):
        zero, line_end = (_example(states, key) for key in ("leading_zero", "line_end"))
        if zero:
            said.append(
                f"{name}: read as numbers, so values such as {zero!r} lose their leading zeros. If it is a code and "
                "no quantity, give it the type BYTES in the schema."
            )
        said += _on_numbers(name, states)
        if line_end:
            said.append(
                f"{name}: values such as {line_end!r} hold a line end, which no vocabulary file can: each counts as "
                "unknown there."
            )
    return said


def _example(states: Iterable[Mapping[str, Any]], key: str) -> str:
    return next((state[key] for state in states if state[key]), "")


def _on_numbers(name: str, states: list[Mapping[str, Any]]) -> list[str]:
    if any(state["is_text"] for state in states):
        return []
    numbers, separated, commas, units = (
        sum(state[key] for state in states) for key in ("numbers", "separated", "commas", "units")
    )
    tokens: collections.Counter[str] = collections.Counter()
    for state in states:
        tokens.update(state["words"])
    known = numbers + separated + commas + units
    odd = bool(separated or commas or units or tokens)
    if len(tokens) > _MOST_WORDS or known < sum(tokens.values()) or not odd:
        return []
    parts = [f"{numbers:,} numbers"] if numbers else []
    example, comma_example = _example(states, "example"), _example(states, "comma_example")
    if separated:
        parts.append(f"{separated:,} like {example!r}, numbers but for their separators")
    if commas:
        parts.append(f"{commas:,} like {comma_example!r}, numbers but for their decimal comma")
    if units:
        parts.append(f"{units:,} like {_example(states, 'unit_example')!r}, numbers but for their unit")
    parts += [f"{count:,} {word!r}" for word, count in tokens.most_common(3)]
    if len(tokens) > 3:
        parts.append(f"{len(tokens) - 3} other words")
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    do = _to_do(tokens, example, comma_example)
    said = f"{name}: {listed}: read as text." + (f" Say {do}." if do else "")
    return [f"{said} Write numbers without a unit." if units else said]


def _to_do(tokens: collections.Counter[str], example: str, comma_example: str) -> str:
    """The options of ArrowExampleGen and of the command that would make numbers of the values."""
    do = []
    if tokens:
        first = [word for word, _ in tokens.most_common(3)]
        flags = " ".join(f"--csv-null={shlex.quote(word)}" for word in first)
        do.append(f"null_values={first!r} ({flags}) if that means a missing value")
    sign = re.sub(r"[0-9\s-]", "", example)[:1] or " "
    if comma_example:
        do.append("decimal=',' (--csv-decimal ,)")
    elif example:
        do.append(f"thousands={sign!r} (--csv-thousands={shlex.quote(sign)})")
    return " and ".join(do)
