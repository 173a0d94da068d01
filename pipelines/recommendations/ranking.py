"""How good ranked lists are, and three rivals: what is popular, neighbours of the items seen, EASE. No TensorFlow.

Items that a visitor has already seen are neither recommended nor counted as found, for models and rivals alike.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

TOP = 20
# Co-occurrences of an item that count as its neighbours.
NEIGHBOURS = 100
# Added to the cosine's denominator, so that items that one visitor saw together are no nearest neighbours. It was
# chosen for the rival's sake, on the sample's training period: without it the rival loses two fifths of its NDCG.
SHRINKAGE = 100.0
# Of a visitor with more items than this (a robot), only so many count for co-occurrence.
MAX_ITEMS = 300
# EASE inverts a matrix of items: with so many, the most popular ones, it takes ten seconds and 600 MB.
EASE_ITEMS = 8192
# Of an item's weights the largest in size are kept, so that a served model holds them.
EASE_WEIGHTS = 200
# Of the rival: between those of its author's two larger sets (Steck, 2019: 200 and 500).
EASE_PENALTY = 300.0
# Items whose neighbours are looked for at a time: the whole product of a big shop would not fit into memory.
SLICE = 4096


def hits(ranked: np.ndarray, targets: sparse.csr_matrix) -> np.ndarray:
    """Whether each item number of `ranked` [n, k] (-1: none) is among `targets` [n, items], bool [n, k]."""
    rows = np.repeat(np.arange(len(ranked)), ranked.shape[1])
    flat = ranked.ravel()
    wanted = np.asarray(targets[rows, np.maximum(flat, 0)]).ravel() > 0
    return (wanted & (flat >= 0)).reshape(ranked.shape)


def hit_rate(hit: np.ndarray, k: int) -> np.ndarray:
    """[n]: 1 where one of the first `k` came true."""
    return hit[:, :k].any(axis=1).astype(float)


def ndcg(hit: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """[n] normalised discounted cumulative gain of the first `k` with gains 0 and 1 (Jarvelin and Kekalainen, 2002).

    `targets` [n] is how many items there were to find, 1 at least.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(targets, k) - 1]
    return (hit[:, :k] * discount).sum(axis=1) / ideal


def most_popular(popular: np.ndarray, seen: sparse.csr_matrix, k: int = TOP) -> np.ndarray:
    """[n, k] the most popular items that each of the n visitors has not seen."""
    order = np.argsort(-popular, kind="stable")
    ranked = np.full((seen.shape[0], k), -1)
    for row in range(seen.shape[0]):
        mine = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        first = order[: k + len(mine)]
        fresh = first[~np.isin(first, mine)][:k]
        ranked[row, : len(fresh)] = fresh
    return ranked


def first_items(seen: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """A copy of `seen` [n, items] with the first `most` entries of each row; `seen` keeps its own arrays."""
    kept = np.arange(seen.nnz) - np.repeat(seen.indptr[:-1], np.diff(seen.indptr)) < most
    start = np.r_[0, np.cumsum(np.minimum(np.diff(seen.indptr), most))]
    return sparse.csr_matrix((seen.data[kept], seen.indices[kept], start), seen.shape)


def neighbours(seen: sparse.csr_matrix, shrinkage: float) -> sparse.csr_matrix:
    """Similarity [items, items] of who saw them, each item's NEIGHBOURS closest kept (Sarwar et al., 2001).

    Visitors who saw both over (the root of the product of those who saw each + `shrinkage`): the cosine for 0.
    """
    matrix = first_items(seen, MAX_ITEMS)
    sizes = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
    by_item = matrix.T.tocsr()
    parts = []
    for begin in range(0, matrix.shape[1], SLICE):
        block = (by_item[begin : begin + SLICE] @ matrix).tocoo()
        row = block.row + begin
        apart = row != block.col
        value = block.data / (sizes[row] * sizes[block.col] + shrinkage)
        parts.append(_closest(block.row[apart], block.col[apart], value[apart], block.shape))
    return sparse.vstack(parts).tocsr()


def ease(seen: sparse.csr_matrix, penalty: float) -> sparse.csr_matrix:
    """Weights [items, items] of an item seen (row) for another (Steck, 2019: "Embarrassingly shallow autoencoders").

    With P = (X' X + penalty I)^-1 the weight of i for j is -P[i, j] / P[j, j]. Items beyond the EASE_ITEMS most popular
    have none, and each row keeps its EASE_WEIGHTS largest.
    """
    from scipy.linalg import lapack

    matrix = first_items(seen, MAX_ITEMS)
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    chosen = np.sort(np.argsort(-counts, kind="stable")[:EASE_ITEMS])
    few = matrix[:, chosen]
    gram = (few.T @ few).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += penalty
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise np.linalg.LinAlgError(f"EASE with the penalty {penalty} has no solution; give it a larger one.")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return _largest(weights, chosen, matrix.shape[1])


def _largest(weights: np.ndarray, chosen: np.ndarray, items: int) -> sparse.csr_matrix:
    """The EASE_WEIGHTS largest in size of each row of `weights` between `chosen` items, as a matrix of all `items`."""
    width = min(EASE_WEIGHTS, len(chosen))
    columns = np.argpartition(-np.abs(weights), width - 1, axis=1)[:, :width]
    values = np.take_along_axis(weights, columns, axis=1)
    rows = np.repeat(chosen, width)
    full = sparse.csr_matrix((values.ravel(), (rows, chosen[columns].ravel())), (items, items))
    full.eliminate_zeros()
    return full


def _closest(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_matrix:
    """The NEIGHBOURS largest values of each row."""
    order = np.lexsort((-value, row))
    row, column, value = row[order], column[order], value[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < NEIGHBOURS
    return sparse.csr_matrix((value[kept], (row[kept], column[kept])), shape)


def by_neighbours(
    similar: sparse.csr_matrix, seen: sparse.csr_matrix, popular: np.ndarray, k: int = TOP
) -> np.ndarray:
    """[n, k]: items by the sum of their similarities to those seen; where these end (at 0), the popular follow."""
    scores = (seen @ similar).tocsr()
    filler = most_popular(popular, seen, 2 * k)
    ranked = np.full((seen.shape[0], k), -1)
    for row in range(seen.shape[0]):
        span = slice(scores.indptr[row], scores.indptr[row + 1])
        candidates, values = scores.indices[span], scores.data[span]
        fresh = ~np.isin(candidates, seen.indices[seen.indptr[row] : seen.indptr[row + 1]]) & (values > 0)
        candidates, values = candidates[fresh], values[fresh]
        best = candidates[np.lexsort((-popular[candidates], -values))][:k]
        rest = filler[row][~np.isin(filler[row], best)]
        both = np.r_[best, rest][:k]
        ranked[row, : len(both)] = both
    return ranked
