"""Recordings one after the other with noise below them, and whether the right words were heard in it. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.speech_commands.wav import RATE

# Seconds between two clips; an event may be so far from the word that it names.
SHORTEST_GAP, LONGEST_GAP, TOLERANCE = 0.3, 1.0, 0.1


class Said(NamedTuple):
    """A word and when, in seconds."""

    word: str
    start: float
    end: float


class Score(NamedTuple):
    """Events that name a word that was said there, events that do not, words that no event names."""

    hits: int
    false_alarms: int
    misses: int


def stitch(
    clips: Sequence[tuple[str, np.ndarray]], noise: np.ndarray, decibels: float, random: np.random.Generator
) -> tuple[np.ndarray, list[Said]]:
    """(word, samples at 8 kHz) of each clip -> the recording [n] and what is said in it.

    All clips get the same level. `noise` [k] is repeated, `decibels` below the mean power of what is spoken.
    """
    parts, said, place = [_gap(random)], [], 0
    place = len(parts[0])
    for word, samples in clips:
        first, last = spoken(samples)
        clip = samples[first:last] / (np.sqrt(np.mean(samples[first:last] ** 2)) + 1e-9) * 0.05
        said.append(Said(word, place / RATE, (place + len(clip)) / RATE))
        parts += [clip, _gap(random)]
        place += len(clip) + len(parts[-1])
    whole = np.concatenate(parts)
    level = 0.05 * 10 ** (-decibels / 20) / (np.sqrt(np.mean(noise**2)) + 1e-9)
    repeated = np.tile(noise, -(-len(whole) // len(noise)))[: len(whole)]
    return (whole + level * repeated).astype(np.float32), said


def _gap(random: np.random.Generator) -> np.ndarray:
    return np.zeros(round(random.uniform(SHORTEST_GAP, LONGEST_GAP) * RATE), np.float32)


def spoken(samples: np.ndarray, below: float = 30.0) -> tuple[int, int]:
    """The first sample of what is spoken and the one behind it: 20 ms within 30 dB of the loudest."""
    step = RATE // 50
    count = len(samples) // step
    if not count:
        return 0, len(samples)
    power = np.mean(samples[: count * step].reshape(count, step) ** 2, axis=1)
    active = np.flatnonzero(power >= power.max() * 10 ** (-below / 10))
    return int(active[0] * step), int((active[-1] + 1) * step)


def score(said: Sequence[Said], events: Sequence[Said]) -> Score:
    """An event hits a word that has its name if its middle is within the word, a tenth of a second around it counted.

    Each word can be hit once; what hits it again is a false alarm.
    """
    left = list(said)
    hits = 0
    for event in events:
        middle = (event.start + event.end) / 2
        for one in left:
            if one.word == event.word and one.start - TOLERANCE <= middle <= one.end + TOLERANCE:
                left.remove(one)
                hits += 1
                break
    return Score(hits, len(events) - hits, len(left))
