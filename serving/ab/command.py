"""`viaduct ab MODEL ...`: begins an A/B test between two versions on what users did, shows it, and ends it.

    viaduct ab shop --between 16,17 --metric bought          of the keys, half are answered by either version
    viaduct ab shop                                          how it stands, and whether anything is shown
    viaduct ab shop --stop                                   the version from before answers everybody again
    viaduct ab shop --promote                                the other one does

MODEL is a project, or the folder of a served model. Requests have to bear the user's key (x-viaduct-key), and what
users did comes back by request id: POST /v1/models/MODEL:feedback, client.feedback(), or `viaduct feedback MODEL FILE`.
Looking often costs nothing: over all looks together the interval misses the truth with a chance of at most --alpha.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence

from serving.ab import result, trial
from serving.ab.result import Arm, Result
from serving.ab.trial import HIGHER, LOWER, MEAN, SHARE, Trial
from serving.ab.units import Feedback
from serving.release.command import asked
from serving.release.commands import live
from serving.release.folder import Folder
from serving.release.plan import PlanError
from serving.release.record import Release

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="viaduct ab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("model", help="a project's name, or the folder that holds a model's versions")
    what = p.add_mutually_exclusive_group()
    what.add_argument(
        "--between", metavar="A,B", help="begin a test of two versions, one of which is served now"
    )
    what.add_argument("--stop", action="store_true", help="end it: the version from before gets all traffic")
    what.add_argument("--promote", action="store_true", help="end it: the other version gets all traffic")
    p.add_argument("--release", type=int, metavar="N", help="show an earlier test, by its release's number")
    p.add_argument("--why", default="", help="the reason, for the journal; the test's numbers unless given")
    p.add_argument("--json", action="store_true", help="print JSON")
    test = p.add_argument_group("the test (with --between)")
    test.add_argument("--metric", help="name of the outcome")
    test.add_argument("--mean", action="store_true",
                      help="compare means over users of the outcome's sum, not shares of users with a 1")  # fmt: skip
    test.add_argument("--lower-is-better", action="store_true")
    test.add_argument("--share", type=float, default=50.0, metavar="PERCENT",
                      help="of the keys, for the version that is not served now (50)")  # fmt: skip
    test.add_argument("--window", default="1d", metavar="TIME",
                      help="how long after a user's first request outcomes count: 90s, 30m, 12h, 7d (1d)")  # fmt: skip
    test.add_argument(
        "--alpha", type=float, default=Trial.alpha, help=f"chance of a wrong interval ({Trial.alpha})"
    )
    test.add_argument("--effect", type=float, help="with --mean: the difference that is looked for")
    return p


def seconds(text: str) -> float:
    """The time that "90s", "12h" or "7d" means. Raises PlanError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None:
        raise PlanError(f"A/B test: window is {text!r}; expected a number of seconds, or as 30m, 12h, 7d.")
    return float(match[1]) * _SECONDS[match[2]]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused, 2 wrong usage."""
    options = parser().parse_args(argv)
    place = Folder(options.model)
    if not place.base.is_dir():
        print(
            f"viaduct ab: {place.base} is no folder; expected one that holds a model's versions",
            file=sys.stderr,
        )
        return 2
    try:
        if options.between:
            done, text = _begin(place, options)
        elif options.stop or options.promote:
            done, text = _end(place, options)
        else:
            return _show(place, options)
    except (PlanError, OSError) as error:
        done, text = False, str(error)
    print(text if done else f"viaduct ab: {text}", file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


def _begin(place: Folder, options: argparse.Namespace) -> tuple[bool, str]:
    match = re.fullmatch(r"(\d+),(\d+)", options.between.replace(" ", ""))
    if match is None or match[1] == match[2]:
        raise PlanError(f"--between is {options.between!r}; expected two versions, as 16,17.")
    if not options.metric:
        raise PlanError("--metric is missing; expected the name of the outcome that is compared.")
    a, b = int(match[1]), int(match[2])
    served = live(place, place.newest())
    if served not in (a, b):
        raise PlanError(
            f"Neither {a} nor {b} is the version that is served now ({served}); test against that one."
        )
    question = Trial(
        options.metric, MEAN if options.mean else SHARE, LOWER if options.lower_is_better else HIGHER,
        seconds(options.window), options.alpha, options.effect,
    )  # fmt: skip
    plan = trial.plan(question, options.share / 100)
    other = b if served == a else a
    why = options.why or f"A/B test: {question.metric}"
    done, text = asked(place, {"what": "begin", "to": other, "plan": plan.as_json(), "why": why})
    if done:
        text = f"version {other} is tested against version {served} on {question.metric!r}"
    return done, text


def _end(place: Folder, options: argparse.Namespace) -> tuple[bool, str]:
    release = place.newest()
    if release is None or not release.in_flight or release.plan.test is None:
        raise PlanError(f"There is no A/B test to end in {place.base}.")
    found = _result(place, release)
    why = options.why or summary(found)
    done, text = asked(place, {"what": "promote" if options.promote else "rollback", "why": why})
    return done, f"{text}; {summary(found)}" if done else text


def _result(place: Folder, release: Release) -> Result:
    feedback = Feedback(place.base)
    feedback.read()
    found = result.of(release, feedback, time.time())
    if found is None:
        raise PlanError(f"Release {release.number} is no A/B test; see viaduct release --status.")
    return found


def _show(place: Folder, options: argparse.Namespace) -> int:
    known = [place.release(*numbers) for numbers in reversed(place.numbers())]
    tests = [r for r in known if r.plan.test is not None and options.release in (None, r.number)]
    if not tests:
        print(json.dumps({"test": None}) if options.json else "no A/B test yet")
        return 0
    found = _result(place, tests[0])
    if options.json:
        print(json.dumps({"test": {"release": tests[0].number, "state": tests[0].state, **found.as_json()}}))
    else:
        print("\n".join(lines(tests[0], found)))
    return 0


def lines(release: Release, found: Result) -> list[str]:
    """A test for people."""
    asked_, state = found.trial, "running" if release.in_flight else release.state.replace("_", " ")
    kind = "share of users" if asked_.kind == SHARE else "mean over users"
    told = [
        f"A/B test {release.number}: version {found.b.version} beside {found.a.version}, {state}, "
        f"{100 * found.share:g} % of the keys",
        f"  {asked_.metric:<12} {kind}, {asked_.better} is better, window {asked_.window_s:g} s, "
        f"alpha {asked_.alpha:g}",
        *(_arm(arm) for arm in (found.a, found.b)),
        f"  {'difference':<12} {_difference(found)}",
        f"  {'ratio':<12} p = {found.p_ratio:.3g}{'' if found.ratio_holds else ': not the one asked for'}",
        f"  {'outcomes':<12} {', '.join(f'{number:,} {word}' for word, number in found.counts.items())}",
    ]  # fmt: skip
    if not found.a.users + found.b.users:
        told.append("  no user yet: requests have to bear x-viaduct-key")
    last = release.journal[-1] if release.journal and not release.in_flight else None
    return [*told, found.decision, *([f"ended by {last['who']}: {last['why']}"] if last else [])]


def _arm(arm: Arm) -> str:
    value = "nobody counted yet" if arm.value is None else f"{arm.value:.4g}"
    return f"  {f'version {arm.version}':<12} {arm.users:,} users, {arm.settled:,} counted: {value}"


def _difference(found: Result) -> str:
    if found.difference is None:
        return "nothing to compare yet"
    if found.low is None or found.high is None:
        return f"{found.difference:.4g}, too few users for an interval"
    return f"{found.difference:.4g} ({found.low:.4g} to {found.high:.4g}), e-value {found.e_value:.3g}"


def summary(found: Result) -> str:
    """One line of a journal."""
    told = [
        f"version {arm.version}: {arm.settled:,} users" + ("" if arm.value is None else f", {arm.value:.4g}")
        for arm in (found.a, found.b)
    ]
    return f"{found.decision}; {found.trial.metric}: {'; '.join(told)}; difference {_difference(found)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
