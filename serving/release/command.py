"""`viaduct release MODEL ...`: begins releases, shows them, and ends them by hand.

    viaduct release card_fraud --to 17 --plan shadow,1,5,25,50,100     release a version that was pushed
    viaduct release card_fraud --plan shadow,1,5,25,50,100             from now on, release whatever is pushed
    viaduct release card_fraud --status                                how far it is, and why

MODEL is a project, or the folder of a served model. Where a server runs on that folder its controller does what is
asked, else this command does; either way one command is one line in the release's journal.
"""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from serving.release import folder as folders
from serving.release import plan as plans
from serving.release.commands import ON_RELEASE, obey
from serving.release.folder import Folder
from serving.release.plan import Plan, PlanError
from serving.release.record import Release

ANSWER_S = 15.0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="viaduct release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("model", help="a project's name, or the folder that holds a model's versions")
    what = p.add_mutually_exclusive_group()
    what.add_argument(
        "--to", type=int, metavar="VERSION", help="release this version beside the one that is served"
    )
    what.add_argument(
        "--status", action="store_true", help="the release, its judge's numbers and its journal"
    )
    what.add_argument("--approve", action="store_true", help="let it go on: past a hold, and to all traffic")
    what.add_argument("--hold", action="store_true", help="keep the split as it is")
    what.add_argument("--rollback", action="store_true", help="give all traffic back to the old version")
    what.add_argument("--promote", action="store_true", help="give all traffic to the new version now")
    what.add_argument("--no-plan", action="store_true", help="from now on, pushed versions take over at once")
    what.add_argument(
        "--wait",
        type=float,
        metavar="S",
        help="wait until the release ends or is held, and show it; 3 if not promoted",
    )
    p.add_argument("--why", default="", help="the reason, for the journal")
    p.add_argument("--json", action="store_true", help="print JSON (with --status)")
    plan = p.add_argument_group("the plan")
    plan.add_argument("--plan", metavar="STEPS", help="shares in percent, e.g. shadow,1,5,25,50,100")
    plan.add_argument("--margin", type=float, help=f"refute 'this many times as bad' ({Plan.margin})")
    plan.add_argument("--on-timeout", choices=plans.TIMEOUTS, help=f"without enough data ({Plan.on_timeout})")
    plan.add_argument("--step", type=float, metavar="S", help=f"seconds of a step at least ({Plan.step_s:g})")
    plan.add_argument(
        "--limit", type=float, metavar="S", help=f"seconds of a step at most ({Plan.limit_s:g})"
    )
    plan.add_argument(
        "--tolerable", type=float, help=f"rate of events that is no matter ({Plan.tolerable:g})"
    )
    plan.add_argument(
        "--max-changed", type=float, help="share of shadowed answers that may have another label"
    )
    plan.add_argument("--ask-me", action="store_true", help="wait for --approve before all traffic")
    return p


def _plan(options: argparse.Namespace) -> Plan:
    given: dict[str, Any] = {
        "margin": options.margin, "on_timeout": options.on_timeout, "step_s": options.step,
        "limit_s": options.limit, "tolerable": options.tolerable, "max_changed": options.max_changed,
        "approve": options.ask_me or None, "shares": plans.shares(options.plan) if options.plan else None,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    if "step_s" in given:
        given.setdefault("limit_s", max(Plan.limit_s, given["step_s"]))
    elif "limit_s" in given:
        given["step_s"] = min(Plan.step_s, given["limit_s"])
    return dataclasses.replace(Plan(), **given)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def asked(place: Folder, what: dict[str, Any], wait_s: float = ANSWER_S) -> tuple[bool, str]:
    """Whether a command was done, and what is said about it. Does it itself where no controller runs."""
    place.path.mkdir(exist_ok=True)
    answer = place.ask({**what, "who": what.get("who") or _who()})
    ask, deadline = answer.with_suffix(".json"), time.monotonic() + wait_s
    while not answer.exists():
        if place.take():
            try:
                if ask.exists():
                    obey(place, ask, place.newest())
            finally:
                place.give_back()
        elif time.monotonic() > deadline:
            ask.unlink(missing_ok=True)
            return (
                False,
                f"The controller that holds the lease of {place.path} has not answered in {wait_s:g} s.",
            )
        else:
            time.sleep(0.05)
    said = folders.read(answer)
    answer.unlink(missing_ok=True)
    return bool(said.get("done")), str(said.get("text", ""))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused, 2 wrong usage, 3 waited for a release that was not promoted."""
    options = parser().parse_args(argv)
    place = Folder(options.model)
    if not place.base.is_dir():
        print(
            f"viaduct release: {place.base} is no folder; expected one that holds a model's versions",
            file=sys.stderr,
        )
        return 2
    chosen = next((name for name in ON_RELEASE if getattr(options, name)), None)
    what: dict[str, Any] = {"what": chosen, "why": options.why}
    try:
        if options.to is not None:
            what |= {"what": "begin", "to": options.to, "plan": _plan(options).as_json()}
        elif options.no_plan:
            what |= {"what": "stand", "plan": None}
        elif chosen is None and options.plan:
            what |= {"what": "stand", "plan": _plan(options).as_json()}
        elif options.wait is not None:
            return _waited(place, options.wait, options.json)
        elif chosen is None:
            return _status(place, options.json)
        done, text = asked(place, what)
    except (PlanError, OSError) as error:
        done, text = False, str(error)
    print(text if done else f"viaduct release: {text}", file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


def _waited(place: Folder, seconds: float, as_json: bool) -> int:
    """Until no version that is there is being released or waits for it, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        release = place.newest()
        if release is not None and (
            release.state == "held" or not (release.in_flight or _waiting(place, release))
        ):
            break
        time.sleep(0.1)
    _status(place, as_json)
    release = place.newest()
    return 0 if release is not None and release.state == "promoted" else 3


def _waiting(place: Folder, release: Release) -> bool:
    """Whether a pushed version's release has not begun yet."""
    known = max([release.winner, *(candidate for _, candidate in place.numbers())])
    return place.standing() is not None and max(place.versions(), default=0) > known


def _status(place: Folder, as_json: bool) -> int:
    release, standing = place.newest(), place.standing()
    if as_json:
        shown = None if release is None else json.loads(json.dumps(dataclasses.asdict(release)))
        plan = None if standing is None else standing.plan.as_json()
        print(json.dumps({"release": shown, "standing_plan": plan}))
        return 0
    if release is None:
        print(
            "no release yet; "
            + ("pushed versions wait for one" if standing else "pushed versions take over at once")
        )
        return 0
    for line in lines(release):
        print(line)
    return 0


def lines(release: Release) -> list[str]:
    """A release for people."""
    state = {"rolled_back": "rolled back"}.get(release.state, release.state)
    found = [
        f"release {release.number}: version {release.candidate} beside {release.baseline}, {state}, "
        f"{100 * release.share:g} % of the traffic"
    ]
    for guard, said in release.judgement.items():
        if guard == "shadow":
            told = ", ".join(f"{what} {number:g}" for what, number in said.items())
            found.append(f"  {guard:<10} {told}")
            continue
        (events, asked_), (baseline, of) = said["candidate"], said["baseline"]
        found.append(
            f"  {guard:<10} {events:g} of {asked_:g}, baseline {baseline:g} of {of:g}; "
            f"worse {said['e_worse']:g}, fine {said['e_fine']:g}{' (enough)' if said['passes'] else ''}"
        )
    for entry in release.journal:
        share = f"{100 * entry['share']:g} %"
        found.append(
            f"  {entry['time'][:19]}Z {entry['state']:<11} {share:>5}  {entry['who']}: {entry['why']}"
        )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
