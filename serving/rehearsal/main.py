"""`python -m serving.rehearsal.main TERMS.json`: rehearses a version and writes result.json and the warm-up file.

Exit codes: 0 judged (result.json tells how), 2 wrong terms, 1 it could not be rehearsed for want of requests. A latency
bar that is missed is measured a second time, and all pairs of both times count: one noisy neighbour is no verdict.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.errors import ServingError
from serving.rehearsal import asking, driving, judging, parity
from serving.rehearsal import terms as terms_module
from serving.rehearsal.asking import Requests
from serving.rehearsal.driving import Arm
from serving.rehearsal.judging import Bar
from serving.rehearsal.stage import Stage, StageError
from serving.rehearsal.terms import Terms, TermsError
from serving.release.commands import live
from serving.release.folder import Folder, write

RESULT, WARM_UP = "result.json", "tf_serving_warmup_requests"


class NoRequests(Exception):
    """Nothing can be asked: no logs, and no rows that fit."""


def current_of(served: str) -> Path | None:
    """The folder of the version that requests are answered by now; None where there is none."""
    if not served or not Path(served).is_dir():
        return None
    place = Folder(served)
    version = live(place, place.newest())
    return None if version is None or version not in place.versions() else place.base / str(version)


def run(terms: Terms) -> dict[str, Any]:
    """The result: {'passed', 'bars', 'current', 'requests', 'rate', 'observed', 'source', 'slices'}."""
    out = Path(terms.out)
    out.mkdir(parents=True, exist_ok=True)
    current = current_of(terms.served)
    with contextlib.ExitStack() as stack:
        try:
            candidate = Arm(stack.enter_context(Stage(terms.model, terms.candidate, terms.load_s)))
        except StageError as error:
            return _told(
                [Bar("load", False, None, f"the version cannot be served: {error}")], current, None, []
            )
        arms, note = [candidate], ""
        if current is not None:
            try:
                arms.insert(0, Arm(stack.enter_context(Stage(terms.model, current, terms.load_s))))
            except StageError as error:
                note = f"version {current.name} cannot be compared with: {error}"
        requests = _requests(terms, candidate.stage)
        driving.rehearse(arms, requests.payloads, requests.rate, terms)
        if len(arms) == 2 and judging.too_slow(terms, *arms):
            driving.rehearse(arms, requests.payloads, requests.rate, terms)
    apart = None
    if terms.parity is not None and candidate.answers:
        apart = parity.largest_difference(terms.candidate, requests.payloads, candidate.answers)
    (out / WARM_UP).write_bytes(asking.warm_up(requests.payloads))
    bars = judging.bars(terms, candidate, arms[0] if len(arms) == 2 else None, apart)
    if note:
        bars.append(Bar("current", True, None, note))
    return _told(bars, current if len(arms) == 2 else None, requests, arms)


def _requests(terms: Terms, stage: Stage) -> Requests:
    if terms.logs and (found := asking.recorded(terms.logs, terms.model)) is not None:
        return found if found.observed else found._replace(rate=min(terms.rate, asking.MOST_RATE))
    signatures = stage.signatures()
    signature = signatures.get(terms.signature)
    if signature is None or len(signature.inputs) != 1 or not terms.rows:
        raise NoRequests(
            f"{terms.model} has no recorded requests in {terms.logs or 'any folder'}, and rows of the evaluation fit "
            f"no signature {terms.signature!r} with one input; it has {', '.join(sorted(signatures))}."
        )
    (name,) = signature.inputs
    return asking.of_rows(terms.rows, terms.model, terms.signature, name, terms.rate)


def _told(
    bars: list[Bar], current: Path | None, requests: Requests | None, arms: list[Arm]
) -> dict[str, Any]:
    names = ("current", "candidate")[-len(arms) :] if arms else ()
    return {
        "passed": all(bar.passed for bar in bars),
        "bars": [bar.plain() for bar in bars],
        "current": "" if current is None else current.name,
        "requests": {name: arm.requests for name, arm in zip(names, arms, strict=True)},
        "rate": requests and requests.rate,
        "observed": bool(requests and requests.observed),
        "source": requests.source if requests else "",
        "slices": {
            name: [
                [one.pace, len(one.latencies), round(one.p99 * 1e3, 3)] for one in arm.slices if one.latencies
            ]
            for name, arm in zip(names, arms, strict=True)
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    (file,) = list(sys.argv[1:] if argv is None else argv)
    try:
        terms = terms_module.from_json(json.loads(Path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TermsError) as error:
        print(f"rehearsal: {error}", file=sys.stderr)
        return 2
    try:
        result = run(terms)
    except (NoRequests, ServingError) as error:
        print(f"rehearsal: {error}", file=sys.stderr)
        return 1
    write(Path(terms.out) / RESULT, json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
