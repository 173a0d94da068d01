"""Whether the users of the two versions are in the ratio that was asked for, by a p-value that holds at every look.

The Bayes factor of Beta(CONCENTRATION share, CONCENTRATION (1 - share)) against the share itself is an e-value, so that
1 over the largest one so far is a p-value at any time (Lindon, Malek: Anytime-valid inference for multinomial count
data, 2022). A ratio that is not the one asked for means that somebody is not counted, and then no difference between
those who are means anything.
"""

from __future__ import annotations

import math

import numpy as np

from serving.ab.proportions import Floats

STOPS = 0.001
# How near to the share a wrong one is expected to be: about 1.6 % for a half.
CONCENTRATION = 1000.0


def p_value(users_a: Floats, users_b: Floats, share: float) -> float:
    """Of "each user is B's with the chance `share`", from the growing counts of each look; 1 without users."""
    largest = 0.0
    for a, b in zip(users_a.tolist(), users_b.tolist(), strict=True):
        mixed = _log_beta(b + CONCENTRATION * share, a + CONCENTRATION * (1 - share))
        mixed -= _log_beta(CONCENTRATION * share, CONCENTRATION * (1 - share))
        largest = max(largest, mixed - b * math.log(share) - a * math.log1p(-share))
    return float(np.exp(-largest))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
