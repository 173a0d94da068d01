"""Three pictures: how the reader learned, where it beats the 5-gram, and what the writer writes.

Samples are asked of the exported model with fixed seeds, so two reports of one model show the same text.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.book_scripts.evaluate import paragraphs
from pipelines.book_scripts.model import CURVES_FILE

SAMPLE_WORDS = 70
TEMPERATURES = (0.5, 0.8, 1.0)
PREFIX_WORDS = 5


def report(context: ReportContext) -> None:
    """Writes learning_curves, perplexity_by_word and samples as PNG, and the samples as samples.txt too."""
    measured = {} if context.evaluation is None else reading.evaluation(context.evaluation)
    if context.training_logs is not None:
        limit = measured.get((), {}).get("perplexity_ngram")
        learning_curves(context.training_logs / CURVES_FILE, limit, context.folder / "learning_curves.png")
    if measured:
        perplexity_by_slice(measured, context.folder / "perplexity_by_word.png")
    texts = write_samples(context.model, paragraphs(context.files("eval")))
    (context.folder / "samples.txt").write_text(
        "\n\n".join("\n".join(pair) for pair in texts) + "\n", encoding="utf-8"
    )
    samples(texts, context.folder / "samples.png")


def learning_curves(file_of_curves: Path, ngram: float | None, file: Path) -> None:
    """Perplexity per epoch on the training and the tuning words; the 5-gram's on later text as a line."""
    if not file_of_curves.exists():
        return
    rows = json.loads(file_of_curves.read_text(encoding="utf-8"))
    drawn = pictures.figure(7, 4.2)
    axes = drawn.subplots()
    epochs = [row["epoch"] for row in rows]
    for key, label in (("loss", "training (with dropout)"), ("val_loss", "tuning part of the book")):
        axes.semilogy(epochs, np.exp([row[key] for row in rows]), marker=".", label=label)
    if ngram is not None:
        axes.axhline(ngram, color="black", lw=0.9, ls="--", label=f"5-gram, later text: {ngram:.1f}")
    axes.set(xlabel="epoch", ylabel="perplexity")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    pictures.save(drawn, file)


def perplexity_by_slice(measured: Mapping[reading.SliceKey, Mapping[str, float]], file: Path) -> None:
    """The model and both rivals side by side for all words, by kind of word and by place in the paragraph."""
    keys = sorted(measured, key=lambda key: (len(key) > 0, key))
    names = [f"{key[0][1]}" if key else "all words" for key in keys]
    shares = [measured[key].get("share", 1.0) for key in keys]
    drawn = pictures.figure(9, 4.2)
    axes = drawn.subplots()
    shown = {"": "model", "_ngram": "5-gram", "_cached": "5-gram and cache"}
    for place, (suffix, label) in enumerate(shown.items()):
        heights = [measured[key][f"perplexity{suffix}"] for key in keys]
        bars = axes.bar(np.arange(len(keys)) + 0.28 * (place - 1), heights, 0.27, label=label)
        axes.bar_label(bars, fmt="%.3g", fontsize=6)
    axes.set_yscale("log")
    axes.set_xticks(
        np.arange(len(keys)), [f"{n}\n{s:.0%}" for n, s in zip(names, shares, strict=True)], fontsize=8
    )
    axes.set_ylabel("perplexity")
    axes.grid(alpha=0.3, axis="y")
    axes.legend()
    pictures.save(drawn, file)


def write_samples(model: Path, later: Sequence[str]) -> list[tuple[str, str]]:
    """(heading, text) per temperature, begun with the first words of a paragraph that the reader has not seen."""
    import tensorflow as tf

    begun = [" ".join(p.split()[:PREFIX_WORDS]) for p in later if len(p.split()) > 3 * PREFIX_WORDS]
    prefixes = [begun[i % len(begun)] for i in range(len(TEMPERATURES))]
    count = len(TEMPERATURES)
    answer = reading.signature(model)(
        prefix=tf.constant(prefixes),
        length=tf.constant([SAMPLE_WORDS] * count, tf.int64),
        temperature=tf.constant(TEMPERATURES, tf.float32),
        seed=tf.constant(range(count), tf.int64),
    )
    texts = [text.decode("utf-8") for text in answer["text"].numpy()]
    return [
        (f"“{prefix} ...”, temperature {t:g}", text)
        for prefix, t, text in zip(prefixes, TEMPERATURES, texts, strict=True)
    ]


def samples(texts: Sequence[tuple[str, str]], file: Path) -> None:
    """The texts as a picture, broken to lines."""
    lines: list[tuple[str, bool]] = []
    for heading, text in texts:
        lines.append((heading, True))
        for paragraph in text.split("\n"):
            lines += [(line, False) for line in textwrap.wrap(paragraph, 110) or [""]]
        lines.append(("", False))
    drawn = pictures.figure(9.5, 0.21 * len(lines) + 0.3)
    axes = drawn.subplots()
    axes.axis("off")
    for number, (line, bold) in enumerate(lines):
        axes.text(
            0,
            1 - (number + 0.5) / len(lines),
            line,
            fontsize=9,
            family="serif",
            weight="bold" if bold else "normal",
            transform=axes.transAxes,
            va="center",
            parse_math=False,
        )
    pictures.save(drawn, file)
