"""Ages as people write them (`30d`, `12h`) and sizes as they read them. Standard library only."""

from __future__ import annotations

import re

from pipelines.base.errors import ViaductError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
DAY_S = 86400.0
UNITS = ("B", "kB", "MB", "GB", "TB")


def seconds(text: str) -> float:
    """The seconds that `30d`, `12h`, `2w` or `0d` mean. Raises ViaductError for anything else."""
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if match is None:
        raise ViaductError(
            f"An age is {text!r}; expected a number and one of {', '.join(SECONDS)}, as 30d or 12h."
        )
    return float(int(match[1]) * SECONDS[match[2]])


def age(seconds_old: float) -> str:
    """'41 d', '5 h', '3 min' of an age in seconds."""
    if seconds_old >= DAY_S:
        return f"{seconds_old / DAY_S:.0f} d"
    return f"{seconds_old / 3600:.0f} h" if seconds_old >= 3600 else f"{max(seconds_old, 0) / 60:.0f} min"


def size(count: int) -> str:
    """'1.2 GB' of bytes; steps of 1,000."""
    value = float(count)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
