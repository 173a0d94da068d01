"""Perplexity on the later part of the book, of the served model and of a trigram model of the same words.

Perplexity is exp of the mean negative log probability per word, punctuation and paragraph ends included, words
unknown to the vocabulary counted as one word "unknown" for both models (Jurafsky and Martin, ch. 3). Whether a text
reads well is for people: see the report's samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.function_evaluator.measuring import Given, Measured, SliceKey
from pipelines.base import training
from pipelines.book_scripts.features import POSITION_KEY, PUNCTUATION, RETURN, TEXT_KEY, VOCABULARY
from pipelines.book_scripts.trigram import Trigram

# Paragraphs are read in blocks of about this many words; each block begins with an empty state.
BLOCK_WORDS = 1500
FREQUENT, RARE = 100, 20


def evaluate(given: Given) -> Measured:
    """perplexity, perplexity_trigram and their ratio, overall and by kind of word and place in the paragraph.

    Raises ValueError for a model whose vocabulary is not that of this run's transform graph: its perplexity would
    not compare with the trigram model's, nor with a former model's.
    """
    import tensorflow_transform as tft

    assert given.transform_graph is not None
    vocabulary = [
        w.decode("utf-8")
        for w in tft.TFTransformOutput(str(given.transform_graph)).vocabulary_by_name(VOCABULARY)
    ]
    numbers = {split: encode(paragraphs(given.examples[split]), vocabulary) for split in ("train", "tune")}
    trigram = Trigram(numbers["train"], numbers["tune"], len(vocabulary) + 1)
    later = paragraphs(given.files)
    words, scores = score(given.model, later)
    expected = encode(later, vocabulary)
    if not np.array_equal(words, expected):
        raise ValueError("the model numbers words otherwise than this run's vocabulary does")
    # The trigram needs two words before; so the first two words are left out for both.
    words, own, theirs = words[2:], scores[2:], trigram.log_probabilities(words)
    counts = np.append(np.bincount(numbers["train"], minlength=len(vocabulary) + 1)[:-1], 0)
    measured: dict[SliceKey, dict[str, float]] = {(): _metrics(own, theirs, len(words))}
    measured[()] |= {
        "vocabulary": float(len(vocabulary)),
        "unknown_share": float((words == len(vocabulary)).mean()),
    }
    for feature, labels in (
        ("word", word_kinds(words, vocabulary, counts)),
        ("paragraph", places(words, vocabulary.index(RETURN))),
    ):
        for label in np.unique(labels):
            rows = labels == label
            measured[((feature, str(label)),)] = _metrics(own[rows], theirs[rows], len(words))
    return measured


def _metrics(own: np.ndarray, theirs: np.ndarray, total: int) -> dict[str, float]:
    mine, other = float(np.exp(-own.mean())), float(np.exp(-theirs.mean()))
    return {
        "perplexity": mine,
        "perplexity_trigram": other,
        "perplexity_ratio": mine / other,
        "loss": float(-own.mean()),
        "share": len(own) / total,
        "example_count": float(len(own)),
    }


def paragraphs(files: Sequence[str]) -> list[str]:
    """The texts of a split, in the order of the book."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        TEXT_KEY: tf.io.FixedLenFeature([], tf.string),
        POSITION_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    found: list[tuple[int, str]] = []
    for rows in training.dataset(files, spec, None, 512):
        texts = [text.decode("utf-8") for text in rows[TEXT_KEY].numpy()]
        found += zip(rows[POSITION_KEY].numpy().tolist(), texts, strict=True)
    return [text for _, text in sorted(found)]


def encode(texts: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """Word numbers int64 [words] of paragraphs, ends included; `len(vocabulary)` for words that are not in it."""
    import tensorflow as tf

    from pipelines.book_scripts.features import tokens

    number = {word: i for i, word in enumerate(vocabulary)}
    words = tokens(tf.constant([text + "\n" for text in texts])).flat_values.numpy()
    return np.array([number.get(word.decode("utf-8"), len(vocabulary)) for word in words], np.int64)


def score(model: Path, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The served model's word numbers and log probabilities [words] over `texts`, one after the other."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    answer = loaded.signatures["score"](text=tf.constant(blocks(texts)))
    words, scores = answer["word"].numpy(), answer["log_probability"].numpy()
    return words[words >= 0], scores[words >= 0].astype(np.float64)


def blocks(texts: Sequence[str]) -> list[str]:
    """Paragraphs joined to texts of about BLOCK_WORDS words, each ending with a paragraph."""
    found: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if size >= BLOCK_WORDS:
            found.append([])
            size = 0
        found[-1].append(text)
        size += len(text.split())
    return ["".join(f"{text}\n" for text in block) for block in found if block]


def word_kinds(words: np.ndarray, vocabulary: Sequence[str], counts: np.ndarray) -> np.ndarray:
    """'punctuation', 'unknown', 'frequent' (the 100 commonest words), 'rare' (under 20 times) or 'other' [words]."""
    marks = {token for token, *_ in PUNCTUATION}
    is_mark = np.array([word in marks for word in vocabulary] + [False])
    rank = np.argsort(np.argsort(np.where(is_mark, 0, -counts), kind="stable"), kind="stable")
    kinds = np.where(rank < FREQUENT, "frequent", np.where(counts < RARE, "rare", "other")).astype("<U11")
    kinds[is_mark], kinds[-1] = "punctuation", "unknown"
    return kinds[words]


def places(words: np.ndarray, end: int) -> np.ndarray:
    """'beginning' for the first ten words of a paragraph, 'later' for the rest [words]."""
    ends = np.flatnonzero(words == end)
    last = np.searchsorted(ends, np.arange(len(words)), side="left")
    begins = np.append(-1, ends)[last]
    return np.where(np.arange(len(words)) - begins <= 10, "beginning", "later")
