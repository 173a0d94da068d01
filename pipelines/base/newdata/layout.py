"""Small pieces of Python text: literals and docstrings that the templates are filled with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from pipelines.base.newdata.columns import Column

LINE = 110


def literals(texts: Iterable[str]) -> str:
    """`('a', 'b')`; the formatter chooses the quotes and the lines."""
    listed = [repr(text) for text in texts]
    return f"({', '.join(listed)}{',' if len(listed) == 1 else ''})"


def names(columns: Iterable[Column]) -> str:
    return literals(column.name for column in columns)


def block(text: str, indent: int = 0) -> str:
    """Lines of a triple-quoted fragment: no blank ones around it, `indent` more spaces, a line end behind."""
    return textwrap.indent(text.strip("\n"), " " * indent) + "\n"


def docstring(text: str) -> str:
    """A docstring of a function, of several lines where one would be too long."""
    if len(text) <= LINE - 10:
        return f'    """{text}"""'
    lines = textwrap.wrap(text, LINE - 8)
    return "\n".join([f'    """{lines[0]}', *(f"    {line}" for line in lines[1:]), '    """'])


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
