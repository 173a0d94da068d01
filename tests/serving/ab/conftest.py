"""What tests of A/B tests share: a served folder of two versions, requests as a server keeps them, simulations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serving.ab import command, feedback_command, lines, trial
from serving.ab.ledger import FOLDER, OUTCOMES, SEEN, unit
from serving.ab.result import moments
from serving.ab.trial import Trial
from serving.ab.units import Feedback
from serving.release import record
from serving.release.folder import Folder


class Shop:
    """The served folder of a model with versions 1 and 2, of which 2 is served; times are told, not waited for."""

    def __init__(self, base: Path) -> None:
        self.base = base
        for version in (1, 2):
            (base / str(version)).mkdir(parents=True)
        self.folder = Folder(base)
        self.number = 0
        self._texts: list[tuple[str, bytes]] = []

    def ab(self, *words: str) -> int:
        return command.main([str(self.base), *words])

    def feedback(self, file: Path) -> int:
        return feedback_command.main([str(self.base), str(file)])

    def running(self, question: Trial, share: float = 0.5) -> record.Release:
        """A release that is this test, begun without a command."""
        made = record.begun(1, 2, 1, trial.plan(question, share), "tester", "a test")
        self.folder.path.mkdir(exist_ok=True)
        self.folder.save(made)
        return made

    def saw(self, key: str, request_id: str, at: float, b: bool, release: int = 1) -> None:
        self._put(SEEN, {"t": at, "id": request_id, "u": unit(key), "r": release, "b": int(b)})

    def told(self, request_id: str, at: float, **values) -> None:
        self._put(OUTCOMES, {"t": at, "id": request_id, "v": values})

    def _put(self, kind: str, value: dict) -> None:
        self._texts.append((kind, lines.line(value)))

    def write(self) -> Feedback:
        """What was told stands in files, and is read."""
        folder = self.base / FOLDER
        folder.mkdir(exist_ok=True)
        for kind in (SEEN, OUTCOMES):
            with open(folder / f"{kind}-host~1~2-0.log", "ab") as file:
                file.write(b"".join(text for what, text in self._texts if what == kind))
        self._texts.clear()
        found = Feedback(self.base)
        found.read()
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


def looks_of(is_b, *columns):
    """Growing sums at the moments of a test, [looks, columns of A and then of B]."""
    at = np.array(moments(len(is_b))) - 1
    sums = [np.cumsum(column * arm)[at] for arm in (~is_b, is_b) for column in (np.ones(len(is_b)), *columns)]
    return np.stack(sums, axis=1).astype(float)


def shares(rng, users, a, b, share=0.5):
    """So many users who do something with the chance a or b, as `proportions` takes them."""
    is_b = rng.random(users) < share
    return looks_of(is_b, (rng.random(users) < np.where(is_b, b, a)).astype(float))


def amounts(rng, users, difference, share=0.5):
    """So many users of whom three in ten spend an exponential amount around 10, as `means` takes them."""
    is_b = rng.random(users) < share
    spent = rng.exponential(10, users) * (rng.random(users) < 0.3) + difference * is_b
    return looks_of(is_b, spent, spent * spent)
