"""Rows that nobody recorded: seconds of noise, and words that are none because they run backwards.

And the check that every recording can be decoded, which is by the operations that are served.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.speech_commands import features, wav
from pipelines.speech_commands.wav import RATE

if TYPE_CHECKING:
    from pipelines.speech_commands.rows import Recording

# A noise's time from its beginning on; no second of it is in two splits.
NOISE_PARTS = {"train": (0.0, 0.65), "tune": (0.65, 0.75), "eval": (0.75, 1.0)}
# Seconds of noise are made quieter by up to so many decibels.
QUIETER_DB = 30.0


class Checked:
    """Recordings as samples at 8 kHz; one function for all of them, since tracing it takes a second."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._read: dict[float, Any] = {}
        self._spec = [tf.TensorSpec([], tf.string)]

    def samples(self, name: str, audio: bytes, longest: float = features.LONGEST_CLIP_S) -> np.ndarray:
        """Float32 [n]. Raises ProjectError with the file's name and what is wrong with it."""
        import tensorflow as tf

        if longest not in self._read:
            self._read[longest] = tf.function(lambda one: wav.read(one, longest), input_signature=self._spec)
        try:
            return self._read[longest](tf.constant(audio)).numpy()
        except tf.errors.InvalidArgumentError as error:
            told = str(error.message).partition("assertion failed:")[2].partition("\n")[0] or str(
                error.message
            )
            raise ProjectError(f"speech_commands: {name} cannot be decoded: {told.strip()}") from error


def reversed_words(words: Sequence[Recording], wanted: int, checked: Checked) -> list[Recording]:
    """The first `wanted` recordings backwards: sounds of speech in an order that is no word of the ten."""
    return [
        one._replace(
            name=f"reversed {one.name}",
            word=f"reversed {one.word}",
            audio=wav.write(checked.samples(one.name, one.audio)[::-1], RATE),
        )
        for one in words[:wanted]
    ]


def without_speech(
    noises: Mapping[str, bytes], split: str, wanted: int, checked: Checked
) -> Iterator[tuple[str, bytes]]:
    """(name, WAV of a second) `wanted` times: of the recorded noises' part for the split, in turns, else drawn."""
    random = np.random.default_rng(zlib.crc32(split.encode()))
    parts = [(name, _part(name, noises[name], split, checked)) for name in sorted(noises)]
    for number in range(wanted):
        if parts:
            name, samples = parts[number % len(parts)]
            begin = random.integers(0, len(samples) - RATE + 1)
            second = samples[begin : begin + RATE]
        else:
            from pipelines.speech_commands.voices import noise

            name, second = "drawn noise", 0.3 * noise(1.0, RATE, random)
        yield (
            f"{name} {split} {number}",
            wav.write(second * 10 ** (-random.uniform(0, QUIETER_DB) / 20), RATE),
        )


def _part(name: str, audio: bytes, split: str, checked: Checked) -> np.ndarray:
    samples = checked.samples(name, audio, features.LONGEST_RECORDING_S)
    first, last = (int(share * len(samples)) for share in NOISE_PARTS[split])
    if last - first < RATE:
        raise ProjectError(
            f"speech_commands: {name} has {len(samples) / RATE:.1f} s; expected a noise of ten seconds or more."
        )
    return samples[first:last]
