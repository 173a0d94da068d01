"""A modified Kneser-Ney 5-gram (Chen and Goodman, 1998): the rival, and a part of the model. numpy only.

The chance of a word after the last four is its discounted share there, plus what was discounted times its chance after
the last three, and so on down to a uniform share. The longest n-grams count how often they occur, shorter ones how many
words they follow; discounts are per length, for counts of 1, 2 and more. A context is a number, made of its words by
`fold`; among 2^64 numbers those of two contexts of one book do not meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ORDER = 5
PRIME = 1_099_511_628_211
# Where a text is too small for the formula's counts of counts.
DISCOUNTS = (0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Order:
    """N-grams of one length: `contexts` [c], sorted; of context i the words `words[begins[i]:begins[i + 1]]` with their
    discounted `shares`; `left` [c] is what the discounts left for shorter contexts.
    """

    contexts: np.ndarray
    begins: np.ndarray
    words: np.ndarray
    shares: np.ndarray
    left: np.ndarray

    def share(self, context: np.ndarray, word: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares [n] of words in contexts, what is left [n] (1 where unknown), and whether each is known [n]."""
        row = np.minimum(np.searchsorted(self.contexts, context), len(self.contexts) - 1)
        known = self.contexts[row] == context
        key = self._keys(row, word)
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        there = known & (self.keys[at] == key)
        return np.where(there, self.shares[at], 0.0), np.where(known, self.left[row], 1.0), known

    def _keys(self, row: np.ndarray, word: np.ndarray) -> np.ndarray:
        return row.astype(np.int64) * (1 << 32) + word

    @property
    def keys(self) -> np.ndarray:
        """[entries], sorted: the number of an entry's context and its word."""
        return self._keys(np.repeat(np.arange(len(self.contexts)), np.diff(self.begins)), self.words)


class KneserNey:
    """`first` [size]: chances with no context; `orders`: of two words, three, up to ORDER."""

    def __init__(self, train: np.ndarray, size: int) -> None:
        """Counts over `train` [words], numbers below `size`. Raises ValueError for less than ORDER words."""
        if len(train) < ORDER:
            raise ValueError(f"A {ORDER}-gram model needs {ORDER} words at least; the text has {len(train)}.")
        words = train.astype(np.int64)
        positions = np.arange(ORDER - 1, len(words))
        counted: list[tuple[np.ndarray, np.ndarray]] = []
        for length in range(ORDER, 0, -1):
            full = fold(words, positions, length)
            _, at, counts = np.unique(full, return_index=True, return_counts=True)
            # A shorter n-gram counts one for every longer one that ends with it.
            positions = positions[at]
            counted.append((positions, counts))
        counted.reverse()
        ones, counts = counted[0]
        discounts = _discounts(counts)
        taken = discounts[np.minimum(counts, 3) - 1]
        self.first = np.full(size, taken.sum() / counts.sum() / size)
        self.first[words[ones]] += (counts - taken) / counts.sum()
        self.orders = [
            _order(fold(words, at - 1, length - 1), words[at], counts)
            for length, (at, counts) in enumerate(counted[1:], start=2)
        ]

    def chances(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each word from the second on, given those before it: chance [words - 1], and how many of the words
        before it are a context that is known [words - 1].
        """
        words = words.astype(np.int64)
        at = np.arange(1, len(words))
        chance, depth = self.first[words[1:]], np.zeros(len(at), np.int64)
        for length, order in enumerate(self.orders[: max(0, len(words) - 1)], start=1):
            context = np.where(at >= length, fold(words, np.maximum(at - 1, length - 1), length), 0)
            share, left, known = order.share(context, words[1:])
            inside = known & (at >= length)
            chance = np.where(inside, share + left * chance, chance)
            depth = np.where(inside, length, depth)
        return chance, depth


def fold(words: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """int64 [ends]: a number for the `length` words up to and with each of `ends`; it wraps around."""
    number = np.zeros(len(ends), np.int64)
    with np.errstate(over="ignore"):
        for back in range(length - 1, -1, -1):
            number = number * np.int64(PRIME) + (words[ends - back] + 1)
    return number


def _discounts(counts: np.ndarray) -> np.ndarray:
    """[3] of counts 1, 2 and more: D = k - (k + 1) Y n(k + 1) / n(k), Y = n1 / (n1 + 2 n2) (their equation 26)."""
    n = [int((counts == k).sum()) for k in range(1, 5)]
    if n[0] == 0 or n[1] == 0:
        return np.array(DISCOUNTS)
    y = n[0] / (n[0] + 2 * n[1])
    found = [
        k - (k + 1) * y * n[k] / n[k - 1] if n[k - 1] else default
        for k, default in zip((1, 2, 3), DISCOUNTS, strict=True)
    ]
    return np.clip(found, 0.05, [0.95, 1.95, 2.95])


def _order(contexts: np.ndarray, words: np.ndarray, counts: np.ndarray) -> Order:
    sort = np.lexsort((words, contexts))
    contexts, words, counts = contexts[sort], words[sort], counts[sort]
    distinct, begins = np.unique(contexts, return_index=True)
    begins = np.append(begins, len(contexts))
    row = np.repeat(np.arange(len(distinct)), np.diff(begins))
    taken = _discounts(counts)[np.minimum(counts, 3) - 1]
    totals = np.bincount(row, counts)
    return Order(distinct, begins, words, (counts - taken) / totals[row], np.bincount(row, taken) / totals)
