"""Small pictures as inline SVG: sparklines, distributions, waterfalls and graphs. Colours come from the style sheet.

Every text goes through `html`. Larger charts that people zoom into are `charts`'.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboards.drawing.layers import Point, Sizes, arrange
from dashboards.drawing.words import html, percent, short
from dashboards.readers.shared_bins import SharedBins

BOX_W, BOX_H, GAP_X, GAP_Y = 172, 46, 34, 16
# What one letter and one line of an arrow's name take.
NAME_W, NAME_H = 6, 14
# A picture of shares: its size, the room for the axes, and what one of its letters takes.
PLOT_W, PLOT_H, PLOT_LEFT, PLOT_LOW, PLOT_TOP = 300, 104, 47, 17, 5
LETTER_W = 5.6


def sparkline(values: Sequence[float], bars: Sequence[float] = (), label: str = "") -> Markup:
    """The values from left (old) to right (new), bars as dashed lines."""
    points = [v for v in values if math.isfinite(v)]
    if not points:
        return Markup("")
    width, height, pad = 96.0, 24.0, 3.0
    low, high = min([*points, *bars]), max([*points, *bars])
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return height - pad - (value - low) / span * (height - 2 * pad)

    step = (width - 2 * pad) / max(1, len(points) - 1)
    placed = [(pad + i * step, y(v)) for i, v in enumerate(points)]
    title = f"{label}: {', '.join(short(v) for v in points[-12:])}"
    if bars:
        title += f" (bar {' and '.join(map(short, bars))})"
    parts = [f'<svg class="spark" viewBox="0 0 {width:g} {height:g}" role="img"><title>{html(title)}</title>']
    parts += [f'<line class="bar" x1="0" x2="{width:g}" y1="{y(b):.1f}" y2="{y(b):.1f}"/>' for b in bars]
    if len(placed) > 1:
        parts.append('<polyline points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in placed) + '"/>')
    parts.append(f'<circle cx="{placed[-1][0]:.1f}" cy="{placed[-1][1]:.1f}" r="2.5"/></svg>')
    return Markup("".join(parts))


def overlay(
    bins: SharedBins | None, label: str, log: bool = False, names: Sequence[str] = (), hover: bool = True
) -> Markup:
    """Series over shared bins: the first as bars, others as outlines, with both axes; `log` makes heights logarithmic.

    `names` are what the bins are called on hover, where that is more than `bin_labels`. Without `hover` the picture is
    half as large.
    Shares of nothing are drawn at the ground on a logarithmic axis, too.
    """
    top = max((share for shares in bins.shares.values() for share in shares), default=0.0) if bins else 0.0
    if bins is None or not top:
        return Markup('<span class="quiet">no values</span>')
    least = min(share for shares in bins.shares.values() for share in shares if share > 0)
    # From the power of ten below the least share, or five of them.
    lowest = max(math.floor(math.log10(least) - 1e-9), math.ceil(math.log10(top)) - 5)
    labels = bin_labels(bins)
    step, ground = (PLOT_W - PLOT_LEFT) / len(labels), PLOT_H - PLOT_LOW

    def height(share: float) -> float:
        part = (math.log10(share) - lowest) / (math.log10(top) - lowest) if log and share > 0 else share / top
        # One row among thousands must still be seen.
        return max(1.0, (ground - PLOT_TOP) * part) if share > 0 else 0.0

    marks = [10.0**i for i in range(lowest, 1)] if log else ticks(0, top, 4)
    marks = [mark for mark in marks if 0 < mark <= top]
    parts = [f'<svg class="overlay" viewBox="0 0 {PLOT_W} {PLOT_H}" role="img"><title>{html(label)}</title>']
    for mark in marks:
        y = ground - height(mark)
        parts.append(f'<line class="grid" x1="{PLOT_LEFT}" x2="{PLOT_W}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{PLOT_LEFT - 4}" y="{y + 3.5:.1f}" text-anchor="end">{percent(mark)}</text>')
    for at, shares in enumerate(bins.shares.values()):
        path = f"M{PLOT_LEFT} {ground}"
        for i, share in enumerate(shares):
            path += f"V{ground - height(share):.1f}H{PLOT_LEFT + step * (i + 1):.1f}"
        parts.append(f'<path class="s{at}" d="{path}V{ground}"/>')
    parts.append(f'<line class="axis" x1="{PLOT_LEFT}" x2="{PLOT_W}" y1="{ground}" y2="{ground}"/>')
    parts += _across(bins, step)
    for i, name in enumerate(names or labels) if hover else ():
        lines = [f"{series} {percent(shares[i])}" for series, shares in bins.shares.items()]
        parts.append(
            f'<rect class="hover" x="{PLOT_LEFT + step * i:.1f}" y="0" width="{step:.1f}" height="{ground}">'
            f"<title>{html(name)}: {html(', '.join(lines))}</title></rect>"
        )
    return Markup("".join([*parts, "</svg>"]))


def _across(bins: SharedBins, step: float) -> list[str]:
    """The axis below: numbers at ticks, names below their bins; what would lie over another is left out."""
    width, bounds = PLOT_W - PLOT_LEFT, bins.bounds
    if bins.even:
        values = ticks(bounds[0], bounds[-1], 4)
        placed = [width * (value - bounds[0]) / (bounds[-1] - bounds[0]) for value in values]
        texts = distinct(values)
    elif bounds:
        placed, texts = [step * i for i in range(len(bounds))], distinct(bounds)
    else:
        placed = [step * (i + 0.5) for i in range(len(bins.names))]
        texts = _told_apart(bins.names, max(3, int(step / LETTER_W) - 1))
    parts, reached = [], 0.0
    for x, text in zip(placed, texts, strict=True):
        # Whole within the picture, at its edges as well.
        left = min(max(PLOT_LEFT + x - LETTER_W * len(text) / 2, 0.0), PLOT_W - LETTER_W * len(text))
        if left < reached or not text:
            continue
        reached = left + LETTER_W * (len(text) + 1)
        if bounds:
            parts.append(
                f'<line class="axis" x1="{PLOT_LEFT + x:.1f}" x2="{PLOT_LEFT + x:.1f}" '
                f'y1="{PLOT_H - PLOT_LOW}" y2="{PLOT_H - PLOT_LOW + 3}"/>'
            )
        middle = left + LETTER_W * len(text) / 2
        parts.append(f'<text x="{middle:.1f}" y="{PLOT_H - 3}" text-anchor="middle">{html(text)}</text>')
    return parts


def _told_apart(names: Sequence[str], most: int) -> list[str]:
    """Names cut to `most` letters. Twins are cut by what they all begin and end with; what is still one is left out."""
    texts = [_fit(name, most) for name in names]
    twins = [name for name, text in zip(names, texts, strict=True) if texts.count(text) > 1]
    if twins:
        start = _common(twins)
        end = _common([name[start:][::-1] for name in twins])
        inner = {name: _fit(name[start : len(name) - end], most) for name in twins}
        texts = [inner.get(name, text) for name, text in zip(names, texts, strict=True)]
    return [text if texts.count(text) == 1 else "" for text in texts]


def _common(names: Sequence[str]) -> int:
    """How many letters all names begin with."""
    return sum(
        1 for _ in itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    )


def bin_labels(bins: SharedBins) -> list[str]:
    """What each bin is called: its name, or its bounds."""
    return list(bins.names) or [f"{a} … {b}" for a, b in itertools.pairwise(distinct(bins.bounds))]


def distinct(numbers: Sequence[float]) -> list[str]:
    """The numbers with as many digits as tell them apart."""
    for digits in range(3, 15):
        texts = [short(number, digits) for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            return texts
    return [repr(number) for number in numbers]


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within the bounds, `about` as many as asked for."""
    raw = (high - low) / max(1, about)
    if not (math.isfinite(raw) and raw > 0):
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * min((1, 2, 5, 10), key=lambda times: abs(math.log(times * power / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Rounded, for 3 * 0.1 is not 0.3.
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def timeline(started: float, ended: float, first: float, last: float, kind: str, label: str) -> Markup:
    """One row of a waterfall between `first` and `last`."""
    if not started:
        return Markup("")
    span = max(last - first, 1e-3)
    x = 1000 * (started - first) / span
    width = max(4.0, 1000 * (max(ended, started) - started) / span)
    return Markup(
        f'<svg class="fall {html(kind)}" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img">'
        f"<title>{html(label)}</title>"
        f'<rect x="{min(x, 996):.1f}" y="1" width="{width:.1f}" height="12" rx="3"/></svg>'
    )


@dataclass(frozen=True)
class Box:
    """A node of a graph. `kind` is a style class, `note` a second line, `href` makes it a link."""

    id: str
    title: str
    note: str = ""
    kind: str = "idle"
    href: str = ""
    hover: str = ""


@dataclass(frozen=True)
class Edge:
    """An arrow between two boxes. `name` is written where it arrives; a dashed one is no way from one to the other."""

    start: str
    end: str
    name: str = ""
    dashed: bool = False


def graph(boxes: Sequence[Box], edges: Iterable[Edge], label: str) -> Markup:
    """Boxes in layers from left to right, an arrow for every edge between two of them."""
    known = {box.id for box in boxes}
    arrows = [e for e in dict.fromkeys(edges) if e.start in known and e.end in known and e.start != e.end]
    if not boxes:
        return Markup("")
    longest = max((len(e.name) for e in arrows), default=0)
    gap = max(GAP_X, NAME_W * longest + 22)
    # Names at one box stand below each other, so that it must be tall enough for them.
    named = Counter(e.end for e in arrows if e.name)
    heights = {box.id: max(BOX_H, NAME_H * (named[box.id] + 1)) for box in boxes}
    layout = arrange(heights, [(e.start, e.end) for e in arrows], Sizes(BOX_W, gap, GAP_Y))
    width, height = layout.width, layout.height
    parts = [
        f'<svg class="graph" viewBox="0 0 {width:.0f} {height:.0f}" role="group" aria-label="{html(label)}" '
        f'style="min-width:{0.72 * width:.0f}px;max-width:{width:.0f}px">'
    ]
    parts += [_arrow(edge, route) for edge, route in zip(arrows, layout.routes, strict=True)]
    # Names come after all arrows, so that none is struck through by one.
    parts += [_name(edge, route) for edge, route in zip(arrows, layout.routes, strict=True) if edge.name]
    parts += [_box(box, *layout.places[box.id], heights[box.id]) for box in boxes]
    return Markup("".join([*parts, "</svg>"]))


def _arrow(edge: Edge, route: Sequence[Point]) -> str:
    """Curves in the gaps between layers, straight lines through the slots in them."""
    (x0, y0), path = route[0], f"M{route[0][0]:.0f} {route[0][1]:.1f}"
    for at, (x, y) in enumerate(route[1:]):
        if at % 2:
            path += f" L{x:.0f} {y:.1f}"
        else:
            bend = max(18.0, abs(x - x0) / 2)
            path += f" C{x0 + bend:.0f} {y0:.1f} {x - bend:.0f} {y:.1f} {x:.0f} {y:.1f}"
        x0, y0 = x, y
    head = f"M{x0 - 6:.0f} {y0 - 3.5:.1f} L{x0 - 0.5:.1f} {y0:.1f} L{x0 - 6:.0f} {y0 + 3.5:.1f}"
    kind = "arrow dashed" if edge.dashed else "arrow"
    return f'<path class="{kind}" d="{path}"/><path class="arrow" d="{head}"/>'


def _name(edge: Edge, route: Sequence[Point]) -> str:
    x, y = route[-1]
    return f'<text class="name" x="{x - 9:.0f}" y="{y - 4:.1f}">{html(edge.name)}</text>'


def _box(box: Box, x: float, y: float, height: float) -> str:
    middle = y + height / 2
    hover = f"{box.title} {box.note} {box.hover}".strip()
    inner = (
        f'<rect x="{x:.0f}" y="{y:.1f}" width="{BOX_W}" height="{height:.0f}" rx="7"/>'
        f'<rect class="edge" x="{x:.0f}" y="{y:.1f}" width="5" height="{height:.0f}" rx="2.5"/>'
        f'<text x="{x + 14:.0f}" y="{middle + (-4 if box.note else 4):.1f}">{html(_fit(box.title, 19))}</text>'
    )
    if box.note:
        inner += (
            f'<text class="note" x="{x + 14:.0f}" y="{middle + 12:.1f}">{html(_fit(box.note, 23))}</text>'
        )
    inner = f'<g class="box {html(box.kind)}"><title>{html(hover)}</title>{inner}</g>'
    return f'<a href="{html(box.href)}">{inner}</a>' if box.href else inner


def _fit(text: str, most: int) -> str:
    """Cut in the middle: names that begin alike are told apart by their ends."""
    if len(text) <= most:
        return text
    end = most // 2
    return text[: most - 1 - end] + "…" + text[-end:]
