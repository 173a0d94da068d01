"""How far two means over users are apart, by an interval that holds at every look: a mixture SPRT.

With D the difference of the means and V = s_A^2/n_A + s_B^2/n_B its variance, the likelihood ratio for "the difference
is d", mixed over alternatives d + N(0, tau^2), is sqrt(V/(V+tau^2)) exp(tau^2 (D-d)^2 / (2 V (V+tau^2))); the
differences where it has not reached 1/alpha are

    D +- sqrt( V (V + tau^2) / tau^2 * (2 log(1/alpha) + log((V + tau^2)/V)) )

(Robbins: Statistical methods related to the law of the iterated logarithm, 1970; Johari, Koomen, Pekelis, Walsh: Always
valid inference, Operations Research 2022, eq. 10 and section 5 for two streams.) The variances are estimated, so that
it holds for many users, as a central limit theorem does (Waudby-Smith et al.: Time-uniform central limit theory, 2024):
no interval is given before `FEW` users of either arm, and sums of a few huge values are better capped first.
"""

from __future__ import annotations

import numpy as np

from serving.ab.proportions import Floats, Looks

# Users of either arm before anything is said.
FEW = 100
# The scale of differences that the mixture looks for, in standard deviations, where none was named.
USUAL = 0.1


def intervals(sums: Floats, alpha: float, effect: float | None = None) -> Looks:
    """The difference of the means, B's minus A's, at each look.

    sums: [looks, 6], growing: users of A, the sum of their values, the sum of the squares; the same of B
    effect: the difference that is looked for (tau); None: a tenth of the standard deviation at the first look that says
        anything, which is then the same for all looks
    """
    n_a, n_b = sums[:, 0], sums[:, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = sums[:, 4] / n_b - sums[:, 1] / n_a
        var_a, var_b = _variance(*sums[:, :3].T), _variance(*sums[:, 3:].T)
        variance = var_a / n_a + var_b / n_b
        speaks = (n_a >= FEW) & (n_b >= FEW) & (variance > 0)
        if not speaks.any():
            nothing = np.full(len(sums), np.inf)
            return Looks(-nothing, nothing, np.zeros(len(sums)))
        first = int(speaks.argmax())
        tau2 = (effect or USUAL * float(np.sqrt((var_a[first] + var_b[first]) / 2))) ** 2
        ratio = np.log((variance + tau2) / variance)
        half = np.sqrt(variance * (variance + tau2) / tau2 * (2 * np.log(1 / alpha) + ratio))
        log_e = tau2 * difference**2 / (2 * variance * (variance + tau2)) - ratio / 2
    low = np.where(speaks, difference - half, -np.inf)
    high = np.where(speaks, difference + half, np.inf)
    # What was refuted once stays so.
    low, high = np.maximum.accumulate(low), np.minimum.accumulate(high)
    return Looks(low, np.maximum(low, high), np.maximum.accumulate(np.where(speaks, log_e, 0.0)))


def _variance(n: Floats, total: Floats, squares: Floats) -> Floats:
    """Of one user's value; not below 0, where rounding would put it."""
    found: Floats = np.maximum(0.0, (squares - total**2 / n) / (n - 1))
    return found
