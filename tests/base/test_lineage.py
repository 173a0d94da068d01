"""From a name and a version to one model, where several names have versions of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.lineage import lineage, text
from pipelines.base.paths import Paths


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Three runs: production's version 1, a sample's 2, and production's last, whose number a sample's has too."""
    from tests.dashboards.synthetic import homes

    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    builder = homes.Builder(tmp_path)
    builder.run("card_fraud", 1)
    builder.run("card_fraud", 2, served="card_fraud.sample")
    builder.run("card_fraud", 1, served="card_fraud.sample", parameters={"epochs": 99})
    return Paths.of("card_fraud", tmp_path)


def test_a_version_of_two_names_is_productions_unless_the_other_is_named(paths: Paths) -> None:
    pushed = lineage(paths, "1700000001")["pushed"]
    assert Path(pushed).parent.name == "card_fraud"
    of_sample = lineage(paths, "1700000001", "card_fraud.sample")
    assert Path(of_sample["pushed"]).parent.name == "card_fraud.sample"
    assert of_sample["hyperparameters"] == {"epochs": 99}


def test_the_newest_of_a_name_is_given_and_no_other_names(paths: Paths) -> None:
    assert lineage(paths, served="card_fraud.sample")["hyperparameters"] == {"epochs": 99}
    with pytest.raises(ProjectError, match=r"card_fraud\.quick has no model"):
        lineage(paths, served="card_fraud.quick")
    with pytest.raises(ProjectError, match="1700000009"):
        lineage(paths, "1700000009", "card_fraud.sample")


def test_what_was_cleared_away_is_told_as_deleted(paths: Paths) -> None:
    from pipelines.base.housekeeping import applying

    before = lineage(paths, "1700000001")
    (examples,) = [one["id"] for one in before["data"]]
    assert "(deleted)" not in text(before)
    with applying.opened(paths.home) as store:
        applying.Artifacts(store).mark([examples], deleted=True)
    told = text(lineage(paths, "1700000001"))
    assert f"Examples {examples} (deleted) <- " in told
    assert told.count("(deleted)") == told.count(f"Examples {examples} ")
