"""Events while somebody speaks: samples go in as they come, events come out as soon as they are certain.

The client keeps the last second, asks the served signature `posteriors` about each piece, and does with the answers
what the signature `events` does inside the graph (spotting.py), so the events are the same. It knows no model and no
TensorFlow: `ask` is any function from WAV bytes to that signature's outputs.

    python -m pipelines.speech_commands.streaming RECORDING.wav --server 127.0.0.1:8500 --chunk 0.5
"""

from __future__ import annotations

import argparse
import struct
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.speech_commands.project import PROJECT
from pipelines.speech_commands.words import WORDS

# As in wav.py and spotting.py, which need TensorFlow; a test holds them together.
RATE, RATE_STEP = 8_000, 25
BLOCK = RATE // RATE_STEP
WINDOW, HOP, EDGE = RATE, 2 * BLOCK, 12 * BLOCK
# Blocks that a piece has beside the two of each window it is asked about.
AROUND = 1 + WINDOW // BLOCK
SMOOTH, REFRACTORY, THRESHOLD, STEPS_OF_SCORE = 5, 6, 0.5, 1000.0
Ask = Callable[[bytes], Mapping[str, np.ndarray]]


class Event(NamedTuple):
    """A word that was heard: from when to when, in seconds, and the averaged probability."""

    word: str
    start: float
    end: float
    confidence: float


class Stream:
    """One recording as it comes. Not for several threads; `finish` ends it.

    An event is told 0.7 s after the middle of its word, and when `ask` has answered. `rate` is that of the samples.
    """

    def __init__(self, ask: Ask, rate: int) -> None:
        self._ask, self._rate = ask, rate
        # Samples as recorded in one block at 8 kHz; what is sent begins and ends at blocks.
        self._block = (rate + RATE_STEP // 2) // RATE_STEP
        # The resampler looks a few samples to both sides: a window more before and a block more behind are sent.
        self._waiting = np.zeros((HOP // BLOCK + EDGE // BLOCK) * self._block, np.float32)
        self._probabilities = np.zeros((0, 0), np.float32)
        self._ends = np.zeros((0, 2), np.float32)
        self._judged = 0
        self._received = 0

    def feed(self, samples: np.ndarray) -> list[Event]:
        """Mono samples [n], -1 to 1, that follow those before -> the events that are certain now."""
        self._received += len(samples)
        self._waiting = np.concatenate([self._waiting, np.asarray(samples, np.float32)])
        self._ask_about((len(self._waiting) // self._block - AROUND) // 2)
        return self._events(len(self._ends) - REFRACTORY - SMOOTH // 2)

    def finish(self) -> list[Event]:
        """The events of the end of the recording."""
        there = self._received * BLOCK // self._block
        windows = 1 + (EDGE + there + EDGE + HOP - WINDOW) // HOP - len(self._ends)
        missing = (2 * windows + AROUND) * self._block - len(self._waiting)
        self._waiting = np.concatenate([self._waiting, np.zeros(max(missing, 0), np.float32)])
        self._ask_about(windows)
        return self._events(len(self._ends))

    def _ask_about(self, windows: int) -> None:
        if windows <= 0:
            return
        piece = self._waiting[: (2 * windows + AROUND) * self._block]
        told = self._ask(as_wav(piece, self._rate))
        # The first window is the one before those that are asked about.
        probabilities = told["probabilities"][1 : windows + 1]
        before = self._probabilities.reshape(-1, probabilities.shape[1])
        self._probabilities = np.concatenate([before, probabilities])
        ends = np.stack([told["start"], told["end"]], axis=1)[1 : windows + 1]
        self._ends = np.concatenate([self._ends, ends])
        self._waiting = self._waiting[2 * windows * self._block :]

    def _events(self, certain: int) -> list[Event]:
        """The events among the windows before number `certain` that were not told yet."""
        found = []
        average = (
            smoothed(self._probabilities)[:, : len(WORDS)] if len(self._ends) else np.zeros((0, len(WORDS)))
        )
        score = np.round(average.max(axis=1, initial=0.0) * np.float32(STEPS_OF_SCORE))
        for row in range(self._judged, max(certain, self._judged)):
            earlier, later = score[max(0, row - REFRACTORY) : row], score[row + 1 : row + 1 + REFRACTORY]
            if (
                score[row] >= THRESHOLD * STEPS_OF_SCORE
                and (earlier < score[row]).all()
                and (later <= score[row]).all()
            ):
                begin = (row * HOP - EDGE) / RATE
                start, end = (float(begin + value) for value in self._ends[row])
                label = int(average[row].argmax())
                found.append(Event(WORDS[label], max(start, 0.0), end, float(average[row, label])))
        self._judged = max(certain, self._judged)
        return found


def smoothed(probabilities: np.ndarray) -> np.ndarray:
    """As spotting.smoothed: means [m, 12] over a window and four neighbours."""
    half, count = SMOOTH // 2, len(probabilities)
    edged = np.pad(probabilities, [(half, half), (0, 0)])
    there = np.pad(np.ones(count, np.float32), half)
    total = np.sum([edged[i : i + count] for i in range(SMOOTH)], axis=0)
    return total / np.sum([there[i : i + count] for i in range(SMOOTH)], axis=0)[:, None]


def as_wav(samples: np.ndarray, rate: int) -> bytes:
    """Mono float32 samples as a WAV file of floats: nothing is lost on the way."""
    data = np.asarray(samples, "<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, rate, 4 * rate, 4, 32)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def chunks_of(file: Path, seconds: float) -> tuple[int, Iterator[np.ndarray]]:
    """(rate, pieces of `seconds`) of a WAV file of 16 bits. Raises ProjectError for any other."""
    try:
        with wave.open(str(file)) as opened:
            channels, width, rate = opened.getnchannels(), opened.getsampwidth(), opened.getframerate()
            content = opened.readframes(opened.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ProjectError(f"{file} cannot be read as WAV: {error}; expected PCM of 16 bits.") from error
    if width != 2:
        raise ProjectError(f"{file} has {8 * width} bits; expected PCM of 16 bits.")
    samples = np.frombuffer(content, "<i2").reshape(-1, channels).mean(axis=1).astype(np.float32) / 2**15
    size = max(1, round(seconds * rate))
    return rate, (samples[begin : begin + size] for begin in range(0, len(samples), size))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints an event a line, as they become certain."""
    from serving.client import Client

    parser = argparse.ArgumentParser(
        description="Words in a recording, chunk by chunk, from a running model server."
    )
    parser.add_argument("recording", type=Path, help="WAV of 16 bits")
    parser.add_argument("--server", default="127.0.0.1:8500", help="host:port of gRPC")
    parser.add_argument("--chunk", type=float, default=0.5, help="seconds that are sent at once (0.5)")
    options = parser.parse_args(argv)
    rate, chunks = chunks_of(options.recording, options.chunk)
    with Client(options.server) as client:

        def ask(piece: bytes) -> Any:
            inputs = {"audio": np.array(piece, dtype=object)}
            return client.predict(PROJECT.name, inputs, signature="posteriors")

        stream = Stream(ask, rate)
        for chunk in chunks:
            show(stream.feed(chunk))
        show(stream.finish())


def show(events: Sequence[Event]) -> None:
    """A line each."""
    for event in events:
        print(f"{event.start:8.2f} s to {event.end:.2f} s  {event.word} ({event.confidence:.2f})", flush=True)


if __name__ == "__main__":
    main()
