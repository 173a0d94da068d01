"""How well similarities tell people apart: verification, identification, and strangers among the probes.

Pure functions over similarities [n, n] of n pictures and the people on them; who computed them does not matter, so
that a network, eigenfaces and plain pixels are measured alike. `drawn` says how often each person counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ENROLLED = 3
FALSE_ACCEPTS = 0.01
# A face that was not found is like nobody's.
NOTHING = -3.0


def similarities(embeddings: np.ndarray, found: np.ndarray) -> np.ndarray:
    """1 - d^2 / 2 of embeddings [n, m], d the Euclidean distance: the cosine, where their length is 1."""
    lengths = np.square(embeddings).sum(axis=1)
    squares = lengths[:, None] + lengths[None] - 2 * embeddings @ embeddings.T
    alike = 1 - np.maximum(squares, 0) / 2
    return np.where(found[:, None] & found[None], alike, NOTHING)


class Pairs(NamedTuple):
    """Pairs of pictures in order of their similarity, the least alike first: people [k] each, and tied ranks."""

    first: np.ndarray
    second: np.ndarray
    group: np.ndarray


def pairs(alike: np.ndarray, people: np.ndarray, of: np.ndarray | None = None) -> Pairs:
    """All pairs of two pictures, or those with one of the pictures `of` [n] bool at least."""
    first, second = np.triu_indices(len(people), 1)
    if of is not None:
        kept = of[first] | of[second]
        first, second = first[kept], second[kept]
    scores = alike[first, second]
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    group = np.cumsum(np.r_[False, scores[1:] > scores[:-1]]) if len(scores) else np.zeros(0, int)
    return Pairs(people[first[order]], people[second[order]], group)


def auc(sorted_pairs: Pairs, drawn: np.ndarray) -> float:
    """Area under the ROC of telling one person's pairs from two people's; ties count half. NaN without both kinds."""
    same = sorted_pairs.first == sorted_pairs.second
    weight = drawn[sorted_pairs.first] * np.where(same, 1, drawn[sorted_pairs.second])
    if not len(weight):
        return float("nan")
    positives = np.bincount(sorted_pairs.group, weight * same)
    negatives = np.bincount(sorted_pairs.group, weight * ~same)
    total = positives.sum() * negatives.sum()
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / total) if total else float("nan")


class Probes(NamedTuple):
    """Of every probe [k]: its picture, its person, and how like it is to its own and to the most alike other person."""

    picture: np.ndarray
    person: np.ndarray
    own: np.ndarray
    other: np.ndarray

    def of(self, kept: np.ndarray) -> Probes:
        """Those of the pictures `kept` [n] bool."""
        return Probes(*(column[kept[self.picture]] for column in self))


def probes(alike: np.ndarray, people: np.ndarray) -> Probes:
    """Every picture asked against galleries of ENROLLED pictures of everybody; each takes its turn in the gallery.

    A person's pictures in their given order are enrolled three at a time, round and round; all others are probes. A
    person with three pictures or fewer is enrolled and never a probe.
    """
    count = people.max() + 1
    members = [np.flatnonzero(people == person) for person in range(count)]
    parts = []
    for turn in range(max(len(rows) for rows in members)):
        enrolled = [rows[(turn + np.arange(min(ENROLLED, len(rows)))) % len(rows)] for rows in members]
        best = np.stack([alike[:, rows].max(axis=1) for rows in enrolled], axis=1)
        asked = np.setdiff1d(np.arange(len(people)), np.concatenate(enrolled))
        # A smaller folder than the largest has been round already.
        asked = asked[[turn < len(members[people[row]]) for row in asked]]
        own = best[asked, people[asked]]
        best[asked, people[asked]] = -np.inf
        parts.append((asked, people[asked], own, best[asked].max(axis=1, initial=-np.inf)))
    return Probes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def identification(asked: Probes, drawn: np.ndarray) -> float:
    """The share of probes whose most alike person is the right one. NaN without any."""
    return _share(asked.own > asked.other, drawn[asked.person])


def threshold(asked: Probes, drawn: np.ndarray, accepts: float = FALSE_ACCEPTS) -> float:
    """The lowest similarity at which at most `accepts` of the strangers are taken for somebody.

    A stranger is a probe whose own person was left out of the gallery: each is one once.
    """
    order = np.argsort(-asked.other, kind="stable")
    weight = drawn[asked.person][order]
    taken = np.cumsum(weight) > accepts * weight.sum()
    # The first stranger who must stay out; above that one's similarity nobody too many comes in.
    return float(np.nextafter(asked.other[order[np.argmax(taken)]], np.inf)) if taken.any() else NOTHING


def found(asked: Probes, drawn: np.ndarray, at: float) -> float:
    """The share of probes with the right person on top and a similarity of `at` or more."""
    return _share((asked.own > asked.other) & (asked.own >= at), drawn[asked.person])


def accepted(asked: Probes, drawn: np.ndarray, at: float) -> float:
    """The share of strangers who are taken for somebody at the similarity `at`."""
    return _share(asked.other >= at, drawn[asked.person])


def _share(right: np.ndarray, weight: np.ndarray) -> float:
    return float(weight @ right / weight.sum()) if weight.sum() else float("nan")
