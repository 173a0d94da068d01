"""Numbers that come in a URL, a form or the name of a folder: read in one way, and never an error of ours."""

from __future__ import annotations

import math
import re

# What ML Metadata and the serving protocol hold a number in.
LARGEST = 2**63 - 1


def whole_number(text: str | None) -> int | None:
    """`text` as a number from 0 to LARGEST; None for anything but plain digits, whatever else Unicode counts as one."""
    if not text or len(text) > 19 or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= LARGEST else None


def finite_number(text: str | None) -> float | None:
    """`text` as a decimal number; None for anything else: infinities, NaN, other alphabets' digits, underscores."""
    if not text or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text.strip(), re.ASCII):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
