"""An interpolated trigram model (Jelinek and Mercer, 1980): what the LSTM has to beat. numpy only.

The chance of a word is a weighted mean of its share of all words, after the last word and after the last two, and
of a uniform share; the weights are fitted by expectation maximisation to text that the counts have not seen. Where
a context never occurred its weight goes to the others. No discounting, no classes of contexts.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 50


class Trigram:
    """Counts over `train` [words] of numbers below `vocabulary`, weights fitted to `tune`."""

    def __init__(self, train: np.ndarray, tune: np.ndarray, vocabulary: int) -> None:
        self.size = vocabulary
        self.one = np.bincount(train, minlength=vocabulary)
        self.two = _counts(train[:-1] * vocabulary + train[1:])
        self.three = _counts((train[:-2] * vocabulary + train[1:-1]) * vocabulary + train[2:])
        self.after_one = np.bincount(train[:-1], minlength=vocabulary)
        self.after_two = _counts(train[:-2] * vocabulary + train[1:-1])
        self.weights = np.full(4, 0.25)
        parts, known = self._parts(tune)
        for _ in range(ROUNDS):
            shares = parts * self._spread(known)
            shares /= shares.sum(axis=1, keepdims=True)
            self.weights = shares.mean(axis=0)

    def log_probabilities(self, words: np.ndarray) -> np.ndarray:
        """[words - 2]: natural logarithm of the chance of each word from the third on, given the two before it."""
        parts, known = self._parts(words)
        return np.log((parts * self._spread(known)).sum(axis=1))

    def _spread(self, known: np.ndarray) -> np.ndarray:
        spread = self.weights * known
        return spread / spread.sum(axis=1, keepdims=True)

    def _parts(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[n, 4] chances by uniform share, one, two and three words; and whether each context is known."""
        words = words.astype(np.int64)
        first, second, third = words[:-2], words[1:-1], words[2:]
        pair = first * self.size + second
        after_one, after_two = self.after_one[second], _look_up(self.after_two, pair)
        parts = np.stack(
            [
                np.full(len(third), 1 / self.size),
                self.one[third] / self.one.sum(),
                _look_up(self.two, second * self.size + third) / np.maximum(after_one, 1),
                _look_up(self.three, pair * self.size + third) / np.maximum(after_two, 1),
            ],
            axis=1,
        )
        known = np.stack([np.ones(len(third)), np.ones(len(third)), after_one > 0, after_two > 0], axis=1)
        return parts, known


def _counts(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, counts = np.unique(keys.astype(np.int64), return_counts=True)
    return found, counts


def _look_up(table: tuple[np.ndarray, np.ndarray], keys: np.ndarray) -> np.ndarray:
    found, counts = table
    at = np.minimum(np.searchsorted(found, keys), len(found) - 1)
    return np.where(found[at] == keys, counts[at], 0)
