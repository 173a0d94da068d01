"""Ends A/B tests whose users are not split as asked: such a test has lost somebody, and its numbers mean nothing.

One of these runs in every server (with `--workers`, in the supervisor), in a thread of its own. It reads the files that
requests leave and asks for the end as a person would, so that whoever steers the release does it once and writes why.
Everything else about a test is decided by people.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from serving.ab import ratio, result
from serving.ab.units import Feedback
from serving.release.command import asked
from serving.release.folder import Folder
from serving.release.record import Release

logger = logging.getLogger(__name__)

LOOK_S = 10.0
WHO = "sample ratio"


class Keeper:
    """`start` and `stop`; `look` is one look at all models. Not to be shared by threads.

    base_paths(): the served folders
    """

    def __init__(self, base_paths: Callable[[], list[str]], look_s: float = LOOK_S) -> None:
        self._base_paths = base_paths
        self._look_s = look_s
        self._known: dict[str, tuple[int, Feedback]] = {}
        self._complained: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ab-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(self._look_s):
            self.look()

    def look(self) -> None:
        for base in self._base_paths():
            try:
                self._look(base)
                self._complained.discard(base)
            except Exception:
                if base not in self._complained:
                    logger.exception("The A/B test of %s cannot be followed", base)
                self._complained.add(base)

    def _look(self, base: str) -> None:
        place = Folder(base)
        release = place.newest() if place.exists else None
        if release is None or not release.in_flight or release.plan.test is None:
            self._known.pop(base, None)
            return
        number, feedback = self._known.get(base, (0, None))
        if feedback is None or number != release.number:
            feedback = Feedback(base)
            self._known[base] = (release.number, feedback)
        feedback.read()
        why = broken(release, feedback)
        if why:
            done, text = asked(place, {"what": "rollback", "who": WHO, "why": why})
            logger.warning(
                "The A/B test of %s ends: %s (%s)", base, why, text if done else f"not yet: {text}"
            )


def broken(release: Release, feedback: Feedback) -> str:
    """Why a test has to end; "" where its users are split as asked."""
    arms, share = feedback.arms(release.number), result.share(release)
    p = result.sample_ratio(arms, share)
    if p >= ratio.STOPS:
        return ""
    users_b = int(arms.sum())
    return (
        f"{users_b:,} of {len(arms):,} users are version {release.candidate}'s, where {100 * share:g} % were asked for "
        f"(p = {p:.1g}): somebody is not counted"
    )
