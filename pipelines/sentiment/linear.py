"""What each word weighs: a logistic regression on the words of a sentence, which has no order to learn.

With a thousand different sentences nothing that reads them in order does better (README.md has the figures), so this
is the model, and a recurrent network may only correct it. The strength of the penalty is chosen
on the tune split. A word that stands in a sentence twice counts twice, since the graph adds weights up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.sentiment.features import FIRST_WORD

# Inverse strengths of the regression's penalty.
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FOLDS, SEED = 5, 5
# A likelihood of 0 is a rounding error.
LEAST = 1e-7


@dataclass(frozen=True)
class Rows:
    """Different rows of a split: `tokens` [n, 40] word numbers, `labels` [n] 0 or 1, `weights` [n]."""

    tokens: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def where(self, chosen: np.ndarray) -> Rows:
        return Rows(self.tokens[chosen], self.labels[chosen], self.weights[chosen])


@dataclass(frozen=True)
class Linear:
    """`weights` [words + FIRST_WORD], 0 for fill and the unknown word, `bias`, and the penalty that was chosen."""

    weights: np.ndarray
    bias: float
    penalty: float

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """[n] of word numbers [n, 40]: above 0 is positive."""
        return self.weights[tokens].sum(axis=1) + self.bias


def distinct(tokens: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Rows:
    """Rows that are equal become one with the sum of their weights."""
    together, place = np.unique(np.column_stack([tokens, labels]), axis=0, return_inverse=True)
    return Rows(together[:, :-1], together[:, -1], np.bincount(place.ravel(), weights))


def fit(rows: Rows, words: int, penalty: float) -> Linear:
    """The regression of `rows` on counts of their words. Raises ProjectError if all labels are the same."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(rows.labels)) < 2:
        raise ProjectError(
            f"sentiment: all {len(rows.labels)} different sentences of the training split are labelled "
            f"{int(rows.labels[0]) if len(rows.labels) else 'nothing'}; expected 0 and 1. Use more data."
        )
    row, column = np.nonzero(rows.tokens >= FIRST_WORD)
    shape = (len(rows.tokens), words + FIRST_WORD)
    counts = csr_matrix((np.ones(len(row)), (row, rows.tokens[row, column])), shape=shape)
    fitted = LogisticRegression(C=penalty, max_iter=1_000).fit(counts, rows.labels, rows.weights)
    weights = fitted.coef_[0].astype(np.float32)
    weights[:FIRST_WORD] = 0.0
    return Linear(weights, float(fitted.intercept_[0]), penalty)


def choose(train: Rows, tune: Rows, words: int) -> tuple[Linear, dict[str, float]]:
    """The regression with the lowest loss on `tune`, and that loss of every penalty."""
    fits = [fit(train, words, penalty) for penalty in PENALTIES]
    losses = [loss(one.logits(tune.tokens), tune) for one in fits]
    return fits[int(np.argmin(losses))], {f"{p:g}": value for p, value in zip(PENALTIES, losses, strict=True)}


def cross_fitted(train: Rows, words: int, penalty: float) -> np.ndarray:
    """[n] logits of each row by a regression that was fitted without it.

    To its own rows a regression is surer than it has reason to be; a correction learned there would find no error.
    """
    fold = np.random.default_rng(SEED).permutation(len(train.labels)) % FOLDS
    logits = np.zeros(len(train.labels))
    for number in range(FOLDS):
        out = fold == number
        logits[out] = fit(train.where(~out), words, penalty).logits(train.tokens[out])
    return logits


def losses(logits: np.ndarray, rows: Rows) -> np.ndarray:
    """[n] negative log likelihood of each row, in nats."""
    sign = np.where(rows.labels == 1, 1.0, -1.0)
    return -np.log(np.clip(1 / (1 + np.exp(-sign * logits)), LEAST, 1.0))


def loss(logits: np.ndarray, rows: Rows) -> float:
    """The weighted mean of `losses`."""
    return float(np.average(losses(logits, rows), weights=rows.weights))
