"""Releases of served models, their A/B tests, and where ML Metadata knows their steps. Reads; steers nothing."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from dashboards.readers.files import Cache
from dashboards.readers.metadata import Metadata
from serving.ab import result
from serving.ab.result import Result
from serving.ab.units import Feedback
from serving.release.folder import Folder
from serving.release.plan import PlanError
from serving.release.record import Release

JUDGEMENT, PUSHED = "viaduct.Judgement", "PushedModel"
# How long a test's numbers are shown before its files are read on: that takes a second where users are many.
KEPT_S = 5.0
_tests = Cache(16)


def releases(served: Path) -> list[Release]:
    """All of a served folder, newest first. One whose files cannot be believed says so in its journal."""
    folder = Folder(served)
    return [folder.release(*numbers) for numbers in reversed(folder.numbers())]


def tested(served: Path, release: Release) -> Result | None:
    """The A/B test that a release is for, as it stands; None where it is for none. Raises PlanError."""
    if release.plan.test is None:
        return None
    key = (str(served), release.number, release.state, int(time.monotonic() / KEPT_S))
    return _tests.get(key, lambda: _tested(served, release))


def _tested(served: Path, release: Release) -> Result | None:
    feedback = Feedback(served)
    feedback.read()
    return result.of(release, feedback, time.time())


def complaint(served: Path, release: Release) -> str:
    """Why a release's test cannot be shown; "" where it can."""
    try:
        tested(served, release)
    except PlanError as error:
        return str(error)
    return ""


def seconds(moment: str) -> float | None:
    """A journal's time as seconds since 1970; None for what is none."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None


class Recorded:
    """What ML Metadata holds of one project's releases."""

    def __init__(self, metadata: Metadata, project: str) -> None:
        judgements = metadata.project_artifacts(project, JUDGEMENT)
        steps = [s for s in metadata.steps(artifacts=[a.id for a in judgements]) if s.output]
        executions = metadata.executions({s.execution for s in steps})
        # (the version's folder, release, time and state of the step) -> the judgement's artifact
        self._steps = {}
        uris = {a.id: a.uri for a in judgements}
        for step in steps:
            told = executions[step.execution].properties
            served = str(Path(uris[step.artifact]).parents[2])
            self._steps[served, told.get("number"), told.get("time"), told.get("state")] = step.artifact
        self._pushed = {
            str(artifact.properties.get("pushed_destination", "")): artifact.id
            for artifact in metadata.project_artifacts(project, PUSHED)
        }

    def step(self, served: Path, release: Release, moment: str, state: str) -> int | None:
        """The artifact with the judgement of a step of a release."""
        return self._steps.get((str(served), release.number, moment, state))

    def model(self, served: Path, version: int) -> int | None:
        """The artifact of a pushed version."""
        return self._pushed.get(str(served / str(version)))
