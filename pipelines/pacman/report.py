"""Pictures of an agent: how its score grew, what it scores beside a random policy, one episode with its values, a GIF.

The episode shown is the one whose score is the middle of those that judge, played once more by the exported model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.base import whole
from pipelines.pacman import evaluate, film
from pipelines.pacman.model import CURVE_FILE

# Of the starts that judge; the middle one of their scores is shown.
PLAYED = 9
AVERAGED = 25
MOST_STEPS = 2_000


def report(context: ReportContext) -> None:
    """Writes score_curve.png, scores.png, value.png and play.gif, and the scores as scores.json."""
    starts, theirs = evaluate.judged(context.files("eval"))
    measured = {} if context.evaluation is None else reading.evaluation(context.evaluation).get((), {})
    if context.training_logs is not None:
        score_curve(context.training_logs / CURVE_FILE, measured, context.folder / "score_curve.png")
    episodes = evaluate.of_model(context.model, starts[:PLAYED])
    own = np.array([episode.score for episode in episodes])
    whole.write(
        context.folder / "scores.json", json.dumps({"model": own.tolist(), "random": theirs.tolist()})
    )
    scores(own, theirs, measured, context.folder / "scores.png")
    shown = starts[int(np.argsort(own)[len(own) // 2])]
    played = film.record(*_asked(context.model), shown, MOST_STEPS)
    value(played, context.folder / "value.png")
    film.write_gif(played, context.folder / "play.gif")


def _asked(model: Path) -> tuple[film.Ask, str, int]:
    """What film.record wants of a SavedModel."""
    signature = reading.saved_model(model).signatures["serving_default"]
    ((kind, spec),) = signature.structured_input_signature[1].items()

    def ask(seen: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {name: answer.numpy() for name, answer in signature(**seen).items()}

    return ask, kind, 1 if len(spec.shape) == 2 else int(spec.shape[-1])


def score_curve(file_of_curve: Path, measured: Mapping[str, float], file: Path) -> None:
    """Scores of the episodes that were trained on, their running mean, and of looks at other starts; loss beside."""
    if not file_of_curve.exists():
        return
    curve = json.loads(file_of_curve.read_text(encoding="utf-8"))
    drawn = pictures.figure(11, 4.2)
    left, right = drawn.subplots(1, 2)
    if curve["episodes"]:
        steps, found = np.array(curve["episodes"]).T
        left.plot(steps, found, ".", ms=2, alpha=0.3, color="tab:blue", label="an episode of the training")
        width = min(AVERAGED, len(found))
        left.plot(
            steps[width - 1 :],
            np.convolve(found, np.ones(width) / width, "valid"),
            color="tab:blue",
            label=f"mean of {width}",
        )
    if curve["looks"]:
        left.plot(*np.array(curve["looks"]).T, "o-", color="tab:orange", label="other starts, without chance")
    for name, label, style in (("score_random", "random", "--"), ("score", "judged", "-")):
        if name in measured:
            left.axhline(
                measured[name], color="black", lw=0.9, ls=style, label=f"{label}: {measured[name]:.0f}"
            )
    left.set(xlabel="steps of all games", ylabel="points an episode")
    left.legend(fontsize=8)
    if curve["losses"]:
        steps, losses = np.array(curve["losses"]).T
        width = min(100, len(losses))
        right.plot(steps[width - 1 :], np.convolve(losses, np.ones(width) / width, "valid"))
    right.set(xlabel="steps of all games", title="loss, running mean")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    pictures.save(drawn, file)


def scores(own: np.ndarray, theirs: np.ndarray, measured: Mapping[str, float], file: Path) -> None:
    """Sorted scores of the episodes played for this report and of the random policy."""
    drawn = pictures.figure(7, 4)
    axes = drawn.subplots()
    for values, label in ((theirs, "random policy"), (own, f"model, {len(own)} of the starts")):
        axes.step(np.sort(values), np.linspace(0, 1, len(values)), where="post", label=label)
    for name in ("score_p10", "score_median", "score_p90"):
        if name in measured:
            axes.axvline(measured[name], color="grey", lw=0.8, ls=":")
    axes.set(
        xlabel="points", ylabel="share of episodes with fewer", title="dotted: 10 %, half, 90 % of the judged"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    pictures.save(drawn, file)


def value(played: film.Film, file: Path) -> None:
    """Value of the state, points and lives over one episode."""
    drawn = pictures.figure(10, 3.8)
    axes = drawn.subplots()
    axes.plot(played.values, color="tab:orange", lw=1)
    for step in np.flatnonzero(played.lost):
        axes.axvline(step, color="tab:red", lw=1, ls="--")
    axes.set(xlabel="step", ylabel="value of the best action")
    beside = axes.twinx()
    beside.plot(played.points, color="tab:blue", lw=1)
    beside.set_ylabel("points")
    axes.set_title(f"an episode of {played.score:.0f} points; dashed: a life lost", fontsize=10)
    axes.grid(alpha=0.3)
    pictures.save(drawn, file)
