"""How good ranked lists are, and the two rivals: what is popular, and neighbours of the items seen. No TensorFlow.

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
# Items whose neighbours are looked for at a time: the whole product of a big shop would not fit into memory.
SLICE = 4096


def hits(ranked: np.ndarray, targets: sparse.csr_matrix) -> np.ndarray:
    """Whether each item number of `ranked` [n, k] (-1: none) is among `targets` [n, items], bool [n, k]."""
    rows = np.repeat(np.arange(len(ranked)), ranked.shape[1])
    flat = ranked.ravel()
    found = np.asarray(targets[rows, np.maximum(flat, 0)]).ravel() > 0
    return (found & (flat >= 0)).reshape(ranked.shape)


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
    found = np.full((seen.shape[0], k), -1)
    for row in range(seen.shape[0]):
        mine = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        first = order[: k + len(mine)]
        fresh = first[~np.isin(first, mine)][:k]
        found[row, : len(fresh)] = fresh
    return found


def neighbours(seen: sparse.csr_matrix, shrinkage: float) -> sparse.csr_matrix:
    """Similarity [items, items] of who saw them, each item's NEIGHBOURS closest kept (Sarwar et al., 2001).

    Visitors who saw both over (the root of the product of those who saw each + `shrinkage`): the cosine for 0.
    """
    counts = np.diff(seen.indptr)
    kept = np.arange(seen.nnz) - np.repeat(seen.indptr[:-1], counts) < MAX_ITEMS
    matrix = sparse.csr_matrix((seen.data * kept, seen.indices, seen.indptr), seen.shape)
    matrix.eliminate_zeros()
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
    """[n, k]: items by the sum of their similarities to those seen; where these end, the most popular follow."""
    scores = (seen @ similar).tocsr()
    filler = most_popular(popular, seen, 2 * k)
    found = np.full((seen.shape[0], k), -1)
    for row in range(seen.shape[0]):
        span = slice(scores.indptr[row], scores.indptr[row + 1])
        candidates, values = scores.indices[span], scores.data[span]
        fresh = ~np.isin(candidates, seen.indices[seen.indptr[row] : seen.indptr[row + 1]])
        candidates, values = candidates[fresh], values[fresh]
        best = candidates[np.lexsort((-popular[candidates], -values))][:k]
        rest = filler[row][~np.isin(filler[row], best)]
        both = np.r_[best, rest][:k]
        found[row, : len(both)] = both
    return found
