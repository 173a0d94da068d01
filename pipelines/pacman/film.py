"""One episode to look at: pictures of the game with points and value beneath, as a GIF.

Who plays is a function from what is seen to actions and values: a SavedModel's signature, or a client's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base import whole
from pipelines.pacman.game import ACTIONS, SCREEN, Game, Start
from pipelines.pacman.playing import Recent, as_served

# {"ram" or "frames": uint8 [1, ...]} -> {"action": [1], "values": [1, 9]}.
Ask = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
STRIP = 46
# A step is four of sixty frames a second; every second one is kept.
STEP_MS, EVERY, END_MS = 67, 2, 2_000
BACKGROUND, WORDS, LINE, LOSS = (16, 16, 24), (235, 235, 235), (255, 210, 63), (235, 80, 80)


@dataclass
class Film:
    """Of each step its action, its value, the points after it and whether a life was lost; of every EVERY-th one the
    picture before it, and one of the end. `shown` says before which steps pictures were taken.
    """

    start: Start
    actions: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    lost: list[bool] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Points at the end."""
        return self.points_before(len(self.points))

    def points_before(self, step: int) -> float:
        """Points from the first decision to that of `step`."""
        return self.points[step - 1] if step else 0.0

    def show(self, picture: np.ndarray) -> None:
        """Takes the picture before the step that is next."""
        self.pictures.append(picture)
        self.shown.append(len(self.actions))


def record(ask: Ask, kind: str, depth: int, start: Start, most_steps: int) -> Film:
    """The episode that begins at `start`, or its first `most_steps` steps."""
    game, film = Game(colour=True), Film(start)
    game.start(start)
    recent = Recent(depth, {kind: game.look(kind)[None]})
    points = 0.0
    while len(film.actions) < most_steps:
        answer = ask({kind: as_served(recent.looks[kind])})
        action = int(answer["action"][0])
        if len(film.actions) % EVERY == 0:
            film.show(game.picture())
        step = game.step(action)
        points += step.reward
        film.actions.append(action)
        film.values.append(float(np.max(answer["values"][0])))
        film.points.append(points)
        film.lost.append(step.lost)
        recent.add({kind: game.look(kind)[None]})
        if step.over:
            break
    film.show(game.picture())
    return film


def write_gif(film: Film, file: Path) -> None:
    """`file` as an animated GIF at the game's own speed; whole or not at all."""
    pictures = [_drawn(film, number) for number in range(len(film.pictures))]
    first, *rest = pictures
    # The end stays for a while, before the film begins anew.
    durations = [STEP_MS * EVERY] * len(rest) + [END_MS]
    with whole.file(file) as aside:
        first.save(
            aside,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=durations,
            loop=0,
            optimize=False,
        )


def _drawn(film: Film, number: int) -> Any:
    """A picture of the film: the game, and beneath it the action that follows, the points and the value until then."""
    from PIL import Image, ImageDraw

    step = film.shown[number]
    action = ACTIONS[film.actions[step]] if step < len(film.actions) else "end"
    height, width = SCREEN
    picture = Image.new("RGB", (width, height + STRIP), BACKGROUND)
    picture.paste(Image.fromarray(film.pictures[number]), (0, 0))
    draw = ImageDraw.Draw(picture)
    draw.text((3, height + 1), action, fill=WORDS)
    draw.text((70, height + 1), f"{film.points_before(step):.0f} points", fill=WORDS)
    top, bottom = height + 16, height + STRIP - 3
    highest = max(max(film.values), 1e-6)
    until = film.values[: step + 1]
    places = np.arange(len(until)) * (width - 1) / max(len(film.values) - 1, 1)
    heights = bottom - np.clip(np.array(until) / highest, 0, 1) * (bottom - top)
    for place, lost in zip(places, film.lost, strict=False):
        if lost:
            draw.line([(place, top), (place, bottom)], fill=LOSS)
    draw.line([(float(x), float(y)) for x, y in zip(places, heights, strict=True)], fill=LINE)
    return picture.quantize(64)
