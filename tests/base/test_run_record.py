"""Records of runs: which of two is the later one, and what makes a run another run."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from pipelines.base import registry, run_record
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings

DAY_S = 86400.0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of("card_fraud", tmp_path)


@pytest.fixture
def settings() -> Settings:
    return Settings.of(registry.get("card_fraud"))


def test_the_run_begun_last_is_the_newest_also_when_the_clock_has_gone_back_a_day(
    paths: Paths, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    for now in (3 * DAY_S, 3 * DAY_S + 60, 2 * DAY_S, 2 * DAY_S + 60):
        monkeypatch.setattr(run_record.time, "time", lambda now=now: now)
        record = run_record.begin(paths, settings, "f")
        record.write(paths.runs / record.run_id)
        begun.append(record.run_id)
    assert [record.run_id for record in run_record.read_all(paths)] == begun[::-1]


def test_records_of_earlier_versions_have_no_order_and_come_after_by_their_start(
    paths: Paths, settings: Settings
) -> None:
    template = run_record.begin(paths, settings, "f")
    for name, started in (("card_fraud-b", 20.0), ("card_fraud-a", 30.0), ("card_fraud-c", 10.0)):
        values = {**dataclasses.asdict(template), "run_id": name, "started": started}
        del values["order"]
        (paths.runs / name).mkdir()
        (paths.runs / name / "run.json").write_text(json.dumps(values))
    new = run_record.begin(paths, settings, "f")
    new.write(paths.runs / new.run_id)
    listed = [record.run_id for record in run_record.read_all(paths)]
    assert listed == [new.run_id, "card_fraud-a", "card_fraud-b", "card_fraud-c"]


def test_another_metadata_store_is_another_state_and_another_password_is_not(
    paths: Paths, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("a\n1\n")

    def fingerprint(url: str) -> str:
        monkeypatch.setenv("VIADUCT_METADATA", url)
        return run_record.fingerprint(paths, settings, data)

    one = fingerprint("postgresql://u:secret@db/one")
    assert fingerprint("postgresql://u:other@db/one") == one
    others = [fingerprint(f"postgresql://u:secret@{rest}") for rest in ("db/two", "db2/one", "db:5433/one")]
    own = [fingerprint(""), fingerprint(f"sqlite://{tmp_path}/x.db")]
    assert len({one, *others, *own}) == 6


def test_the_fingerprint_sees_other_content_under_an_old_time_and_behind_a_link(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "a.csv"
    file.parent.mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "span-0").symlink_to(file.parent)
    paths = Paths.of("card_fraud", tmp_path / "home")
    settings = Settings.of(registry.get("card_fraud"))
    seen = []
    for text in ("x\n1\n", "x\n2\n", "x\n2\n"):
        file.write_text(text)
        os.utime(file, (1000, 1000))
        seen.append(run_record.fingerprint(paths, settings, tmp_path / "data"))
    assert seen[0] != seen[1] == seen[2]
