"""Drawing that every report needs: saving a figure, learning curves, a confusion matrix, grids of images.

matplotlib without a display (its Agg canvas, no pyplot, so nothing global is changed and nothing leaks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.base import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110
Curves = Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]


def figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(drawn: Figure, file: Path) -> None:
    """Writes the figure as PNG, whole or not at all."""
    with whole.file(file) as aside:
        drawn.savefig(aside, dpi=DPI, format="png", facecolor="white")


def read_curves(folder: Path | None) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Scalars per epoch from TensorBoard logs: {"train": {"loss": [(0, 0.3), ...]}, "validation": {...}}.

    Tags lose their `epoch_` prefix. Empty without a folder or without logs in it.
    """
    from tensorflow.python.framework.tensor_util import MakeNdarray
    from tensorflow.python.summary.summary_iterator import summary_iterator

    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for run in ("train", "validation"):
        for events in sorted((folder / run).glob("events.*")) if folder else []:
            for event in summary_iterator(str(events)):
                for value in event.summary.value:
                    if value.tag.startswith("epoch_") and value.HasField("tensor"):
                        points = curves.setdefault(run, {}).setdefault(value.tag.removeprefix("epoch_"), [])
                        points.append((event.step, float(MakeNdarray(value.tensor))))
    return curves


def learning_curves(curves: Curves, file: Path, tags: Sequence[str] = ("loss", "accuracy")) -> None:
    """One panel per tag that was logged, training and validation in each. Draws nothing if none was."""
    shown = [tag for tag in tags if any(tag in logged for logged in curves.values())]
    if not shown:
        return
    drawn = figure(5.2 * len(shown), 3.8)
    for axes, tag in zip(np.ravel(drawn.subplots(1, len(shown))), shown, strict=True):
        for run, logged in curves.items():
            points = sorted(logged.get(tag, ()))
            if points:
                axes.plot([step + 1 for step, _ in points], [v for _, v in points], marker=".", label=run)
        axes.set(xlabel="epoch", title=tag)
        axes.grid(alpha=0.3)
        axes.legend()
    save(drawn, file)


def confusion_matrix(counts: np.ndarray, names: Sequence[str], file: Path, title: str = "") -> None:
    """`counts[actual, predicted]`, coloured by the share of its row, with the counts written in."""
    side = max(3.6, 0.55 * len(names) + 1.6)
    drawn = figure(side + 0.8, side)
    axes = drawn.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{int(count):,}" if count else "", ha="center", va="center", color=colour)
    places = np.arange(len(names))
    axes.set(xticks=places, yticks=places, xlabel="predicted", ylabel="actual", title=title)
    axes.set_xticklabels(names)
    axes.set_yticklabels(names)
    save(drawn, file)


def image_grid(
    images: np.ndarray, captions: Sequence[str], file: Path, columns: int = 10, title: str = ""
) -> None:
    """Grey [n, h, w] or colour [n, h, w, 3] images in rows of `columns`, a caption above each."""
    rows = max(1, -(-len(images) // columns))
    drawn = figure(0.95 * columns, 1.15 * rows + 0.4)
    cells = np.ravel(drawn.subplots(rows, columns, squeeze=False))
    for cell in cells:
        cell.axis("off")
    for cell, image, caption in zip(cells, images, captions, strict=False):
        cell.imshow(image, cmap="gray_r" if image.ndim == 2 else None, interpolation="nearest")
        cell.set_title(caption, fontsize=8, pad=2)
    if title:
        drawn.suptitle(title, fontsize=11)
    save(drawn, file)
