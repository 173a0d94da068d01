"""Draws spoken words: harmonics of a voice and noise of breath, shaped by formants that glide from sound to sound.

A voice is a dozen numbers (pitch, length of the vocal tract, tempo, ...), so no person's speech is copied. What it
resembles in real words is what tells them apart: which formants follow which, where noise is, where a gap. It is far
from natural: there is no melody and no word is stressed otherwise than another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FRAME_S = 0.005
HARMONICS = 45
# Band edges in Hz of the three noises of breath.
NOISE_BANDS = ((400, 1_500), (1_500, 2_800), (2_800, 7_500))
# Deviations of formants, relative: of a speaker's sound from other speakers', and of one utterance from the next.
ACCENT, SLIP = 0.06, 0.04
FORMANT_WIDTHS = (90.0, 130.0, 200.0)
FORMANT_GAINS = (1.0, 0.6, 0.3)


class Sound(NamedTuple):
    """Seconds, loudness of the voice, three formants in Hz (a man's), loudness of the three noises."""

    seconds: float
    voice: float
    formants: tuple[float, float, float]
    noise: tuple[float, float, float] = (0.0, 0.0, 0.0)


# Rounded from what is known of English vowels (Peterson and Barney 1952); consonants by ear.
SOUNDS = {
    "ee": Sound(0.11, 1.0, (280, 2250, 2950)),
    "i": Sound(0.08, 1.0, (400, 1950, 2550)),
    "e": Sound(0.09, 1.0, (540, 1820, 2480)),
    "a": Sound(0.12, 1.0, (730, 1150, 2440)),
    "ae": Sound(0.12, 1.0, (660, 1700, 2400)),
    "o": Sound(0.11, 1.0, (500, 900, 2400)),
    "aw": Sound(0.12, 1.0, (580, 850, 2410)),
    "u": Sound(0.12, 1.0, (310, 900, 2250)),
    "uh": Sound(0.09, 1.0, (630, 1200, 2390)),
    "er": Sound(0.10, 0.9, (480, 1350, 1700)),
    "w": Sound(0.06, 0.6, (300, 650, 2200)),
    "r": Sound(0.06, 0.6, (330, 1100, 1600)),
    "l": Sound(0.06, 0.6, (350, 1050, 2900)),
    "n": Sound(0.08, 0.45, (250, 1500, 2500)),
    "m": Sound(0.08, 0.45, (250, 1000, 2200)),
    "v": Sound(0.07, 0.3, (300, 1200, 2300), (0.02, 0.04, 0.06)),
    "z": Sound(0.09, 0.25, (280, 1600, 2500), (0.0, 0.05, 0.3)),
    "s": Sound(0.12, 0.0, (280, 1600, 2500), (0.0, 0.06, 0.5)),
    "f": Sound(0.10, 0.0, (300, 1200, 2300), (0.04, 0.08, 0.12)),
    "th": Sound(0.09, 0.0, (320, 1400, 2500), (0.03, 0.06, 0.14)),
    "h": Sound(0.06, 0.05, (500, 1500, 2500), (0.15, 0.12, 0.06)),
    "-": Sound(0.06, 0.0, (400, 1500, 2500)),
    "t": Sound(0.03, 0.0, (400, 1800, 2600), (0.03, 0.15, 0.5)),
    "k": Sound(0.03, 0.0, (400, 1700, 2300), (0.1, 0.5, 0.15)),
    "p": Sound(0.03, 0.0, (400, 1000, 2200), (0.35, 0.1, 0.05)),
    "d": Sound(0.04, 0.4, (300, 1700, 2600), (0.02, 0.08, 0.15)),
    "b": Sound(0.04, 0.5, (250, 900, 2200), (0.08, 0.03, 0.02)),
    "g": Sound(0.04, 0.4, (300, 1700, 2200), (0.05, 0.15, 0.05)),
}
SPOKEN = {
    "zero": "z ee r o",
    "one": "w uh n",
    "two": "- t u",
    "three": "th r ee",
    "four": "f aw r",
    "five": "f a i v",
    "six": "s i - k s",
    "seven": "s e v e n",
    "eight": "e i - t",
    "nine": "n a i n",
    "left": "l e f - t",
    "right": "r a i - t",
    "house": "h a u s",
    "happy": "h ae - p ee",
    "dog": "d aw - g",
    "bed": "b e - d",
    "tree": "- t r ee",
    "marvin": "m a r v i n",
    "bird": "b er - d",
}


class Voice(NamedTuple):
    """Who speaks: pitch in Hz, factor of all formants, number of an accent (how each sound's formants differ), factor
    of tempo, share of breath, how much higher harmonics fade, loudness of full scale, decibels from it down to the
    room's noise, samples a second."""

    pitch: float
    tract: float
    accent: int
    tempo: float
    breath: float
    tilt: float
    loudness: float
    room: float
    rate: int


def voice(random: np.random.Generator) -> Voice:
    """Somebody new."""
    tract = random.uniform(0.88, 1.22)
    # Short tracts go with high voices, roughly.
    pitch = 105 * np.exp(3.2 * (tract - 0.95)) * np.exp(random.normal(0, 0.12))
    return Voice(
        float(np.clip(pitch, 75, 320)),
        tract,
        int(random.integers(2**31)),
        random.uniform(0.8, 1.3),
        random.uniform(0.5, 1.6),
        random.uniform(0.3, 1.0),
        10 ** random.uniform(-1.3, -0.3),
        random.uniform(6, 26),
        int(random.choice([8_000, 16_000, 22_050])),
    )


def say(word: str, who: Voice, random: np.random.Generator) -> np.ndarray:
    """One utterance of a word of SPOKEN, float [n], silence of a room around it: about a second."""
    frames = _frames(word, who, random)
    count = len(frames) * round(FRAME_S * who.rate)
    times = (np.arange(count) + 0.5) / count * len(frames) - 0.5
    spoken = _voiced(frames, times, who, random) + _breath(frames, times, who, random)
    fade = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.012 * who.rate))
    loudness = who.loudness * random.uniform(0.7, 1.2)
    spoken = spoken * fade / max(np.abs(spoken).max(), 1e-9) * loudness
    lead, tail = random.uniform(0.08, 0.35, 2)
    whole = np.pad(spoken, (int(lead * who.rate), int(tail * who.rate)))
    level = np.sqrt(np.mean(spoken**2)) * 10 ** (-who.room / 20)
    room = noise(len(whole) / who.rate, who.rate, random)
    return np.clip(whole + level * room / room.std(), -1, 1)


def _frames(word: str, who: Voice, random: np.random.Generator) -> np.ndarray:
    """What is to be heard every 5 ms, [frames, 7]: voice, three formants, three noises; gliding over 40 ms."""
    parts = []
    for name in SPOKEN[word].split():
        sound = SOUNDS[name]
        length = max(2, round(sound.seconds / who.tempo * random.uniform(0.8, 1.25) / FRAME_S))
        accent = np.random.default_rng([who.accent, *name.encode()]).normal(0, ACCENT, 3)
        formants = np.array(sound.formants) * who.tract * (1 + accent + random.normal(0, SLIP, 3))
        one = np.array(
            [sound.voice * random.uniform(0.8, 1.2), *formants, *np.array(sound.noise) * who.breath]
        )
        parts.append(np.repeat(one[None, :], length, axis=0))
    steps = np.concatenate(parts)
    width = 8
    edged = np.pad(steps, [(width // 2, width - 1 - width // 2), (0, 0)], mode="edge")
    return np.stack([edged[i : i + len(steps)] for i in range(width)]).mean(axis=0)


def _voiced(frames: np.ndarray, times: np.ndarray, who: Voice, random: np.random.Generator) -> np.ndarray:
    places = np.arange(len(frames))
    fall = random.uniform(0.75, 0.98)
    pitch = who.pitch * np.linspace(1.06, fall, len(frames)) * (1 + 0.01 * random.normal(0, 1, len(frames)))
    phase = 2 * np.pi * np.cumsum(np.interp(times, places, pitch)) / who.rate
    total = np.zeros(len(times))
    for harmonic in range(1, HARMONICS + 1):
        frequency = harmonic * pitch
        if frequency.max() > min(5_000, who.rate / 2):
            break
        gain = np.zeros(len(frames))
        for column, (width, weight) in enumerate(zip(FORMANT_WIDTHS, FORMANT_GAINS, strict=True), 1):
            gain += weight / np.sqrt(1 + ((frequency - frames[:, column]) / (width / 2 + 20)) ** 2)
        loud = np.interp(times, places, frames[:, 0] * gain / harmonic**who.tilt)
        total += loud * np.sin(harmonic * phase + random.uniform(0, 2 * np.pi))
    return total


def _breath(frames: np.ndarray, times: np.ndarray, who: Voice, random: np.random.Generator) -> np.ndarray:
    places, count = np.arange(len(frames)), len(times)
    spectrum = np.fft.rfft(random.normal(0, 1, count))
    frequencies = np.fft.rfftfreq(count, 1 / who.rate)
    total = np.zeros(count)
    for column, (low, high) in enumerate(NOISE_BANDS, 4):
        band = (frequencies >= low * who.tract) & (frequencies < high * who.tract)
        noise = np.fft.irfft(spectrum * band, count)
        total += np.interp(times, places, frames[:, column]) * noise / (noise.std() + 1e-9)
    return total


def noise(seconds: float, rate: int, random: np.random.Generator) -> np.ndarray:
    """Noise of a random colour (power falls with frequency by 0 to 8 dB an octave), half of it with a hum, -1 to 1."""
    count = round(seconds * rate)
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / rate), 20.0)
    spectrum = np.fft.rfft(random.normal(0, 1, count)) * frequencies ** -random.uniform(0, 1.35)
    made = np.fft.irfft(spectrum, count)
    made = made / (3.5 * made.std())
    if random.random() < 0.5:
        base, times = random.uniform(45, 180), np.arange(count) / rate
        made += sum(random.uniform(0, 0.15) * np.sin(2 * np.pi * base * k * times + k) for k in range(1, 8))
    return np.clip(made, -1, 1)
