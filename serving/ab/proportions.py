"""How far two shares of users are apart, by an interval that holds at every look: the judge's e-values, for users.

A user x is given to B with the chance p (the split's share) and does what is counted (y = 1) or not, with the chance a
in A and b in B. What was seen of one user is worth f(y | a', b') / f(y | a*, b*) where (a', b') is a guess from the
users before, and (a*, b*) the pair nearest to it among all with b - a = d, by
(1-p) KL(a'||a) + p KL(b'||a + d). All pairs with that difference form a line, and the chances of (x, y) are linear
along it, so that this is worth at most 1 on average for every pair on the line; the product over users is a nonnegative
supermartingale for whichever difference is true, also where the shares change with time and keep their difference. By
Ville's inequality it reaches 1/alpha at any time with a chance of at most alpha, and the differences where it has not
are the interval. (Turner, Ly, Grunwald: Generic E-variables for exact sequential k-sample tests that allow for optional
stopping, 2024; Turner, Grunwald: Exact anytime-valid confidence intervals for contingency tables and beyond, 2023.)

For d = 0 it is `serving.release.judge`'s value in another order: of those with y = 1, theta(b'/a') is the chance to be
B's; those with y = 0 speak in the same way with (1-b')/(1-a'), which a judge of rare errors can leave out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Users' worth of "both are alike" in the guess: without, the first few users of either arm would be believed.
ALIKE = 200.0
COARSE, FINE = 161, 161
_HALVINGS = 42


class Looks(NamedTuple):
    """What is known at each of several moments, oldest first: arrays of equal length. `low` and `high` enclose the
    difference b - a; `log_e` is the evidence against 0, as a logarithm."""

    low: Floats
    high: Floats
    log_e: Floats


def nearest(a: Floats, b: Floats, share: float, differences: Floats) -> Floats:
    """a* of the pair (a*, a* + d) nearest to (a, b). The arguments broadcast; 0 < a, b < 1 and -1 < d < 1."""
    low, high = np.broadcast_arrays(np.maximum(0.0, -differences), np.minimum(1.0, 1.0 - differences))
    low, high = (
        np.array(np.broadcast_to(end, np.broadcast_shapes(end.shape, a.shape))) for end in (low, high)
    )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        other = middle + differences
        # The derivative of the distance, which grows along the line.
        slope = (1 - share) * (middle - a) * other * (1 - other) + share * (other - b) * middle * (1 - middle)
        up = slope < 0
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    found: Floats = (low + high) / 2
    return found


def log_values(counts: Floats, share: float, differences: Floats) -> Floats:
    """Logarithms of the e-values against each difference at each look, [looks, differences].

    counts: [looks, 4], growing: users of A, those of them with y = 1, users of B, those of them with y = 1
    """
    before = np.vstack([np.zeros((1, 4)), counts[:-1]])
    fresh = counts - before
    pooled = (before[:, 1] + before[:, 3] + 0.5) / (before[:, 0] + before[:, 2] + 1.0)
    guess_a = ((before[:, 1] + ALIKE * pooled) / (before[:, 0] + ALIKE))[:, None]
    guess_b = ((before[:, 3] + ALIKE * pooled) / (before[:, 2] + ALIKE))[:, None]
    null_a = nearest(guess_a, guess_b, share, differences[None, :])
    null_b = null_a + differences[None, :]
    total: Floats = np.zeros_like(null_a)
    for n, k, guess, null in ((0, 1, guess_a, null_a), (2, 3, guess_b, null_b)):
        null = np.clip(null, 1e-12, 1 - 1e-12)
        yes, no = fresh[:, k, None], (fresh[:, n] - fresh[:, k])[:, None]
        total = total + yes * (np.log(guess) - np.log(null)) + no * (np.log1p(-guess) - np.log1p(-null))
    logs: Floats = np.cumsum(total, axis=0)
    return logs


def intervals(counts: Floats, share: float, alpha: float) -> Looks:
    """The difference b - a at each look. `counts` as in `log_values`; 0 < share < 1, 0 < alpha < 1.

    The guesses of a look are those of the look before, so looks must be chosen without regard to what users did. Ends
    are rounded outwards, to a grid that is fine where the last interval lies.
    """
    ends = 1 - 1e-6
    grid = np.union1d(np.linspace(-ends, ends, COARSE), [0.0])
    bound = np.log(1 / alpha)
    for _ in range(3):
        # What was refuted once stays so.
        highest = np.maximum.accumulate(log_values(counts, share, grid), axis=0)
        low, high = _ends(grid, highest, bound)
        inside = int(np.count_nonzero((grid > low[-1]) & (grid < high[-1])))
        if inside > FINE // 2:
            break
        grid = np.union1d(grid, np.linspace(low[-1], high[-1], FINE))
    zero = int(np.searchsorted(grid, 0.0))
    return Looks(low, high, highest[:, zero])


def _ends(grid: Floats, highest: Floats, bound: float) -> tuple[Floats, Floats]:
    """At each look the points beside the first and the last that is not refuted; the least refuted where all are."""
    left = highest < bound
    left[np.arange(len(left)), highest.argmin(axis=1)] = True
    first = left.argmax(axis=1)
    last = left.shape[1] - 1 - left[:, ::-1].argmax(axis=1)
    low, high = grid[np.maximum(first - 1, 0)], grid[np.minimum(last + 1, len(grid) - 1)]
    return np.where(first == 0, -1.0, low), np.where(last == len(grid) - 1, 1.0, high)
