"""Numbers, times and states as people read them; the full number stays on hover. Jinja filters, no state."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from pipelines.base.project import Bar

# What each state is called beside its mark, so that colour alone never tells.
MARKS = {
    "succeeded": ("ok", "✓"), "done": ("ok", "✓"), "cached": ("cached", "↺"), "failed": ("bad", "✕"),
    "dead": ("bad", "✕"), "running": ("run", "●"), "waiting": ("idle", "○"), "skipped": ("idle", "–"),
    "cancelled": ("warn", "■"), "incomplete": ("warn", "?"), "recorded": ("idle", "•"), "blessed": ("ok", "✓"),
    "not blessed": ("bad", "✕"), "not evaluated": ("idle", "–"), "passed": ("ok", "✓"), "missed": ("bad", "✕"),
    "AVAILABLE": ("ok", "✓"), "LOADING": ("run", "●"), "START": ("idle", "○"), "UNLOADING": ("warn", "■"),
    "END": ("idle", "–"), "down": ("bad", "✕"), "up": ("ok", "✓"),
    "promoted": ("ok", "✓"), "rolled back": ("bad", "✕"), "canary": ("run", "●"), "shadow": ("run", "●"),
    "held": ("warn", "■"), "quiet": ("ok", "✓"), "alarm": ("bad", "✕"), "beyond": ("warn", "■"),
}  # fmt: skip


def short(value: Any, digits: int = 3) -> str:
    """Three significant digits, thousands separated, '–' for nothing."""
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
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}"


def beside(value: Any, bounds: Iterable[float]) -> str:
    """The short number with as many digits as tell it from bounds that it does not equal."""
    near = [bound for bound in bounds if isinstance(value, int | float) and value != bound]
    for digits in range(3, 12):
        text = short(value, digits)
        if text not in {short(bound, digits) for bound in near} | {f"{bound:.10g}" for bound in near}:
            return text
    return repr(value)


def interval(low: float, high: float) -> str:
    """Both ends; one that is nothing but rounding beside the other is 0."""
    ends = [0.0 if abs(end) < 1e-12 * max(abs(low), abs(high)) else end for end in (low, high)]
    return " … ".join(short(end) for end in ends)


def number(value: Any, unit: str = "", bounds: Iterable[float] = ()) -> Markup:
    """The short number with the full one on hover; told from the `bounds` that stand beside it."""
    if value is None:
        return Markup('<span class="quiet">–</span>')
    full = repr(value) if isinstance(value, float) else f"{value}"
    shown = beside(value, bounds) + (f" {unit}" if unit else "")
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
    return Markup('<time class="ago" datetime="{}" title="{}">{}</time>').format(_iso(then), when(then), text)


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


# What the runner puts before an error: the project, and the node (which begins with a capital).
PREFIX = re.compile(r"^(?:[\w-]+: )?[A-Z][\w.-]* failed: |^[\w-]+: (?=\w+ failed: )")


def cause(error: str) -> tuple[str, str]:
    """What first went wrong, without the project and node put before it; and what else the error says.

    An error reads `project: Node failed: file:line: Inner: text; raised again as Outer: text`.
    """
    text = " ".join(error.split())
    while match := PREFIX.match(text):
        text = text[match.end() :]
    first, again, outer = text.partition("; raised again as ")
    if again:
        return first, outer
    # How earlier releases wrote it.
    outer, caused, inner = text.rpartition("; caused by ")
    return (inner, outer) if caused else (text, "")


def needs(bars: Iterable[Bar]) -> str:
    """What bars on one metric ask for: '≥ 0.8', or '≥ 0.7 and ≤ 0.999' for a band."""
    return " and ".join(f"{'≥' if bar.at_least is not None else '≤'} {bar.bound:.10g}" for bar in bars)


def pairs(values: Mapping[str, Any]) -> str:
    """a=1, b=2 with keys sorted."""
    return ", ".join(f"{key}={values[key]}" for key in sorted(values))


def wrapping(name: str) -> Markup:
    """A name that may be broken after its underscores, for narrow columns."""
    return Markup("_<wbr>").join(name.split("_"))


FILTERS = {
    "number": number, "short": short, "percent": percent, "duration": duration, "ago": ago, "when": when,
    "size": size, "state": state, "blessing": blessing, "pairs": pairs, "short_run": short_run,
    "wrapping": wrapping, "needs": needs, "cause": cause, "interval": interval,
}  # fmt: skip


def html(text: Any) -> str:
    """Escaped text for hand-made SVG."""
    return str(escape(text))
