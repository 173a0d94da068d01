"""The one error of the readers: input that cannot be turned into examples, told with file and row.

It does not cover wrong arguments (ValueError) nor failures of the machine (OSError stays OSError).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What is wrong, in which file and row, what was expected, what to do. The message is all there is."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` where something is close, and the known names (at most 20)."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
    return f"{hint} Known: {shown}."
