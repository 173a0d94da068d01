"""Releases of a synthetic HOME: one that was rolled back, and a running A/B test with its users."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base import releases as recorder
from serving.ab import lines, trial
from serving.ab.ledger import FOLDER, unit
from serving.ab.trial import Trial
from serving.release import record
from serving.release.folder import Folder
from serving.release.plan import Plan

ERRORS = {
    "errors": {
        "candidate": [12, 3000],
        "baseline": [20, 27000],
        "e_worse": 431.5,
        "e_fine": 0.01,
        "passes": False,
    }
}


def add(home: Path, builder: Any) -> Folder:
    """A release that was rolled back, recorded in ML Metadata, and a running A/B test, of card_fraud's two versions."""
    builder.run("card_fraud", 1)
    builder.run("card_fraud", 2)
    served = home / "serving" / "card_fraud"
    old, new = sorted(int(path.name) for path in served.iterdir() if path.name.isdecimal())[:2]
    place = Folder(served)
    begun = record.begun(1, old, new, Plan(shares=(0.0, 0.1, 1.0)), "ann", "<b>asked</b> for")
    canary = dataclasses.replace(begun.moved("canary", "nothing against it", step=1), judgement=ERRORS)
    place.save(canary.moved("rolled_back", "errors: 12 of 3000 requests"))
    recorder.record(builder.store, "card_fraud")
    question = Trial("bought", window_s=60.0)
    place.save(record.begun(2, old, new, trial.plan(question, 0.5), "ann", "A/B test: bought"))
    rng, folder = np.random.default_rng(5), served / FOLDER
    folder.mkdir()
    with open(folder / "seen-h~1~2-0.log", "wb") as seen, open(folder / "outcomes-h~1~2-0.log", "wb") as told:
        for n in range(2500):
            at, is_b = 1.7e9 + 30 * n, int(rng.random() < 0.5)
            seen.write(lines.line({"t": at, "id": f"r{n}", "u": unit(f"u{n}"), "r": 2, "b": is_b}))
            if rng.random() < (0.22 if is_b else 0.12):
                told.write(lines.line({"t": at + 5, "id": f"r{n}", "v": {"bought": 1.0}}))
    return place
