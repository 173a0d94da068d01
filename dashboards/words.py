"""Numbers, times and states as people read them; the full number stays on hover. Jinja filters, no state."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

# What each state is called beside its mark, so that colour alone never tells.
MARKS = {
    "succeeded": ("ok", "✓"), "done": ("ok", "✓"), "cached": ("cached", "↺"), "failed": ("bad", "✕"),
    "dead": ("bad", "✕"), "running": ("run", "●"), "waiting": ("idle", "○"), "skipped": ("idle", "–"),
    "cancelled": ("warn", "■"), "incomplete": ("warn", "?"), "recorded": ("idle", "•"), "blessed": ("ok", "✓"),
    "not blessed": ("bad", "✕"), "not evaluated": ("idle", "–"), "passed": ("ok", "✓"), "missed": ("bad", "✕"),
    "AVAILABLE": ("ok", "✓"), "LOADING": ("run", "●"), "START": ("idle", "○"), "UNLOADING": ("warn", "■"),
    "END": ("idle", "–"), "down": ("bad", "✕"), "up": ("ok", "✓"),
}  # fmt: skip


def short(value: Any) -> str:
    """Four significant digits, thousands separated, '–' for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.4g}"


def number(value: Any, unit: str = "") -> Markup:
    """The short number with the full one on hover."""
    if value is None:
        return Markup('<span class="quiet">–</span>')
    full = repr(value) if isinstance(value, float) else f"{value}"
    shown = short(value) + (f" {unit}" if unit else "")
    return Markup('<span class="n" title="{}">{}</span>').format(f"{full} {unit}".strip(), shown)


def percent(value: float | None) -> str:
    """0.1234 as 12.3 %."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.3g} %"


def duration(seconds: float | None) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None or seconds < 0:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{int(seconds // 86400)} d {int(seconds % 86400 // 3600)} h"


def ago(then: float | None) -> Markup:
    """'3 min ago' with the exact local time on hover."""
    if not then:
        return Markup('<span class="quiet">–</span>')
    passed = max(0.0, time.time() - then)
    words = "just now" if passed < 10 else duration(passed).split(" ", 2)
    text = words if isinstance(words, str) else " ".join(words[:2]) + " ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(then), when(then), text)


def when(then: float | None) -> str:
    """Local time to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(then)) if then else "–"


def _iso(then: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(then))


def size(count: float | None) -> str:
    """Bytes in units of 1,000."""
    if count is None:
        return "–"
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return "–"


def state(name: str) -> Markup:
    """A mark and the word, coloured by what it means."""
    kind, mark = MARKS.get(name, ("idle", "•"))
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(
        kind, mark, name
    )


def blessing(value: bool | None) -> str:
    """The words for a verdict."""
    return {True: "blessed", False: "not blessed", None: "not evaluated"}[value]


def url(path: str, **query: Any) -> str:
    """A link of ours; empty values are left out."""
    given = {key: str(value) for key, value in query.items() if value not in (None, "")}
    return path + ("?" + urlencode(given, quote_via=quote) if given else "")


def short_run(run_id: str, project: str = "") -> str:
    """A run's name without its project."""
    return run_id.removeprefix(project).lstrip("-_.:") or run_id


def pairs(values: Mapping[str, Any]) -> str:
    """a=1, b=2 with keys sorted."""
    return ", ".join(f"{key}={values[key]}" for key in sorted(values))


def wrapping(name: str) -> Markup:
    """A name that may be broken after its underscores, for narrow columns."""
    return Markup("_<wbr>").join(name.split("_"))


FILTERS = {
    "number": number, "short": short, "percent": percent, "duration": duration, "ago": ago, "when": when,
    "size": size, "state": state, "blessing": blessing, "pairs": pairs, "short_run": short_run,
    "wrapping": wrapping,
}  # fmt: skip


def html(text: Any) -> str:
    """Escaped text for hand-made SVG."""
    return str(escape(text))
