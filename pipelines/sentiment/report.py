"""What a person looks at: learning curves, scores by class, accuracy by slice, the worst mistakes, words' weights.

Drawn from the evaluation split with the served model's own outputs, each text once. It decides nothing; bars are the
Evaluator's.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.report_gen import pictures
from components.report_gen.context import ReportContext
from pipelines.sentiment import evaluate
from pipelines.sentiment.model import CHOICES_FILE
from pipelines.sentiment.rows import length_of

CLASSES = ("negative", "positive")
WORST = 12
# Letters of a sentence that the picture of mistakes has room for.
WIDTH = 110


def report(context: ReportContext) -> None:
    """Writes learning_curves (of a correction), scores, slices, mistakes, confusion_matrix and words as PNG."""
    folder = context.folder
    pictures.learning_curves(pictures.read_curves(context.training_logs), folder / "learning_curves.png")
    texts = evaluate.read(context.files("eval"))
    scores = texts.mean(evaluate.score(context.model, texts.lines))
    right = (scores >= 0.5) == (texts.labels == 1)
    counts = np.bincount(texts.labels * 2 + (scores >= 0.5), minlength=4).reshape(2, 2)
    pictures.confusion_matrix(
        counts, CLASSES, folder / "confusion_matrix.png", f"accuracy {right.mean():.2%}"
    )
    score_histogram(scores, texts.labels, folder / "scores.png")
    slices([length_of(text) for text in texts.plain], right, folder / "slices.png")
    mistakes(texts, scores, folder / "mistakes.png")
    choices = None if context.training_logs is None else context.training_logs / CHOICES_FILE
    if choices is not None and choices.exists():
        strongest(json.loads(choices.read_text(encoding="utf-8"))["strongest"], folder / "words.png")


def score_histogram(scores: np.ndarray, labels: np.ndarray, file: Path) -> None:
    """How sure it is of each class; counts span decades, so the axis is logarithmic."""
    drawn = pictures.figure(6.5, 4)
    axes = drawn.subplots()
    for label, name in enumerate(CLASSES):
        axes.hist(scores[labels == label], bins=np.linspace(0, 1, 41), alpha=0.6, label=name)
    axes.set(xlabel="score", ylabel="sentences", yscale="log")
    axes.legend(title="labelled")
    pictures.save(drawn, file)


def slices(lengths: Sequence[str], right: np.ndarray, file: Path) -> None:
    """Accuracy of each length with its 95 % interval (Wilson): few sentences say little."""
    names, centres, halves = [], [], []
    for value in np.unique(lengths):
        hit = right[np.array(lengths) == value]
        n, p, z = len(hit), hit.mean(), 1.96
        names.append(f"{value} ({n})")
        centres.append((p + z * z / (2 * n)) / (1 + z * z / n))
        halves.append(z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    drawn = pictures.figure(7, 0.6 * len(names) + 1)
    axes = drawn.subplots()
    axes.errorbar(centres, range(len(names)), xerr=halves, fmt="o", capsize=4)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="accuracy", xlim=(min(0.7, min(centres) - max(halves)), 1.01))
    pictures.save(drawn, file)


def mistakes(texts: evaluate.Texts, scores: np.ndarray, file: Path) -> None:
    """The sentences it was most surely wrong about, as text."""
    wrong = np.abs(scores - texts.labels)
    chosen = [row for row in np.argsort(-wrong)[:WORST] if wrong[row] >= 0.5]
    lines = dict(zip(texts.of[::-1], texts.lines[::-1], strict=True))
    drawn = pictures.figure(11, 0.35 * max(1, len(chosen)) + 0.8)
    axes = drawn.subplots()
    axes.axis("off")
    axes.set_title("most surely wrong" if chosen else "no mistake", loc="left")
    for place, row in enumerate(chosen):
        text = shortened(lines[row].decode("utf-8", "replace"))
        line = f"{scores[row]:.2f}  labelled {CLASSES[texts.labels[row]]}:  {text}"
        height = 1 - (place + 1) / (len(chosen) + 1)
        axes.text(0, height, line, fontsize=9, va="center", transform=axes.transAxes, parse_math=False)
    pictures.save(drawn, file)


def shortened(text: str, width: int = WIDTH) -> str:
    """`text` in at most `width` letters, cut between words; a first word that is longer is cut within."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    cut = textwrap.shorten(text, width, placeholder=" …")
    return cut if cut != "…" else text[: width - 2] + " …"


def strongest(words: dict[str, float], file: Path) -> None:
    """The words with the largest weights of both signs."""
    names = sorted(words, key=lambda word: words[word])
    drawn = pictures.figure(6.5, 0.22 * len(names) + 1)
    axes = drawn.subplots()
    colours = ["tab:blue" if words[name] < 0 else "tab:orange" for name in names]
    axes.barh(range(len(names)), [words[name] for name in names], color=colours)
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set(xlabel="weight", title="words that say most")
    pictures.save(drawn, file)
