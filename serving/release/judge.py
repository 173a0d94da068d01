"""Whether a new version is worse than the old one, or not much worse: e-values over counts, valid at every look.

An *event* is something bad that happened to one request: an error, a slow answer, a number that is none. Where a
share p of the requests goes to the candidate and its rate of events is r times the baseline's, an event is the
candidate's with the chance theta(r) = p r / (p r + 1 - p). The product over all events of
theta^x (1 - theta)^(1 - x), over the same at the ratio that is doubted, is a martingale as long as that ratio is
true; so is its mean over many r. By Ville's inequality its value passes 1/a at any time with a chance of at most a,
however often one looks and however the share changes meanwhile (Grunwald, de Heide, Koolen: Safe Testing; Ramdas et
al.: Game-theoretic statistics and safe anytime-valid inference).

It knows no releases, files or clocks. It assumes that requests are spread independently of what will happen to them;
`cautious` says what is done where keys make that untrue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# 40 ratios in (1, 32], evenly spaced on a logarithmic scale.
RATIOS: Floats = np.geomspace(32 ** (1 / 40), 32, 40)


class Counts(NamedTuple):
    """Events of one kind while one share held: `candidate` and `baseline` of them, among so many `asked` requests of
    either arm. `share` is the candidate's part of the requests, 0 < share < 1."""

    share: float
    candidate: float
    baseline: float
    candidate_asked: float
    baseline_asked: float


def cautious(counts: Counts, *, worse: bool) -> float:
    """The share to reckon with: the one that was asked for, or the one that came about, whichever makes the test say
    less.

    Where few keys make many requests, a share of the keys is not that share of the requests. A larger share lowers
    the e-value for "worse" at every event, and a smaller one that for "not much worse", so neither loses its
    validity by this, even though the share that came about is known only afterwards.
    """
    asked = counts.candidate_asked + counts.baseline_asked
    seen = counts.candidate_asked / asked if asked else counts.share
    return max(counts.share, seen) if worse else min(counts.share, seen)


def _log_likelihood(ratios: Floats, counts: Sequence[Counts], *, worse: bool) -> Floats:
    """Of the arms that events fell on, for each ratio, up to a term that does not depend on it."""
    total = np.zeros_like(ratios)
    for one in counts:
        events = one.candidate + one.baseline
        if events:
            share = cautious(one, worse=worse)
            total += one.candidate * np.log(ratios) - events * np.log(share * ratios + 1 - share)
    return total


def _log_mean(values: Floats) -> float:
    highest = float(values.max())
    return highest + float(np.log(np.exp(values - highest).mean()))


def log_worse(counts: Sequence[Counts]) -> float:
    """Logarithm of the e-value against "the candidate's rate of events is at most the baseline's"."""
    at_one = _log_likelihood(np.ones(1), counts, worse=True)[0]
    return _log_mean(_log_likelihood(RATIOS, counts, worse=True) - at_one)


def log_fine(counts: Sequence[Counts], margin: float) -> float:
    """Logarithm of the e-value against "the candidate's rate is at least `margin` times the baseline's"."""
    at_margin = _log_likelihood(np.array([margin]), counts, worse=False)[0]
    return _log_mean(_log_likelihood(margin / RATIOS, counts, worse=False) - at_margin)


def log_rare(events: float, asked: float, tolerable: float) -> float:
    """Logarithm of the e-value against "at least `tolerable` of the candidate's requests have an event".

    Two arms without events say nothing about their ratio; this is what they do say. Events must be among `asked`.
    """
    rates = tolerable / RATIOS
    said = events * np.log(rates / tolerable) + (asked - events) * (np.log1p(-rates) - np.log1p(-tolerable))
    return _log_mean(said)


def log_common(events: float, asked: float, most: float) -> float:
    """Logarithm of the e-value against "at most `most` of the requests have the event". 0 < most < 1."""
    rates = most + (1 - most) * np.linspace(1 / 40, 1, 40) * (1 - 1e-9)
    said = events * np.log(rates / most) + (asked - events) * (np.log1p(-rates) - np.log1p(-most))
    return _log_mean(said)
