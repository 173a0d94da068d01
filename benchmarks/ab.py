"""What an A/B test's interval is worth to people who look all the time, beside a z-test that peeks.

    python benchmarks/ab.py [--quick]

Simulated tests go through the server's own arithmetic (`serving.ab`): half of the users are given to either version,
and after 20 users, and then whenever there are a twentieth more, somebody looks. Figures:

  share_false_pct       of 1,000 tests of two equal versions (10 % of the users do it, 20,000 users): a difference shown
  share_missed_pct      of 1,000 tests of 10 and 12 %: the true difference fell out of the interval at some look
  share_found_pct       of those: the difference was shown (20,000 users; without looks 7,700 find it in 80 %)
  share_users           their users until then, median (20,000 where it never was)
  ztest_false_pct       a two-sided z-test at 5 %, at the same looks of the same equal versions
  mean_false_pct, mean_missed_pct, mean_found_pct, mean_users
                        the same of means: three users in ten spend an exponential amount around 10, and version B's all
                        0.6 more (a twelfth of the standard deviation)
  ratio_false_pct       right ratios of 20,000 users that were blamed (p < 0.001)
  ratio_found_pct       8 % of one version's users lost: found within 40,000
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from benchmarks.report import arguments, finish, median  # noqa: E402
from serving.ab import means, proportions, ratio  # noqa: E402
from serving.ab.proportions import Floats  # noqa: E402
from serving.ab.result import moments, sample_ratio  # noqa: E402

USERS, ALPHA, A, B, MORE = 20_000, 0.05, 0.1, 0.12, 0.6
AT = np.array(moments(USERS)) - 1


def _looks(is_b: np.ndarray, *columns: np.ndarray) -> Floats:
    sums = [np.cumsum(c * arm)[AT] for arm in (~is_b, is_b) for c in (np.ones(len(is_b)), *columns)]
    return np.stack(sums, axis=1).astype(float)


def _shares(rng: np.random.Generator, b: float) -> Floats:
    is_b = rng.random(USERS) < 0.5
    return _looks(is_b, (rng.random(USERS) < np.where(is_b, b, A)).astype(float))


def _amounts(rng: np.random.Generator, more: float) -> Floats:
    is_b = rng.random(USERS) < 0.5
    spent = rng.exponential(10, USERS) * (rng.random(USERS) < 0.3) + more * is_b
    return _looks(is_b, spent, spent * spent)


def _peeks(counts: Floats) -> bool:
    n_a, k_a, n_b, k_b = counts.T
    pooled = (k_a + k_b) / (n_a + n_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (k_b / n_b - k_a / n_a) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    return bool((np.abs(z) > 1.959964).any())


def _pct(found: list[bool]) -> float:
    return 100 * sum(found) / len(found)


def of_shares(rng: np.random.Generator, tests: int) -> dict[str, float]:
    bound = math.log(1 / ALPHA)
    false, peeked, missed, users = [], [], [], []
    for _ in range(tests):
        equal, apart = _shares(rng, A), _shares(rng, B)
        false.append(bool((proportions.log_values(equal, 0.5, np.zeros(1)) >= bound).any()))
        peeked.append(_peeks(equal))
        logs = proportions.log_values(apart, 0.5, np.array([0.0, B - A])) >= bound
        missed.append(bool(logs[:, 1].any()))
        users.append(AT[logs[:, 0].argmax()] + 1 if logs[:, 0].any() else math.inf)
    return {
        "share_false_pct": _pct(false), "share_missed_pct": _pct(missed),
        "share_found_pct": _pct([u < math.inf for u in users]), "share_users": median([min(u, USERS) for u in users]),
        "ztest_false_pct": _pct(peeked),
    }  # fmt: skip


def of_means(rng: np.random.Generator, tests: int) -> dict[str, float]:
    false, missed, users = [], [], []
    for _ in range(tests):
        equal, apart = (means.intervals(_amounts(rng, more), ALPHA) for more in (0.0, MORE))
        false.append(not equal.low[-1] <= 0 <= equal.high[-1])
        missed.append(not apart.low[-1] <= MORE <= apart.high[-1])
        users.append(AT[(apart.low > 0).argmax()] + 1 if (apart.low > 0).any() else math.inf)
    return {
        "mean_false_pct": _pct(false), "mean_missed_pct": _pct(missed),
        "mean_found_pct": _pct([u < math.inf for u in users]), "mean_users": median([min(u, USERS) for u in users]),
    }  # fmt: skip


def of_ratios(rng: np.random.Generator, tests: int) -> dict[str, float]:
    right = [sample_ratio(rng.random(USERS) < 0.5, 0.5) < ratio.STOPS for _ in range(tests)]
    lost = [sample_ratio(rng.random(2 * USERS) < 0.46 / 0.96, 0.5) < ratio.STOPS for _ in range(tests)]
    return {"ratio_false_pct": _pct(right), "ratio_found_pct": _pct(lost)}


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    tests = options.rounds or (100 if options.quick else 1000)
    rng = np.random.default_rng(20)
    finish("ab", {**of_shares(rng, tests), **of_means(rng, tests), **of_ratios(rng, tests)})


if __name__ == "__main__":
    main()
