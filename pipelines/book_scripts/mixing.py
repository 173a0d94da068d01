"""What several opinions of the next word say together, and a cache of the words said lately. numpy only.

The chance of a word is a weighted mean of the chances that the parts give it (Jelinek and Mercer, 1980), with weights
fitted by expectation maximisation to text that no part was fitted to. The cache is the share of a word among the last
ones of the text, each counting half of one that stands a half-life later (Clarkson and Robinson, 1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.book_scripts.kneser_ney import ORDER, KneserNey

# A longer block costs time, since its words are read one by one; in a shorter one the cache is empty too often.
BLOCK_WORDS = 4_000
ROUNDS = 60
# Of the cache, in words; the one that fits best is chosen.
HALF_LIVES = (60.0, 150.0, 400.0, 1000.0, 3000.0)
# Words that a kind of context needs to have weights of its own, not drawn to those of all.
PRIOR = 50.0


def cache_chances(words: np.ndarray, half_life: float) -> np.ndarray:
    """[words - 1]: the share of each word from the second on among those before it, the nearer the heavier."""
    # Decays as powers of the place: no sum over the vocabulary, only each word's own last sum.
    decay = 0.5 ** (1 / half_life)
    sums: dict[int, tuple[int, float]] = {}
    chances, total = np.empty(len(words) - 1), 0.0
    for place, word in enumerate(words.tolist()):
        last, value = sums.get(word, (place, 0.0))
        value *= decay ** (place - last)
        total *= decay
        if place:
            chances[place - 1] = value * 1.0 / total
        sums[word] = (place, value + 1.0)
        total += 1.0
    return chances


def fit(parts: np.ndarray, kinds: np.ndarray, count: int) -> np.ndarray:
    """Weights [count, parts] that sum to 1 for each kind of context, from chances `parts` [n, parts] of the words that
    came and their `kinds` [n]. A kind with few words has nearly the weights of all.
    """
    everything = _maximise(parts, np.full(parts.shape[1], 1 / parts.shape[1]), None)
    weights = np.tile(everything, (count, 1))
    for kind in range(count):
        mine = parts[kinds == kind]
        if len(mine):
            weights[kind] = _maximise(mine, everything, everything)
    return weights


def _maximise(parts: np.ndarray, start: np.ndarray, prior: np.ndarray | None) -> np.ndarray:
    weights = start
    for _ in range(ROUNDS):
        shares = parts * weights
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
        sums = shares.sum(axis=0) + (0 if prior is None else PRIOR * prior)
        weights = sums / sums.sum()
    return weights


def log_chances(parts: np.ndarray, kinds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[n] natural logarithms of the mixture's chances."""
    return np.log((parts * weights[kinds]).sum(axis=1))


def blocks(words: np.ndarray, end: int) -> list[np.ndarray]:
    """A text cut to pieces of BLOCK_WORDS words, each begun by the end of a paragraph, as a request to the model is."""
    return [np.append(end, words[begin : begin + BLOCK_WORDS]) for begin in range(0, len(words), BLOCK_WORDS)]


def counted_parts(texts: Sequence[np.ndarray], counted: KneserNey) -> tuple[np.ndarray, np.ndarray]:
    """Chances [n] by n-grams of all words of `texts` but their first, and how many words before are known [n]."""
    found = [counted.chances(text) for text in texts]
    return np.concatenate([chance for chance, _ in found]), np.concatenate([depth for _, depth in found])


def cached_part(texts: Sequence[np.ndarray], half_life: float) -> np.ndarray:
    """Chances [n] by the cache, likewise; every text begins with an empty one."""
    return np.concatenate([cache_chances(text, half_life) for text in texts])


def choose(
    texts: Sequence[np.ndarray], others: np.ndarray, counted: KneserNey, kinds: bool = True
) -> tuple[np.ndarray, float]:
    """Weights [kinds, parts] of `others` [n, parts - 2], n-grams and cache, and the half-life, with which `texts` are
    likeliest. Kinds are how many words before are a known context; without `kinds` there is one.
    """
    chance, depth = counted_parts(texts, counted)
    depth = depth if kinds else np.zeros_like(depth)
    best: tuple[float, np.ndarray, float] | None = None
    for half_life in HALF_LIVES:
        parts = np.column_stack([others, chance, cached_part(texts, half_life)])
        weights = fit(parts, depth, ORDER if kinds else 1)
        likelihood = float(log_chances(parts, depth, weights).mean())
        if best is None or likelihood > best[0]:
            best = likelihood, weights, half_life
    assert best is not None
    return best[1], best[2]
