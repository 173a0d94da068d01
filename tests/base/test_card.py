"""The table in a project's README is a run's, and says so when the run, the bars or the text have moved on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.base import card as figures
from pipelines.base import registry
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.project import Bar, Profile
from pipelines.base.run_record import NodeRecord, RunRecord

CARD = replace(
    registry.get("card_fraud"),
    full=Profile(bars=(Bar("recall", at_least=0.8), Bar("fall_out", at_most=0.015)), sample_rows=100),
    rivals={"recall_of_trees": "boosted trees"},
    to_beat="97 of 120",
)


@dataclass(frozen=True)
class Elsewhere(Paths):
    """Paths whose project lies in HOME, where a test may write."""

    @property
    def source(self) -> Path:
        return self.home / "source"


@pytest.fixture
def paths(tmp_path: Path) -> Elsewhere:
    made = Elsewhere("card_fraud", tmp_path)
    made.source.mkdir()
    (made.source / "README.md").write_text("# card_fraud\n\nWhat it is.\n\n## Limits\n", encoding="utf-8")
    return made


def verdict(metric: str, bound: float, value: float, passed: bool = True) -> dict[str, object]:
    told = {"kind": "bar", "metric": metric, "slice": "", "bound": bound, "value": value, "passed": passed}
    return {**told, "low": value - 0.01, "high": value + 0.01}


def recorded(paths: Paths, run_id: str, order: int, **settings: object) -> RunRecord:
    record = RunRecord(
        run_id,
        "card_fraud",
        {"variant": "autoencoder", "profile": "full", "data": "/mnt/me/transactions", "parameters": {}}
        | settings,
        fingerprint="",
        pid=0,
        pid_started="",
        started=1000.0,
        ended=1090.0,
        state="succeeded",
        metrics={"recall": 0.83, "fall_out": 0.02, "recall_of_trees": 0.85, "example_count": 4335.0},
        verdicts=[verdict("recall", 0.8, 0.83), verdict("fall_out", 0.015, 0.02, passed=False)],
        nodes={
            "ArrowExampleGen": NodeRecord("cached", summary={"rows": {"all": 21787}}),
            "Trainer": NodeRecord("done", summary={"cost": {"cpu_s": 61.2, "peak_mb": 1234.5}}),
        },
        order=order,
    )
    (paths.runs / run_id).mkdir(parents=True)
    record.write(paths.runs / run_id)
    return record


def test_the_table_has_data_metrics_with_intervals_bars_rivals_cost_date_and_command(paths):
    figures.write(CARD, paths, recorded(paths, "card_fraud-1", 1))
    text = (paths.source / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# card_fraud\n\nWhat it is.")
    for line in (
        "| data | DATA/transactions; 21,787 rows, judged on 4,335 |",
        "| `recall` | 0.83 (0.82 to 0.84), bar >= 0.8 met |",
        "| `fall_out` | 0.02 (0.01 to 0.03), bar <= 0.015 MISSED |",
        "| rival: `recall_of_trees` | 0.85, boosted trees; ours 0.83 |",
        "| to beat | 97 of 120 |",
        "| took | 90 s (61 s of processors); 1,234 MB at the peak, in Trainer; from the cache: 1 nodes |",
        "| date, command | 1970-01-01, `viaduct run card_fraud --profile full --data DATA/transactions` |",
    ):
        assert line in text, text
    assert "/mnt/me" not in text + (paths.source / figures.FILE).read_text(), "a machine's own folders"
    assert figures.check(CARD, paths) == []


def test_a_second_name_is_a_column_and_a_second_run_of_a_name_takes_its_place(paths):
    figures.write(CARD, paths, recorded(paths, "card_fraud-1", 1))
    figures.write(CARD, paths, recorded(paths, "card_fraud-2", 2, profile="full", parameters={"epochs": 3}))
    sample = recorded(paths, "card_fraud-3", 3, data=str(paths.samples / "100-rows"))
    figures.write(CARD, paths, sample)
    text = (paths.source / "README.md").read_text(encoding="utf-8")
    assert "| | `card_fraud` | `card_fraud.sample.full` |" not in text, "the head has a cell of its own"
    assert "|  | `card_fraud` | `card_fraud.sample.full` |" in text and text.count(figures.BEGIN) == 1
    assert "--set epochs=3" in text and "a made-up sample" in text
    assert figures.check(CARD, paths) == []


def test_an_edited_table_and_a_bar_that_moved_are_found(paths):
    assert figures.check(CARD, paths) == [], "a new project has no figures yet"
    figures.write(CARD, paths, recorded(paths, "card_fraud-1", 1))
    readme = paths.source / "README.md"
    whole = readme.read_text(encoding="utf-8")
    readme.write_text(whole.replace("0.83 (", "0.99 ("), encoding="utf-8")
    assert ["README.md: the table is not that" in one for one in figures.check(CARD, paths)] == [True]
    readme.write_text(whole, encoding="utf-8")
    moved = replace(CARD, full=replace(CARD.full, bars=(Bar("recall", at_least=0.9), CARD.full.bars[1])))
    (finding,) = figures.check(moved, paths)
    assert "recall >= 0.8" in finding and "recall >= 0.9" in finding and "card card_fraud --write" in finding
    assert "rivals" in figures.check(replace(CARD, rivals={}), paths)[0]
    (paths.source / figures.FILE).unlink()
    assert "no card.json" in figures.check(CARD, paths)[0]


@pytest.mark.parametrize("broken", ["{", "[1]", '{"card_fraud": {}}', '{"card_fraud.gone": {"rivals": {}}}'])
def test_a_broken_file_is_a_finding_and_no_traceback(paths, broken):
    figures.write(CARD, paths, recorded(paths, "card_fraud-1", 1))
    (paths.source / figures.FILE).write_text(broken, encoding="utf-8")
    assert figures.check(CARD, paths)


def test_a_band_of_two_bars_is_one_line(paths):
    record = recorded(paths, "card_fraud-1", 1)
    band = replace(
        CARD, full=replace(CARD.full, bars=(Bar("recall", at_least=0.8), Bar("recall", at_most=0.81)))
    )
    record.verdicts = [verdict("recall", 0.8, 0.83), verdict("recall", 0.81, 0.83, passed=False)]
    (metric,) = figures.entry(band, paths, record)["metrics"]
    assert (metric["bar"], metric["passed"]) == (">= 0.8 and <= 0.81", False)
    figures.write(band, paths, record)
    assert figures.check(band, paths) == []


def test_the_newest_full_run_is_taken_or_the_one_that_is_named(paths):
    with pytest.raises(ProjectError, match="--profile full"):
        figures.choose(CARD, paths)
    recorded(paths, "card_fraud-1", 1)
    recorded(paths, "card_fraud-2", 2, profile="quick")
    assert figures.choose(CARD, paths).run_id == "card_fraud-1"
    assert figures.choose(CARD, paths, "card_fraud-2").run_id == "card_fraud-2"
    with pytest.raises(ProjectError, match="card_fraud-9"):
        figures.choose(CARD, paths, "card_fraud-9")


def test_a_run_that_was_judged_by_other_bars_gives_no_figures(paths):
    record = recorded(paths, "card_fraud-1", 1)
    record.verdicts = record.verdicts[:1]
    with pytest.raises(ProjectError, match="fall_out"):
        figures.entry(CARD, paths, record)
    record.verdicts.append(verdict("fall_out", 0.03, 0.02))
    with pytest.raises(ProjectError, match=r"0\.03.*instead of.*0\.015"):
        figures.entry(CARD, paths, record)
    assert json.loads((paths.runs / "card_fraud-1" / "run.json").read_text())["run_id"] == "card_fraud-1"
