"""How many words a served model hears right, in clips and in stitched recordings with noise, and its rival on the same.

It measures; bars are on the card. What is drawn again for intervals are groups of up to eight recordings of a speaker,
which make one stitched recording; rows of unknown words and without speech are dealt out to the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.speech_commands import features, stitching, warping, wav
from pipelines.speech_commands.features import AUDIO_KEY, INFORMATION_KEYS, LABEL_KEY
from pipelines.speech_commands.making import Checked
from pipelines.speech_commands.words import SILENCE, UNKNOWN, WORDS

BATCH, GROUP = 64, 8
DECIBELS = 10.0


class Rows(NamedTuple):
    """Rows of a split, [n] each: WAV bytes, labels, and what else is told of them by name."""

    audio: np.ndarray
    labels: np.ndarray
    told: dict[str, np.ndarray]


def evaluate(given: Given) -> Sampled:
    """The metrics of `_metrics` overall, per kind, speaker and word. Raises what the model raises."""
    rows = read(given.files)
    right = ask(given.model, rows.audio).argmax(axis=1) == rows.labels
    rival = _rival(tuple(map(str, given.examples["train"])), tuple(map(str, given.files))) == rows.labels
    groups = grouped(rows)
    units = int(groups.max()) + 1
    heard = np.array([hear(given.model, rows, np.flatnonzero(groups == unit), unit) for unit in range(units)])
    parts: dict[SliceKey, np.ndarray] = {(): np.arange(len(rows.labels))}
    for name in ("kind", "speaker", "word"):
        for value in np.unique(rows.told[name]):
            parts[((name, str(value)),)] = np.flatnonzero(rows.told[name] == value)

    def measured(drawn: np.ndarray) -> Measured:
        often = drawn[groups]
        found = {
            key: _metrics(rows.labels[chosen], right[chosen], rival[chosen], often[chosen])
            for key, chosen in parts.items()
            if often[chosen].any()
        }
        return {**found, (): {**found[()], **_of_events(drawn @ heard)}}

    return Sampled(units, measured, "groups of up to eight recordings of a speaker")


def read(files: Sequence[str]) -> Rows:
    """Every row of raw gz TFRecords."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        key: tf.io.FixedLenFeature([], tf.string) for key in (AUDIO_KEY, *INFORMATION_KEYS)
    }
    spec[LABEL_KEY] = tf.io.FixedLenFeature([], tf.int64)
    parts = list(training.dataset(files, spec, None, 256))
    columns = {key: np.concatenate([part[key].numpy() for part in parts]) for key in spec}
    told = {key: np.char.decode(columns[key].astype(bytes)) for key in INFORMATION_KEYS}
    return Rows(columns[AUDIO_KEY], columns[LABEL_KEY], told)


def ask(model: Path, audio: np.ndarray) -> np.ndarray:
    """Probabilities [n, 12] that a SavedModel's serving_default gives."""
    import tensorflow as tf

    serve = reading.signature(model)
    batches = range(0, len(audio), BATCH)
    return np.concatenate(
        [serve(audio=tf.constant(audio[i : i + BATCH]))["probabilities"].numpy() for i in batches]
    )


@cache
def _rival(train: tuple[str, ...], judged: tuple[str, ...]) -> np.ndarray:
    """What the nearest training clip's label is; kept, since the baseline's evaluation asks for it again."""
    known, asked = read(train), read(judged)
    return warping.nearest(clips(asked.audio), clips(known.audio), known.labels)


def clips(audio: np.ndarray) -> np.ndarray:
    """WAV bytes [n] -> the second around what is spoken in each [n, 8000], by the operations that are served."""
    import tensorflow as tf

    cut = tf.function(features.clips, input_signature=[tf.TensorSpec([None], tf.string)])
    return np.concatenate([cut(tf.constant(audio[i : i + 256])).numpy() for i in range(0, len(audio), 256)])


def grouped(rows: Rows) -> np.ndarray:
    """The group of each row [n], 0 to the number of groups - 1."""
    groups = np.full(len(rows.labels), -1)
    count = 0
    speakers = rows.told["speaker"]
    spoken = rows.labels < UNKNOWN
    for speaker in np.unique(speakers[spoken]):
        mine = np.flatnonzero(spoken & (speakers == speaker))
        # No fewer than four together: a speaker's last ones join the group before.
        of_mine = np.minimum(np.arange(len(mine)) // GROUP, max((len(mine) + GROUP // 2) // GROUP - 1, 0))
        groups[mine] = count + of_mine
        count += int(of_mine.max()) + 1
    rest = np.flatnonzero(groups < 0)
    groups[rest] = np.arange(len(rest)) % count
    return groups


def hear(model: Path, rows: Rows, chosen: np.ndarray, seed: int) -> tuple[float, ...]:
    """Of a group: hits, false alarms and misses in its words with noise; false alarms in, and minutes of, the rest."""
    random = np.random.default_rng(seed)
    checked, events = _checked(), _events(model)
    quiet = np.flatnonzero(rows.labels == SILENCE)

    def stitched(labels: np.ndarray) -> tuple[np.ndarray, list[stitching.Said]]:
        pieces = [
            (str(rows.told["word"][i]), checked.samples(str(rows.told["name"][i]), rows.audio[i]))
            for i in labels
        ]
        noise = checked.samples("noise", rows.audio[random.choice(quiet)])
        return stitching.stitch(pieces, noise, DECIBELS, random)

    def heard(recording: np.ndarray) -> list[stitching.Said]:
        told = events(audio=_tensor(wav.write(recording, wav.RATE)))
        return [
            stitching.Said(word.decode(), start, end)
            for word, start, end in zip(
                told["word"].numpy(), told["start"].numpy(), told["end"].numpy(), strict=True
            )
        ]

    recording, said = stitched(chosen[rows.labels[chosen] < UNKNOWN])
    score = stitching.score(said, heard(recording))
    others = chosen[rows.labels[chosen] >= UNKNOWN]
    if not len(others):
        return (*score, 0, 0.0)
    recording, _ = stitched(others)
    return (*score, len(heard(recording)), len(recording) / wav.RATE / 60)


@cache
def _checked() -> Checked:
    return Checked()


@cache
def _events(model: Path) -> Any:
    return reading.signature(model, "events")


def _tensor(value: bytes) -> Any:
    import tensorflow as tf

    return tf.constant(value)


def _metrics(labels: np.ndarray, right: np.ndarray, rival: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """`accuracy` over all rows, `word_accuracy` over those of the ten words; the rival's and the lead over it.

    Metrics of rows that there are none of are left out.
    """
    spoken = labels < len(WORDS)
    found = {"example_count": float(drawn.sum())}
    for name, of, those in (
        ("accuracy", right, np.ones(len(labels), bool)),
        ("rival_accuracy", rival, np.ones(len(labels), bool)),
        ("word_accuracy", right, spoken),
        ("rival_word_accuracy", rival, spoken),
        ("unknown_accuracy", right, labels == UNKNOWN),
        ("silence_accuracy", right, labels == SILENCE),
    ):
        if drawn[those].any():
            found[name] = float(np.average(of[those], weights=drawn[those]))
    if "word_accuracy" in found:
        found["lead"] = found["word_accuracy"] - found["rival_word_accuracy"]
    return found


def _of_events(sums: np.ndarray) -> dict[str, float]:
    hits, false_alarms, misses, alarms_elsewhere, minutes = (float(value) for value in sums)
    return {
        "event_f1": 2 * hits / max(2 * hits + false_alarms + misses, 1),
        "event_precision": hits / max(hits + false_alarms, 1),
        "event_recall": hits / max(hits + misses, 1),
        "false_alarms_per_minute": alarms_elsewhere / max(minutes, 1e-9),
    }
