"""Graphs as pictures: every edge an arrow with its name, none of them behind a box."""

from __future__ import annotations

import random
import re

import pytest

from dashboards.drawing import svg
from dashboards.drawing.layers import reduced
from dashboards.drawing.svg import Box, Edge
from dashboards.readers.shared_bins import SharedBins

Point = tuple[float, float]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", text)]


def _points(path: str) -> list[Point]:
    """Points along a path of M, L and C."""
    points: list[Point] = []
    for command, given in re.findall(r"([MLC])([^MLC]*)", path):
        numbers = _numbers(given)
        ends = list(zip(numbers[::2], numbers[1::2], strict=True))
        if command == "M":
            points.append(ends[0])
            continue
        (x0, y0), steps = points[-1], [i / 40 for i in range(1, 41)]
        if command == "L":
            ((x, y),) = ends
            points += [(x0 + (x - x0) * t, y0 + (y - y0) * t) for t in steps]
        else:
            (ax, ay), (bx, by), (x, y) = ends
            for t in steps:
                u = 1 - t
                weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
                points.append((
                    sum(w * v for w, v in zip(weights, (x0, ax, bx, x), strict=True)),
                    sum(w * v for w, v in zip(weights, (y0, ay, by, y), strict=True)),
                ))  # fmt: skip
    return points


def _drawn(picture: str) -> tuple[list[list[Point]], list[list[float]]]:
    """(points of each arrow, [x, y, width, height] of each box)."""
    arrows = [_points(d) for d in re.findall(r'<path class="arrow(?: dashed)?" d="([^"]*C[^"]*)"', picture)]
    boxes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" rx="7"', picture)
    return arrows, [[float(v) for v in box] for box in boxes]


def _crossings(picture: str) -> int:
    """Points of arrows that lie inside a box, its border aside."""
    arrows, boxes = _drawn(picture)
    return sum(
        x + 1 < px < x + w - 1 and y + 1 < py < y + h - 1
        for arrow in arrows
        for px, py in arrow
        for x, y, w, h in boxes
    )


def _graph(names: str, edges: str, **more: str) -> str:
    """`edges` as 'ab bc'."""
    return str(svg.graph([Box(n, n) for n in names], [Edge(e[0], e[1], **more) for e in edges.split()], "g"))


def test_an_arrow_over_two_layers_goes_around_the_box_between_them() -> None:
    # A pipeline of ours: examples E, schema S, statistics A, transform T, validator V. S -> V once ran behind T.
    picture = _graph("ESATV", "EA ET ST AV SV")
    assert len(_drawn(picture)[0]) == 5 and _crossings(picture) == 0


@pytest.mark.parametrize("seed", range(12))
def test_no_arrow_runs_behind_a_box_whatever_the_graph(seed: int) -> None:
    chance = random.Random(seed)
    names = "abcdefghijklmn"[: chance.randrange(4, 14)]
    pairs = [a + b for i, a in enumerate(names) for b in names[i + 1 :] if chance.random() < 0.3]
    picture = _graph(names, " ".join(pairs), name="some_key" if seed % 2 else "")
    arrows, boxes = _drawn(picture)
    assert len(arrows) == len(pairs) and len(boxes) == len(names)
    assert _crossings(picture) == 0
    for i, (x, y, w, h) in enumerate(boxes):
        assert not [1 for a, b, c, d in boxes[i + 1 :] if x < a + c and a < x + w and y < b + d and b < y + h]


def test_names_of_arrows_at_one_box_do_not_lie_over_each_other() -> None:
    picture = _graph("abcdefz", "az bz cz dz ez fz", name="transform_graph")
    heights = [float(y) for y in re.findall(r'<text class="name" x="\d+" y="([\d.]+)"', picture)]
    assert len(heights) == 6
    assert min(b - a for a, b in zip(sorted(heights), sorted(heights)[1:], strict=False)) >= 12


def test_a_comparison_is_dashed_and_every_edge_is_drawn() -> None:
    edges = [
        Edge("m", "e", "model"),
        Edge("e", "p"),
        Edge("m", "p", "model"),
        Edge("o", "e", "baseline_model", True),
    ]
    picture = svg.graph([Box(n, n) for n in "mepo"], edges, "g")
    assert picture.count('class="arrow dashed"') == 1 and len(_drawn(picture)[0]) == 4
    assert re.findall(r'<text class="name"[^>]*>(\w+)<', picture) == ["model", "model", "baseline_model"]


def test_two_arrows_between_the_same_boxes_keep_their_names() -> None:
    picture = svg.graph([Box("a", "a"), Box("b", "b")], [Edge("a", "b", "x"), Edge("a", "b", "y")], "g")
    assert len(_drawn(picture)[0]) == 2


def test_arrows_that_others_imply_are_left_out_of_an_order() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    assert reduced(edges) == [("a", "b"), ("b", "c")]


def test_a_graph_with_a_circle_is_still_drawn() -> None:
    picture = svg.graph([Box("a", "a"), Box("b", "<b>")], [Edge("a", "b"), Edge("b", "a")], "circle")
    assert "&lt;b&gt;" in picture and picture.count("<rect") == 4


def _overlay(log: bool = False) -> str:
    bins = SharedBins({"now": (0.5, 0.5), "before": (0.999, 0.001)}, bounds=(0.0, 5.0, 10.0), even=True)
    return str(svg.overlay(bins, "Shares of x", log))


def _heights(picture: str, series: int) -> list[float]:
    """Of a series' steps above the ground."""
    (path,) = re.findall(rf'<path class="s{series}" d="([^"]+)"', picture)
    ys = [float(y) for y in re.findall(r"V([\d.]+)", path)]
    return [ys[-1] - y for y in ys[:-1]]


def test_series_are_drawn_over_one_axis_with_numbers_at_its_ticks() -> None:
    picture = _overlay()
    half, other_half = _heights(picture, 0)
    most, least = _heights(picture, 1)
    assert half == other_half and half / most == pytest.approx(0.5 / 0.999, abs=0.01)
    assert least == 1, "a thousandth is still seen"
    assert re.findall(r'text-anchor="middle">([^<]+)<', picture) == ["0", "2", "4", "6", "8", "10"]
    assert re.findall(r'text-anchor="end">([^<]+)<', picture) == ["20 %", "40 %", "60 %", "80 %"]
    assert "5 … 10: now 50 %, before 0.1 %" in picture


def test_a_logarithmic_height_tells_rare_from_nothing() -> None:
    # Four decades from 0.01 % to 99.9 %, for the least must be above the ground: a half is at 1 - log10(2) / 4.
    (half, _), (most, least) = (_heights(_overlay(log=True), series) for series in (0, 1))
    assert half / most == pytest.approx(1 - 0.30 / 4, abs=0.01) and least / most == pytest.approx(
        1 / 4, abs=0.01
    )
    marks = re.findall(r'text-anchor="end">([^<]+)<', _overlay(log=True))
    assert marks == ["0.01 %", "0.1 %", "1 %", "10 %"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-3.9, 4.2, [-2, 0, 2, 4]), (0, 34_000, [0, 10_000, 20_000, 30_000]),
     (5, 5, [5]), (1e-9, 9e-9, [2e-9, 4e-9, 6e-9, 8e-9])],
)  # fmt: skip
def test_ticks_are_round_numbers_within_the_axis(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high, 4) == pytest.approx(expected)


def test_numbers_at_ticks_are_told_apart_and_names_are_escaped() -> None:
    assert svg.distinct([1000.01, 1000.02]) != ["1,000", "1,000"]
    picture = svg.overlay(SharedBins({"<now>": (1.0,)}, ("<b>",)), "<label>")
    assert "<b>" not in picture and "<now>" not in picture and "<label>" not in picture
    assert "no values" in svg.overlay(None, "x")


def test_names_below_bins_that_would_be_cut_to_twins_are_cut_by_what_they_share() -> None:
    names = tuple(f"00023/track_{i:05d}.png" for i in range(8))
    picture = str(svg.overlay(SharedBins({"now": (0.125,) * 8}, names), "name"))
    shown = re.findall(r'text-anchor="middle">([^<]+)<', picture)
    assert shown == list("01234567")


def test_names_that_no_cut_tells_apart_are_left_to_the_table() -> None:
    names = ("aXXXXXXXXb1yyyyyyyyyyyyyyyyyc", "aXXXXXXXXb2yyyyyyyyyyyyyyyyyc", "dress", *tuple("fghijklmn"))
    picture = str(svg.overlay(SharedBins({"now": (1 / 12,) * 12}, names), "name"))
    shown = re.findall(r'text-anchor="middle">([^<]+)<', picture)
    assert len(shown) == len(set(shown)) and "f" in shown
    assert all(f"{name}: now" in picture for name in names)
