"""What the release judge is worth against rules that people use, and what the splitter costs where it has no work.

    python benchmarks/release.py [--quick]

Simulated releases go through the server's own decisions (`serving.release.decide`): 100 requests a second, a baseline
with 0.5 % errors, steps of 1, 5, 10, 25, 50 % of 12 minutes, a look every 10 s, all three guards (one slow answer in a
hundred, no NaN). The rivals look at the same requests: a one-sided z-test at 5 % of all errors so far, at every minute;
and Flagger's rule, a minute with less than 99 % successes is a failed check and five of them roll back. They know no
"not enough data": what they have not rolled back after the last step counts as promoted. Figures:

  false_rollback_pct       healthy candidates that were rolled back, of 1,000
  promoted_healthy_pct     healthy candidates that got all traffic; the rest was held
  caught_2x_pct            candidates with twice the errors that were rolled back
  failed_before_rollback   their failed requests until then, median
  minutes_to_rollback_2x   their minutes until then, median
  ztest_..., flagger_...   the same of the rivals
  split_error              largest |share of 100,000 keys that go to the candidate - share asked for|, over shares
                           and salts
  router_cost              rate of calls with the idle splitter / without it, by CPU time of a call through the gRPC and
                           REST layers in this process, without sockets (the worse of the two; larger is better). The
                           splitter's part is what the lines that it added to a call take by themselves
"""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402

from benchmarks.release_cost import idle_cost  # noqa: E402
from benchmarks.report import arguments, finish, median, table  # noqa: E402
from serving.release import decide, record, tally  # noqa: E402
from serving.release import plan as plans  # noqa: E402
from serving.release.split import place  # noqa: E402
from serving.release.tally import BASELINE, CANDIDATE, Tally  # noqa: E402

PLAN = plans.Plan(shares=plans.shares("1,5,10,25,50,100"), step_s=720, limit_s=3600)
RATE, BASE, SLOW, LOOK_S = 100, 0.005, 0.01, 10


class Outcome(NamedTuple):
    state: str
    minutes: float
    failed: int


def ours(rng: np.random.Generator, ratio: float) -> Outcome:
    """One release whose candidate errs `ratio` times as often as the baseline."""
    release, counted = record.begun(1, 1, 2, PLAN, "benchmark", "simulated"), Tally()
    seconds = failed = 0
    while release.in_flight and release.state != "held":
        share = tally.share_name(release.share)
        candidate = int(rng.binomial(RATE * LOOK_S, release.share))
        arms = ((CANDIDATE, candidate, ratio), (BASELINE, RATE * LOOK_S - candidate, 1.0))
        for arm, requests, worse in arms:
            errors = int(rng.binomial(requests, BASE * worse))
            failed += errors if arm == CANDIDATE else 0
            counted[share, arm, "asked"] += requests
            counted[share, arm, "timed"] += requests - errors
            counted[share, arm, "errors"] += errors
            counted[share, arm, "slow"] += int(rng.binomial(requests - errors, SLOW))
        seconds += LOOK_S
        release = dataclasses.replace(release, elapsed=release.elapsed + LOOK_S)
        move, _ = decide.decide(release, counted, decide.Health())
        if move is not None:
            release = release.moved(move.state, move.why, step=move.step)
    return Outcome(release.state, seconds / 60, failed)


def minutes_of(rng: np.random.Generator, ratio: float) -> list[tuple[int, int, int, int]]:
    """(requests, errors) of candidate and baseline in each minute of the plan's steps, for the rivals."""
    found = []
    for share in PLAN.shares[:-1]:
        for _ in range(int(PLAN.step_s // 60)):
            requests = int(rng.binomial(RATE * 60, share))
            others = RATE * 60 - requests
            found.append(
                (requests, int(rng.binomial(requests, BASE * ratio)), others, int(rng.binomial(others, BASE)))
            )
    return found


def ztest(minutes: list[tuple[int, int, int, int]]) -> Outcome:
    """Two proportions, pooled, at every minute over all so far, as a person would who looks at a dashboard."""
    n = x = m = y = 0
    for number, (requests, errors, others, other_errors) in enumerate(minutes, start=1):
        n, x, m, y = n + requests, x + errors, m + others, y + other_errors
        pooled = (x + y) / (n + m)
        deviation = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) if n and 0 < pooled < 1 else 0.0
        if deviation and (x / n - y / m) / deviation > 1.645:
            return Outcome("rolled_back", number, x)
    return Outcome("promoted", len(minutes), x)


def flagger(minutes: list[tuple[int, int, int, int]]) -> Outcome:
    """Success rate of the canary at least 99 % in each minute, five failed checks."""
    checks = failed = 0
    for number, (requests, errors, _, _) in enumerate(minutes, start=1):
        failed += errors
        checks += bool(requests) and errors / requests > 0.01
        if checks >= 5:
            return Outcome("rolled_back", number, failed)
    return Outcome("promoted", len(minutes), failed)


def percent(outcomes: list[Outcome], state: str) -> float:
    return 100 * sum(o.state == state for o in outcomes) / len(outcomes)


def judged(healthy: list[Outcome], double: list[Outcome]) -> dict[str, float]:
    caught = [o for o in double if o.state == "rolled_back"]
    return {
        "false_rollback_pct": percent(healthy, "rolled_back"),
        "promoted_healthy_pct": percent(healthy, "promoted"),
        "caught_2x_pct": percent(double, "rolled_back"),
        "failed_before_rollback": median([o.failed for o in caught]),
        "minutes_to_rollback_2x": median([o.minutes for o in caught]),
    }


def split_error(keys: int) -> float:
    """Over shares and salts, and raises where a growing share loses a key that was in."""
    worst = 0.0
    for salt in ("1:2:", "17:1764000000:", "another"):
        places = np.array([place(salt, f"customer-{n}") for n in range(keys)])
        inside = np.zeros(keys, bool)
        for share in (0.01, 0.05, 0.1, 0.25, 0.5, 0.9):
            now = places < share
            assert not (inside & ~now).any()
            inside = now
            worst = max(worst, abs(float(now.mean()) - share))
    return worst


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    number = options.rounds or (100 if options.quick else 1000)
    rng = np.random.default_rng(20)
    sides = {"ours": judged([ours(rng, 1.0) for _ in range(number)], [ours(rng, 2.0) for _ in range(number)])}
    traffic = {ratio: [minutes_of(rng, ratio) for _ in range(number)] for ratio in (1.0, 2.0)}
    for name, rule in (("ztest", ztest), ("flagger", flagger)):
        sides[name] = judged([rule(m) for m in traffic[1.0]], [rule(m) for m in traffic[2.0]])
    names = list(sides["ours"])
    rows = [[name, *(sides[side][name] for side in sides)] for name in names]
    table(["figure", *sides], rows, title=f"{number} healthy releases and {number} with twice the errors")
    figures = dict(sides["ours"])
    for side in ("ztest", "flagger"):
        figures |= {f"{side}_{name}": value for name, value in sides[side].items() if math.isfinite(value)}
    figures["split_error"] = split_error(100_000)
    costs = idle_cost(2_000 if options.quick else 10_000)
    table(
        ["layer", "us of a call", "us of the idle splitter", "rate with / without"],
        [[layer, cost.call_us, cost.splitter_us, cost.ratio] for layer, cost in costs.items()],
        title="the splitter where nothing is released (CPU time, this process)",
    )
    figures["router_cost"] = min(cost.ratio for cost in costs.values())
    finish("release", figures)


if __name__ == "__main__":
    main()
