"""Perplexity on the later part of the book, of the served model and of two rivals that know the same words.

The rivals are a modified Kneser-Ney 5-gram counted on the training split, and the same with a cache of the words said
lately, whose weight and half-life are fitted to the tune split. They read the text in the same blocks as the model.

Perplexity is exp of the mean negative log probability per word, punctuation and paragraph ends included, words
unknown to the vocabulary counted as one word "unknown" for both models (Jurafsky and Martin, ch. 3). Whether a text
reads well is for people: see the report's samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.function_evaluator.measuring import Given, Measured, Sampled, SliceKey
from components.report_gen import reading
from pipelines.base import training
from pipelines.book_scripts import mixing
from pipelines.book_scripts.features import POSITION_KEY, PUNCTUATION, RETURN, TEXT_KEY, VOCABULARY
from pipelines.book_scripts.kneser_ney import KneserNey

# With what their perplexities are called.
RIVALS = ("ngram", "cached")
FREQUENT, RARE = 100, 20


def evaluate(given: Given) -> Sampled:
    """perplexity, the rivals' and the ratios to them, overall and by kind of word and place in the paragraph.

    Drawn again are paragraphs: the words of one are about one thing.

    Raises ValueError for a model whose vocabulary is not that of this run's transform graph: its perplexity would
    not compare with the rivals', nor with a former model's.
    """
    import tensorflow_transform as tft

    assert given.transform_graph is not None
    vocabulary = [
        w.decode("utf-8")
        for w in tft.TFTransformOutput(str(given.transform_graph)).vocabulary_by_name(VOCABULARY)
    ]
    numbers = {split: encode(paragraphs(given.examples[split]), vocabulary) for split in ("train", "tune")}
    later = paragraphs(given.files)
    words, own = score(given.model, later)
    if not np.array_equal(words, encode(later, vocabulary)):
        raise ValueError("the model numbers words otherwise than this run's vocabulary does")
    end = vocabulary.index(RETURN)
    read = [np.append(end, encode([text], vocabulary, whole=False)) for text in blocks(later)]
    columns = [own, *rivals(numbers["train"], numbers["tune"], read, end, len(vocabulary) + 1)]
    counts = np.append(np.bincount(numbers["train"], minlength=len(vocabulary) + 1)[:-1], 0)
    ends = words == end
    paragraph = np.cumsum(ends) - ends
    count = int(paragraph[-1]) + 1

    columns += [words == len(vocabulary), np.ones(len(words))]

    def sums(rows: np.ndarray) -> np.ndarray:
        """[paragraphs, 5]: log probabilities of the models, unknown words and words of the rows."""
        return np.stack([np.bincount(paragraph, rows * column, count) for column in columns], axis=1)

    parts: dict[SliceKey, np.ndarray] = {(): sums(np.ones(len(words), bool))}
    for feature, labels in (
        ("word", word_kinds(words, vocabulary, counts)),
        ("paragraph", places(words, end)),
    ):
        for label in np.unique(labels):
            parts[((feature, str(label)),)] = sums(labels == label)

    def measure(drawn: np.ndarray) -> Measured:
        totals = {key: drawn @ part for key, part in parts.items()}
        measured = {key: _metrics(one, totals[()][-1]) for key, one in totals.items() if one[-1]}
        measured[()] |= {
            "vocabulary": float(len(vocabulary)),
            "unknown_share": float(totals[()][-2] / totals[()][-1]),
        }
        return measured

    return Sampled(count, measure, "paragraphs")


def rivals(
    train: np.ndarray, tune: np.ndarray, later: Sequence[np.ndarray], end: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities [n] of the 5-gram, without and with a cache, of all words of `later` but each block's first."""
    counted = KneserNey(train, size)
    weights, half_life = mixing.choose(
        mixing.blocks(tune, end), np.empty((len(tune), 0)), counted, kinds=False
    )
    chance, depth = mixing.counted_parts(later, counted)
    parts = np.column_stack([chance, mixing.cached_part(later, half_life)])
    return np.log(chance), mixing.log_chances(parts, np.zeros_like(depth), weights)


def _metrics(sums: np.ndarray, total: float) -> dict[str, float]:
    """Of what `sums` gives, added up [5]; `total` is the words of all slices."""
    own, *theirs, _, words = sums
    metrics = {"perplexity": float(np.exp(-own / words)), "loss": float(-own / words)}
    for name, other in zip(RIVALS, theirs, strict=True):
        metrics[f"perplexity_{name}"] = float(np.exp(-other / words))
        metrics[f"perplexity_ratio_{name}"] = float(np.exp((other - own) / words))
    return {**metrics, "share": float(words / total), "example_count": float(words)}


def paragraphs(files: Sequence[str]) -> list[str]:
    """The texts of a split, in the order of the book."""
    import tensorflow as tf

    spec: dict[str, Any] = {
        TEXT_KEY: tf.io.FixedLenFeature([], tf.string),
        POSITION_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    numbered: list[tuple[int, str]] = []
    for rows in training.dataset(files, spec, None, 512):
        texts = [text.decode("utf-8") for text in rows[TEXT_KEY].numpy()]
        numbered += zip(rows[POSITION_KEY].numpy().tolist(), texts, strict=True)
    return [text for _, text in sorted(numbered)]


def encode(texts: Sequence[str], vocabulary: Sequence[str], whole: bool = True) -> np.ndarray:
    """Word numbers int64 [words] of paragraphs; `len(vocabulary)` for words that are not in it. `whole` paragraphs get
    the end that they lack.
    """
    import tensorflow as tf

    from pipelines.book_scripts.features import tokens

    number = {word: i for i, word in enumerate(vocabulary)}
    words = tokens(tf.constant([text + "\n" * whole for text in texts])).flat_values.numpy()
    return np.array([number.get(word.decode("utf-8"), len(vocabulary)) for word in words], np.int64)


def score(model: Path, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The served model's word numbers and log probabilities [words] over `texts`, one after the other."""
    import tensorflow as tf

    answer = reading.signature(model, "score")(text=tf.constant(blocks(texts)))
    words, scores = answer["word"].numpy(), answer["log_probability"].numpy()
    return words[words >= 0], scores[words >= 0].astype(np.float64)


def blocks(texts: Sequence[str]) -> list[str]:
    """Paragraphs joined to texts of about mixing.BLOCK_WORDS words, each ending with a paragraph."""
    gathered: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if size >= mixing.BLOCK_WORDS:
            gathered.append([])
            size = 0
        gathered[-1].append(text)
        size += len(text.split())
    return ["".join(f"{text}\n" for text in block) for block in gathered if block]


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
