"""Small pictures as inline SVG: sparklines, histograms, waterfalls and graphs. Colours come from the style sheet.

Every text goes through `html`. Larger charts that people zoom into are `charts`'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboards.feature_stats import FeatureStats
from dashboards.words import html, short

BOX_W, BOX_H, GAP_X, GAP_Y = 166, 46, 34, 16


def sparkline(values: Sequence[float], bar: float | None = None, label: str = "") -> Markup:
    """The values from left (old) to right (new), the bar as a dashed line."""
    points = [v for v in values if math.isfinite(v)]
    if not points:
        return Markup("")
    width, height, pad = 96.0, 24.0, 3.0
    low, high = (
        min([*points, *([bar] if bar is not None else [])]),
        max([*points, *([bar] if bar is not None else [])]),
    )
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return height - pad - (value - low) / span * (height - 2 * pad)

    step = (width - 2 * pad) / max(1, len(points) - 1)
    placed = [(pad + i * step, y(v)) for i, v in enumerate(points)]
    title = f"{label}: {', '.join(short(v) for v in points[-12:])}" + (
        f" (bar {short(bar)})" if bar is not None else ""
    )
    parts = [f'<svg class="spark" viewBox="0 0 {width:g} {height:g}" role="img"><title>{html(title)}</title>']
    if bar is not None:
        parts.append(f'<line class="bar" x1="0" x2="{width:g}" y1="{y(bar):.1f}" y2="{y(bar):.1f}"/>')
    if len(placed) > 1:
        parts.append('<polyline points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b in placed) + '"/>')
    parts.append(f'<circle cx="{placed[-1][0]:.1f}" cy="{placed[-1][1]:.1f}" r="2.5"/></svg>')
    return Markup("".join(parts))


def histogram(feature: FeatureStats | None, label: str) -> Markup:
    """Of a numeric feature its standard histogram; of a categorical one the shares of its first values."""
    if feature is None:
        return Markup("")
    cells = [(f"{short(low)} … {short(high)}", count) for low, high, count in feature.bins]
    cells = cells or [(text, count) for text, count in (feature.ranks or feature.top)[:12]]
    total = sum(count for _, count in cells)
    if not total:
        return Markup('<span class="quiet">no values</span>')
    highest, width = max(count for _, count in cells), 120 / len(cells)
    parts = [
        f'<svg class="hist" viewBox="0 0 120 34" preserveAspectRatio="none" role="img"><title>{html(label)}</title>'
    ]
    for i, (text, count) in enumerate(cells):
        # A bucket with one row among thousands must still be seen.
        tall = 0.0 if count < 0.5 else max(1.0, 32 * count / highest)
        parts.append(
            f'<rect x="{i * width:.2f}" y="{33 - tall:.2f}" width="{max(0.6, width - 0.8):.2f}" height="{tall:.2f}">'
            f"<title>{html(text)}: {count:,.0f} ({100 * count / total:.3g} %)</title></rect>"
        )
    return Markup("".join([*parts, "</svg>"]))


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


def graph(boxes: Sequence[Box], edges: Iterable[tuple[str, str]], label: str) -> Markup:
    """Boxes in layers from left to right; arrows that others imply are left out."""
    known = {box.id for box in boxes}
    arrows = reduced([(a, b) for a, b in dict.fromkeys(edges) if a in known and b in known and a != b])
    layers = _ordered(_layers([box.id for box in boxes], arrows), arrows)
    if not layers:
        return Markup("")
    tallest = max(map(len, layers))
    width, height = len(layers) * (BOX_W + GAP_X) - GAP_X + 4, tallest * (BOX_H + GAP_Y) - GAP_Y + 4
    places = {}
    for column, layer in enumerate(layers):
        top = 2 + (height - 4 - (len(layer) * (BOX_H + GAP_Y) - GAP_Y)) / 2
        for row, name in enumerate(layer):
            places[name] = (2 + column * (BOX_W + GAP_X), top + row * (BOX_H + GAP_Y))
    parts = [
        f'<svg class="graph" viewBox="0 0 {width} {height:.0f}" role="group" aria-label="{html(label)}" '
        f'style="min-width:{0.72 * width:.0f}px;max-width:{width}px">'
    ]
    parts += [_arrow(places[a], places[b]) for a, b in arrows]
    parts += [_box(box, *places[box.id]) for box in boxes]
    return Markup("".join([*parts, "</svg>"]))


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1, x2, y2 = start[0] + BOX_W, start[1] + BOX_H / 2, end[0], end[1] + BOX_H / 2
    bend = max(18.0, (x2 - x1) / 2)
    head = f"M{x2 - 6:.0f} {y2 - 3.5:.1f} L{x2 - 0.5:.1f} {y2:.1f} L{x2 - 6:.0f} {y2 + 3.5:.1f}"
    curve = f"M{x1:.0f} {y1:.1f} C{x1 + bend:.0f} {y1:.1f} {x2 - bend:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"
    return f'<path class="arrow" d="{curve}"/><path class="arrow" d="{head}"/>'


def _box(box: Box, x: float, y: float) -> str:
    hover = f"{box.title} {box.note} {box.hover}".strip()
    inner = (
        f'<rect x="{x:.0f}" y="{y:.1f}" width="{BOX_W}" height="{BOX_H}" rx="7"/>'
        f'<rect class="edge" x="{x:.0f}" y="{y:.1f}" width="5" height="{BOX_H}" rx="2.5"/>'
        f'<text x="{x + 14:.0f}" y="{y + (19 if box.note else 27):.1f}">{html(_fit(box.title, 19))}</text>'
    )
    if box.note:
        inner += f'<text class="note" x="{x + 14:.0f}" y="{y + 35:.1f}">{html(_fit(box.note, 23))}</text>'
    inner = f'<g class="box {html(box.kind)}"><title>{html(hover)}</title>{inner}</g>'
    return f'<a href="{html(box.href)}">{inner}</a>' if box.href else inner


def _fit(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def reduced(edges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the edges that a longer way implies."""
    after: dict[str, set[str]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)

    def reaches(start: str, goal: str) -> bool:
        waiting, seen = [n for n in after.get(start, ()) if n != goal], set()
        while waiting:
            name = waiting.pop()
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                waiting += after.get(name, ())
        return False

    return [(a, b) for a, b in edges if not reaches(a, b)]


def _layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Each name one layer after the last of what it waits for; a circle (foreign data) ends the search."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        changed = False
        for a, b in edges:
            if depth[b] < depth[a] + 1 <= len(names):
                depth[b], changed = depth[a] + 1, True
        if not changed:
            break
    # What nothing comes before stands right before its first reader, not at the far left.
    readers: Mapping[str, list[str]] = {n: [b for a, b in edges if a == n] for n in names}
    for name in names:
        if readers[name] and not any(b == name for _, b in edges):
            depth[name] = max(0, min(depth[b] for b in readers[name]) - 1)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    return [layer for layer in layers if layer]


def _ordered(layers: list[list[str]], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Each layer sorted by the mean place of its neighbours, forth and back, so that few arrows cross."""
    for turn in range(4):
        for at in range(1, len(layers)) if turn % 2 == 0 else range(len(layers) - 2, -1, -1):
            place = {n: (i + 0.5) / len(layer) for layer in layers for i, n in enumerate(layer)}
            beside = {
                n: [place[a] for a, b in edges if b == n]
                if turn % 2 == 0
                else [place[b] for a, b in edges if a == n]
                for n in layers[at]
            }
            layers[at].sort(key=lambda n: sum(beside[n]) / len(beside[n]) if beside[n] else place[n])
    return layers
