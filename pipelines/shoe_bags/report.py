"""Pictures of a translator: how it learned, its translations over the epochs, and evaluation pictures both ways.

Below each translation stands the nearest training picture of its domain, so that one sees whether it was copied. It
decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures
from components.report_gen.context import ReportContext
from pipelines.shoe_bags import evaluate, measures, rivals
from pipelines.shoe_bags.features import BAG, DOMAINS, SHOE
from pipelines.shoe_bags.learning import GRIDS

EPOCHS, SHOWN = 6, 16
PLURAL = {SHOE: "shoes", BAG: "bags"}


def report(context: ReportContext) -> None:
    """Writes learning_curves, epochs, shoes, bags and worst as PNG."""
    curves = pictures.read_curves(context.training_logs)
    tags = ("critic", "adversarial", "reconstruction")
    pictures.learning_curves(curves, context.folder / "learning_curves.png", tags)
    if context.training_logs is not None:
        over_epochs(context.training_logs / GRIDS, context.folder / "epochs.png")
    side, channels = int(context.parameters["side"]), int(context.parameters["channels"])
    judged = evaluate.read(tuple(context.files("eval")), side, channels)
    known = evaluate.read(tuple(context.files("train")), side, channels)
    made = evaluate.ask(context.model, judged)
    for source, target in (DOMAINS, DOMAINS[::-1]):
        given, of = judged.of(source).pixels, made[source]
        among = known.of(target).pixels[: evaluate.KNOWN]
        nearest = among[rivals.nearest(of.translations[:SHOWN], among)]
        lines = [given[:SHOWN], of.translations[:SHOWN], of.reconstructions[:SHOWN], nearest]
        title = f"{PLURAL[source]}, their translations, reconstructions; nearest training {PLURAL[target]}"
        grid(lines, title, context.folder / f"{PLURAL[source]}.png")
    worst = []
    for domain in DOMAINS:
        given, of = judged.of(domain).pixels, made[domain]
        rows = np.argsort(-measures.errors(of.reconstructions, given))[:SHOWN]
        worst += [given[rows], of.translations[rows], of.reconstructions[rows]]
    grid(
        worst, "what comes back worst: originals, translations, reconstructions", context.folder / "worst.png"
    )


def over_epochs(folder: Path, file: Path) -> None:
    """Up to six of the grids that the training left, from the first to the last epoch."""
    from PIL import Image

    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if not files:
        return
    chosen = [
        files[at] for at in np.unique(np.linspace(0, len(files) - 1, min(EPOCHS, len(files))).astype(int))
    ]
    columns = min(2, len(chosen))
    lines = -(-len(chosen) // columns)
    drawn = pictures.figure(6 * columns, 4 * lines + 0.4)
    cells = np.ravel(drawn.subplots(lines, columns, squeeze=False))
    for cell in cells:
        cell.axis("off")
    for cell, of in zip(cells, chosen, strict=False):
        with Image.open(of) as opened:
            _show(cell, np.asarray(opened))
        cell.set_title(f"after epoch {int(of.stem)}", fontsize=9)
    drawn.suptitle("originals, translations, reconstructions: shoes, then bags", fontsize=11)
    pictures.save(drawn, file)


def grid(lines: list[np.ndarray], title: str, file: Path) -> None:
    """Lines of pictures uint8 [n, side, side, channels], one below the other."""
    whole = np.concatenate([np.concatenate(list(line), axis=1) for line in lines])
    drawn = pictures.figure(0.8 * len(lines[0]), 0.8 * len(lines) + 0.4)
    axes = drawn.subplots()
    axes.axis("off")
    _show(axes, whole)
    axes.set_title(title, fontsize=10)
    pictures.save(drawn, file)


def _show(axes: Any, pixels: np.ndarray) -> None:
    grey = pixels.ndim == 2 or pixels.shape[2] == 1
    shown = pixels.reshape(pixels.shape[:2]) if grey else pixels
    axes.imshow(shown, cmap="gray" if grey else None, interpolation="nearest")
