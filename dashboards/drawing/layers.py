"""Places for the boxes and arrows of a graph: layers from left to right, arrows around boxes and never behind them.

After Sugiyama, Tagawa and Toda (1981): a longest-path layer for each box, an empty slot in every layer that an arrow
crosses, and the order within layers by the mean place of the neighbours. Knows sizes, nothing of how they look.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
# The slot of an arrow that passes through a layer of boxes.
SLOT_H = 12


@dataclass(frozen=True)
class Sizes:
    """Pixels: the width of every box, the gap between layers, the gap between boxes of one layer."""

    width: float
    gap_x: float
    gap_y: float


@dataclass(frozen=True)
class Layout:
    """Upper left corners by box; for each edge the points its arrow goes through, two for every slot it crosses."""

    places: dict[str, Point]
    routes: list[list[Point]]
    width: float
    height: float


def arrange(heights: Mapping[str, float], edges: Sequence[tuple[str, str]], sizes: Sizes) -> Layout:
    """A layout of boxes with these heights. `edges` may hold circles, which are drawn as well as can be."""
    layers = layered(list(heights), edges)
    depth = {name: at for at, layer in enumerate(layers) for name in layer}
    chains, slots = _chains(edges, depth, layers)
    tall = {**heights, **dict.fromkeys(slots, SLOT_H)}
    segments = [pair for chain in chains for pair in itertools.pairwise(chain)]
    layers = _ordered(layers, segments)
    spans = [sum(tall[n] for n in layer) + sizes.gap_y * (len(layer) - 1) for layer in layers]
    height = max(spans, default=0.0) + 4
    places: dict[str, Point] = {}
    for column, (layer, span) in enumerate(zip(layers, spans, strict=True)):
        y = (height - span) / 2
        for name in layer:
            places[name] = (2 + column * (sizes.width + sizes.gap_x), y)
            y += tall[name] + sizes.gap_y
    routes = _routes(chains, places, tall, sizes.width)
    width = len(layers) * (sizes.width + sizes.gap_x) - sizes.gap_x + 4
    return Layout({n: p for n, p in places.items() if n in heights}, routes, width, height)


def _chains(
    edges: Sequence[tuple[str, str]], depth: Mapping[str, int], layers: list[list[str]]
) -> tuple[list[list[str]], list[str]]:
    """Each edge as the names it goes through; a slot is added to every layer between its ends."""
    chains, slots = [], []
    for at, (a, b) in enumerate(edges):
        between = [f"\0{at} {layer}" for layer in range(depth[a] + 1, depth[b])]
        for name, layer in zip(between, range(depth[a] + 1, depth[b]), strict=True):
            layers[layer].append(name)
        chains.append([a, *between, b])
        slots += between
    return chains, slots


def _routes(
    chains: list[list[str]], places: Mapping[str, Point], tall: Mapping[str, float], width: float
) -> list[list[Point]]:
    """Arrows leave in the middle of the right side and arrive spread over the left one, in the order they come."""

    def middle(name: str) -> float:
        return places[name][1] + tall[name] / 2

    arriving: dict[str, list[int]] = {}
    for at, chain in enumerate(chains):
        arriving.setdefault(chain[-1], []).append(at)
    port = {}
    for name, many in arriving.items():
        for i, at in enumerate(sorted(many, key=lambda at: middle(chains[at][-2]))):
            port[at] = places[name][1] + tall[name] * (i + 1) / (len(many) + 1)
    routes = []
    for at, chain in enumerate(chains):
        points = [(places[chain[0]][0] + width, middle(chain[0]))]
        for slot in chain[1:-1]:
            points += [(places[slot][0], middle(slot)), (places[slot][0] + width, middle(slot))]
        routes.append([*points, (places[chain[-1]][0], port[at])])
    return routes


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


def layered(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
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
