"""Pictures of a trained model: how it learned, what it was shown, where it errs, what it hears in a recording.

Drawn from the evaluation split, but for the curves. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.speech_commands import evaluate, features, stitching, wav
from pipelines.speech_commands.evaluate import Rows
from pipelines.speech_commands.making import Checked
from pipelines.speech_commands.words import LABELS, SILENCE, UNKNOWN

SHOWN, COLUMNS = 24, 6
SPOKEN = 10


def report(context: ReportContext) -> None:
    """Writes learning_curves, spectrograms, confusion_matrix, misheard and events as PNG."""
    folder = context.folder
    pictures.learning_curves(pictures.read_curves(context.training_logs), folder / "learning_curves.png")
    rows = evaluate.read(context.files("eval"))
    said = evaluate.ask(context.model, rows.audio)
    spectrograms(rows, said, np.arange(len(rows.labels)), folder / "spectrograms.png", "Some of the clips")
    wrong = np.flatnonzero(said.argmax(axis=1) != rows.labels)
    surest = wrong[np.argsort(-said[wrong].max(axis=1))]
    title = f"{len(wrong)} of {len(said):,} misheard; the surest first (is > said)"
    spectrograms(rows, said, surest, folder / "misheard.png", title)
    counts = np.bincount(rows.labels * len(LABELS) + said.argmax(axis=1), minlength=len(LABELS) ** 2)
    pictures.confusion_matrix(
        counts.reshape(len(LABELS), len(LABELS)),
        LABELS,
        folder / "confusion_matrix.png",
        f"{(said.argmax(axis=1) == rows.labels).mean():.2%} of {len(said):,} right",
    )
    events(context.model, rows, folder / "events.png")


def spectrograms(rows: Rows, said: np.ndarray, chosen: np.ndarray, file: Path, title: str) -> None:
    """The first of the `chosen` clips as the network sees them, low frequencies below, time to the right."""
    chosen = chosen[:SHOWN]
    drawn = pictures.figure(1.7 * COLUMNS, 1.6 * max(1, -(-len(chosen) // COLUMNS)) + 0.4)
    cells = np.ravel(drawn.subplots(max(1, -(-len(chosen) // COLUMNS)), COLUMNS, squeeze=False))
    for cell in cells:
        cell.axis("off")
    if len(chosen):
        seen = features.log_mel(evaluate.clips(rows.audio[chosen])).numpy()
        for cell, row, one in zip(cells, chosen, seen, strict=False):
            is_, told = rows.told["word"][row], LABELS[said[row].argmax()]
            right = said[row].argmax() == rows.labels[row]
            cell.imshow(one.T, origin="lower", aspect="auto", cmap="magma")
            cell.set_title(f"{is_}" if right else f"{is_} > {told}", fontsize=8, pad=2)
    drawn.suptitle(title, fontsize=11)
    pictures.save(drawn, file)


def events(model: Path, rows: Rows, file: Path) -> None:
    """A waveform of ten words of one speaker with noise at 10 dB; above it what was said, below it what was heard."""
    import tensorflow as tf

    random, checked = np.random.default_rng(1), Checked()
    spoken = np.flatnonzero(rows.labels < UNKNOWN)
    mine = spoken[rows.told["speaker"][spoken] == rows.told["speaker"][spoken[0]]][:SPOKEN]
    clips = [
        (str(rows.told["word"][i]), checked.samples(str(rows.told["name"][i]), rows.audio[i])) for i in mine
    ]
    noise = checked.samples("noise", rows.audio[np.flatnonzero(rows.labels == SILENCE)[0]])
    recording, said = stitching.stitch(clips, noise, evaluate.DECIBELS, random)
    told = reading.signature(model, "events")(audio=tf.constant(wav.write(recording, wav.RATE)))
    drawn = pictures.figure(13, 3.6)
    axes = drawn.subplots()
    axes.plot(np.arange(len(recording)) / wav.RATE, recording, lw=0.3, color="grey")
    top = float(np.abs(recording).max())
    for one in said:
        axes.axvspan(one.start, one.end, ymin=0.5, color="C0", alpha=0.2)
        axes.text((one.start + one.end) / 2, 1.05 * top, one.word, ha="center", color="C0")
    columns = (told[key].numpy() for key in ("word", "start", "end", "confidence"))
    for word, start, end, confidence in zip(*columns, strict=True):
        axes.axvspan(start, end, ymax=0.5, color="C1", alpha=0.3)
        axes.text(
            (start + end) / 2, -1.25 * top, f"{word.decode()}\n{confidence:.2f}", ha="center", color="C1"
        )
    axes.set(xlabel="seconds", yticks=[], ylim=(-1.4 * top, 1.25 * top), title="above: said; below: heard")
    pictures.save(drawn, file)
