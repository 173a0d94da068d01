"""One look at a served model: new windows and outcomes are judged, alarms written down, and what is due is told.

It starts nothing: that is its caller's, the command or a DAG. Looks of one model take turns (state.alone).
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from pipelines.base import run_record
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths
from pipelines.base.project import PROFILES, Project
from pipelines.base.rollout import Watch
from pipelines.base.watching import answers, drift, learnt, quality, retraining, state
from pipelines.base.watching.answers import DAY_S, Answer, Joined
from pipelines.base.watching.columns import columns
from pipelines.base.watching.drift import Reference
from pipelines.base.watching.quality import Figure
from pipelines.base.watching.retraining import Due, Facts
from pipelines.base.watching.state import State
from pipelines.base.watching.windows import Hear, Window, read

logger = logging.getLogger(__name__)


class Watcher:
    """The watch over one served name. References of versions are kept from look to look. Not for several threads."""

    def __init__(self, card: Project, paths: Paths, served: str, logs: Path | None = None) -> None:
        self.card, self.paths, self.served = card, paths, served
        self.terms = card.watch or Watch()
        self.folder = paths.watch(served)
        self.logs = logs or paths.request_logs
        self._known: dict[int, Reference | None] = {}
        self._evaluated: dict[int, dict[str, Figure]] = {}
        self._joined = False

    def look(self) -> tuple[State, list[str], Due]:
        """(the state as it is written now, what is new in lines for people, what is due)."""
        kept = state.load(self.folder)
        given: list[Answer] = []
        found = read(
            self.logs,
            self.served,
            kept.done,
            state.waiting(self.folder, kept),
            self.terms.rows,
            self._hear(given),
        )
        said: list[str] = []
        for window in found.windows:
            said += self._judge(kept, window)
        # First what may be taken twice, then what says that it has been taken.
        told = self._quality(kept, given)
        if found.done != kept.done or found.windows:
            kept.done = found.done
            state.save(self.folder, kept, found.waiting)
        elif told is not None:
            state.save(self.folder, kept)
        return kept, said + (told or []), self.due(kept)

    def quality_lines(self, kept: State) -> list[str]:
        """What is known of the answers' quality, for people."""
        if not quality.measurable(self.card):
            return ["live quality is not measured: the evaluation is a function of the project's own"]
        lines = [
            quality.line(version, one)
            for version, of in sorted(kept.quality.items(), key=lambda item: int(item[0]))
            for one in (of["metrics"] if of["outcomes"] else [])
        ]
        asked = quality.outcome(self.card)
        return lines or [
            f"no outcomes yet: what {asked!r} was is told with `viaduct feedback {self.served} FILE`"
        ]

    def due(self, kept: State) -> Due:
        """What the card's terms make of what is known now."""
        return retraining.due(self.terms, self.facts(kept))

    def begin(self, reason: str) -> None:
        """Writes down that a retraining begins, before it does: a kill costs a cooldown, not a second run."""
        kept = state.load(self.folder)
        kept.started, kept.reason = time.time(), reason
        state.save(self.folder, kept)

    def facts(self, kept: State) -> Facts:
        records = list(run_record.read_all(self.paths))
        mine = [r for r in records if r.pushed and Path(r.pushed).parent.name == self.served]
        live, releasing = self._live()
        spans = [
            span
            for r in mine[:1]
            for node in r.nodes.values()
            if (span := node.summary.get("span")) is not None
        ]
        return Facts(
            now=time.time(),
            trained=mine[0].ended if mine else 0.0,
            started=kept.started,
            new_rows=retraining.rows_beyond(self.paths.data, max(spans)) if spans else 0,
            drifted=kept.drifted(live),
            worse=kept.worse(live),
            running=any(record.alive() for record in records),
            releasing=releasing,
        )

    def _live(self) -> tuple[int | None, str]:
        """The version that requests are answered by, and the release in flight in words."""
        from serving.release.commands import live
        from serving.release.folder import Folder

        place = Folder(self.paths.served(self.served))
        release = place.newest()
        told = ""
        if release is not None and release.in_flight:
            told = f"version {release.candidate} is being released ({release.state})"
        return live(place, release), told

    def _judge(self, kept: State, window: Window) -> list[str]:
        known = self._reference(window.version)
        if known is None:
            return []
        given = columns([row.example for row in window.rows])
        found = drift.judge(known, given, [row.weight for row in window.rows])
        version = str(window.version)
        runs = kept.streaks[version] = drift.streaks(kept.streaks.get(version, {}), found)
        beyond = [one.feature for one in found if one.beyond]
        kept.windows.append(
            {"version": window.version, "until": window.until, "rows": len(window.rows), "compared": len(found),
             "beyond": beyond, "foremost": drift.plain(found)}
        )  # fmt: skip
        said = [
            f"version {version}, {len(window.rows)} rows: "
            + (f"{', '.join(beyond)} beyond" if beyond else f"{len(found)} features, none beyond")
        ]
        by_name = {one.feature: one for one in found}
        for name in drift.alarming(runs, self.terms.windows):
            alarm: dict[str, Any] = {
                "version": window.version,
                "until": window.until,
                **by_name[name]._asdict(),
            }
            kept.alarms.append(alarm)
            said.append(
                f"ALARM: {name} has drifted, {self.terms.windows} windows in a row: {by_name[name].distance:.3g}, "
                f"{by_name[name].bound:.3g} is what chance makes"
            )
        return said

    def _hear(self, given: list[Answer]) -> Hear | None:
        """Collects the answers of log files where outcomes can be held against them."""
        if not quality.measurable(self.card):
            return None

        def hear(record: bytes, log: Any, version: int, at: float) -> None:
            found = answers.answer_of(record, log, version, at, self.card.evaluation)
            if found is not None:
                given.append(found)

        return hear

    def _quality(self, kept: State, given: list[Answer]) -> list[str] | None:
        """Joins answers with the outcomes that have come; alarms in words, None where nothing is new."""
        if not quality.measurable(self.card):
            return None
        from serving.ab.ledger import FOLDER

        with answers.opened(self.folder) as book:
            book.add(given)
            book.hear(
                self.paths.served(self.served) / FOLDER, quality.outcome(self.card), self.card.evaluation
            )
            book.forget(time.time() - self.terms.outcome_days * DAY_S)
            # The first look measures all the same: the last process may have been killed before it wrote that down.
            if self._joined and not book.changed:
                return None
            known = {str(version): self._measured(version, of) for version, of in book.joined().items()}
        self._joined = True
        if known == kept.quality:
            return None
        said = []
        for version, of in known.items():
            before = kept.worse(int(version))
            for one in of["metrics"]:
                if one["worse"] and one["metric"] not in before:
                    kept.alarms.append({"version": int(version), "until": time.time(), **one})
                    said.append(f"ALARM: {quality.line(version, one)}")
        kept.quality = known
        return said

    def _measured(self, version: int, of: Joined) -> dict[str, Any]:
        metrics = []
        if of.outcomes:
            bars = [
                bar.metric
                for profile in PROFILES
                for bar in self.card.bars(profile, self.card.variants[0].name)
            ]
            metrics = quality.measure(
                self.card.evaluation, of.predicted, of.actual, self._figures(version), bars
            )
        return {
            "answers": of.answers, "outcomes": of.outcomes, "odd": of.outcomes - len(of.actual), "metrics": metrics,
        }  # fmt: skip

    def _figures(self, version: int) -> dict[str, Figure]:
        """Of the version's evaluation; none for a version without lineage, which is said once."""
        if version not in self._evaluated:
            try:
                self._evaluated[version] = learnt.evaluated(self.paths, self.served, version)
            except ViaductError as error:
                logger.warning("Outcomes of version %d are compared with nothing: %s", version, error)
                self._evaluated[version] = {}
        return self._evaluated[version]

    def _reference(self, version: int) -> Reference | None:
        """None for a version whose training rows are not to be had, which is said once."""
        if version not in self._known:
            try:
                self._known[version], _ = learnt.of_version(self.card, self.paths, self.served, version)
            except ViaductError as error:
                logger.warning("Requests to version %d are compared with nothing: %s", version, error)
                self._known[version] = None
        return self._known[version]
