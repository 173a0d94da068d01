"""Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren and Volinsky, 2008). No TensorFlow.

A visitor who saw an item prefers it (1) with confidence 1 + w, w growing with the strength of what was done, and
anything else not (0) with confidence 1. Each visitor's factors are then the solution of a small linear system of
the factors of the items seen, so that a visitor who was not there in training is folded in exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from pipelines.recommendations.events import Pairs

# Floats gathered at a time: 32 MB.
CHUNK = 8_000_000


def inverse(factors: np.ndarray, regularisation: float) -> np.ndarray:
    """What everything not seen contributes: the inverse of `factors`' Gram matrix and the penalty, [f, f] float32."""
    wide = factors.astype(np.float64)
    return np.linalg.inv(wide.T @ wide + regularisation * np.eye(wide.shape[1])).astype(np.float32)


def solve(known: sparse.csr_matrix, factors: np.ndarray, regularisation: float) -> np.ndarray:
    """Factors [rows, f] that fit rows of extra confidences `known` [rows, columns] to the columns' `factors`.

    Rows with equally many entries are solved together.
    """
    base = inverse(factors, regularisation)
    solved = np.zeros((known.shape[0], factors.shape[1]), np.float32)
    counts = np.diff(known.indptr)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        step = max(1, CHUNK // (int(count) * factors.shape[1] + int(count) ** 2))
        for begin in range(0, len(rows), step):
            some = rows[begin : begin + step]
            at = known.indptr[some][:, None] + np.arange(count)
            solved[some] = _fold_in(factors[known.indices[at]], known.data[at], base)
    return solved


def _fold_in(mine: np.ndarray, weight: np.ndarray, base: np.ndarray) -> np.ndarray:
    """[n, f] from the factors [n, k, f] and extra confidences [n, k] of k items each.

    With M the inverse of `base`, Y = mine, C = diag(weight): x = (M + Y' C Y)^-1 Y' (1 + weight). For few items this
    is base Y' (C^-1 + Y base Y')^-1 (1 + 1 / weight) by Woodbury's identity: k equations instead of f.
    """
    count, width = mine.shape[1:]
    if count < width:
        projected = mine @ base
        inner = projected @ mine.transpose(0, 2, 1)
        inner[:, np.arange(count), np.arange(count)] += 1 / weight
        return np.einsum("nk,nkf->nf", np.linalg.solve(inner, (1 + 1 / weight)[..., None])[..., 0], projected)
    left = np.linalg.inv(base) + mine.transpose(0, 2, 1) @ (mine * weight[..., None])
    right = np.einsum("nk,nkf->nf", 1 + weight, mine)
    return np.linalg.solve(left, right[..., None])[..., 0]


def alternate(
    seen: Pairs, items: int, parameters: Mapping[str, Any], seed: int
) -> Iterator[tuple[np.ndarray, float]]:
    """After each of `factor_epochs` the items' factors [items, f] and the loss of Hu et al. per known pair.

    Visitors with a single item are left out: they do not tell which items go together.
    """
    weight = np.float32(parameters["confidence"]) * seen.strength.astype(np.float32)
    known = sparse.csr_matrix((weight, seen.item, seen.start), (len(seen.start) - 1, items))
    known = known[seen.counts >= 2]
    regularisation = parameters["regularisation"]
    random = np.random.default_rng(seed)
    factors = random.normal(0, 0.1, (items, parameters["factors"])).astype(np.float32)
    by_item = known.T.tocsr()
    for _ in range(parameters["factor_epochs"]):
        visitors = solve(known, factors, regularisation)
        factors = solve(by_item, visitors, regularisation)
        yield factors, loss(known, visitors, factors, regularisation)


def loss(known: sparse.csr_matrix, visitors: np.ndarray, items: np.ndarray, regularisation: float) -> float:
    """The sum of confidence x squared error over all pairs, known or not, and the penalty, per known pair."""
    rows = np.repeat(np.arange(known.shape[0]), np.diff(known.indptr))
    score = np.einsum("nf,nf->n", visitors[rows], items[known.indices])
    everywhere = float(np.sum((visitors.T @ visitors) * (items.T @ items)))
    there = float(np.sum((1 + known.data) * (1 - score) ** 2 - score**2))
    penalty = regularisation * float(np.sum(visitors**2) + np.sum(items**2))
    return (everywhere + there + penalty) / max(known.nnz, 1)
