"""Nothing but a model of real data, first variant and full profile is served under a project's own name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipelines.base import data, live, production, registry, whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.base.run_record import RunRecord
from pipelines.base.settings import Settings

CARD = registry.get("digits")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of("digits", tmp_path / "home")


def name(paths: Paths, folder: Path, variant: str | None = None, profile: str = "full") -> str:
    return production.served_name(CARD, paths, Settings.of(CARD, variant, profile, data=str(folder)))


def recorded(paths: Paths, run_id: str, settings: Settings, pushed: Path) -> None:
    """A run's record and the version it pushed."""
    pushed.mkdir(parents=True)
    folder = paths.runs / run_id
    folder.mkdir(parents=True)
    told = {"data": settings.data, "variant": settings.variant, "profile": settings.profile}
    pid = os.getpid()
    started = whole.process_started(pid)
    record = RunRecord(run_id, paths.project, told, "", pid, started, 1.0, state="succeeded")
    record.pushed = str(pushed)
    record.write(folder)


def test_real_data_first_variant_and_full_profile_are_production_and_all_else_says_what_it_is(
    paths, tmp_path
):
    real, made_up = tmp_path / "day", paths.samples / "6000-rows"
    assert name(paths, real) == "digits"
    assert name(paths, real, profile="quick") == "digits.quick"
    assert name(paths, real, "logistic") == "digits.logistic"
    assert name(paths, real, "logistic", "quick") == "digits.logistic.quick"
    assert name(paths, made_up, profile="quick") == "digits.sample"
    assert name(paths, made_up) == "digits.sample.full"
    assert name(paths, made_up, "logistic", "quick") == "digits.logistic.sample"
    asked = Settings.of(CARD, data=str(made_up))
    assert production.push_folder(CARD, paths, asked) == paths.home / "serving" / "digits.sample"


def test_a_quick_profile_that_does_what_the_full_one_does_is_production_on_real_data(paths, tmp_path):
    from dataclasses import replace

    card = replace(CARD, quick=replace(CARD.full, sample_rows=CARD.quick.sample_rows))
    for profile in ("quick", "full"):
        assert (
            production.served_name(card, paths, Settings.of(card, None, profile, data=str(tmp_path)))
            == "digits"
        )
    sample = Settings.of(card, None, "full", data=str(paths.samples / "9-rows"))
    assert production.served_name(card, paths, sample) == "digits.sample.full"
    assert len(production.names(card)) == len(set(production.names(card)))


def test_each_kind_of_run_has_a_name_of_its_own_and_no_project_has_anothers(paths):
    every = [n for project in registry.names() for n in production.names(registry.get(project))]
    assert len(every) == len(set(every))
    assert [n for n in every if "." not in n] == registry.names()
    assert {production.project_of(n) for n in every} == set(registry.names())


def test_no_variant_is_called_as_a_kind_of_run():
    from dataclasses import replace

    for taken in ("sample", "quick", "full", "a.b", ""):
        with pytest.raises(ProjectError, match="variants"):
            replace(CARD, variants=(replace(CARD.variants[0], name=taken),))


def test_another_projects_sample_is_as_made_up_as_ones_own(paths):
    other = Paths.of("card_fraud", paths.home)
    assert name(paths, other.samples / "100-rows") == "digits.sample.full"


def test_a_sample_stays_one_where_it_is_copied_to_and_a_real_file_beside_is_none(paths, tmp_path):
    card, mine = registry.get("card_fraud"), Paths.of("card_fraud", paths.home)
    made = data.sample(card, mine, 50)
    copied = tmp_path / "copied"
    shutil.copytree(made / "span-0", copied)
    (file,) = [path for path in copied.iterdir() if not path.name.startswith(".")]
    assert production.is_made_up(mine, str(copied)) and production.is_made_up(mine, str(file))
    link = tmp_path / "link"
    link.symlink_to(made)
    assert production.is_made_up(mine, str(link))
    assert not production.is_made_up(mine, str(Path(shutil.copy(file, tmp_path))))


def test_made_up_deliveries_are_a_sample_until_they_are_gone(paths):
    card, mine = registry.get("card_fraud"), Paths.of("card_fraud", paths.home)
    data.deliveries(card, mine, 50, 2)
    assert production.is_made_up(mine, "") and production.is_made_up(mine, str(mine.data))
    for span in (0, 1):
        shutil.rmtree(mine.span(span))
    mine.span(0).mkdir()
    assert not production.is_made_up(mine, "")


def test_names_that_no_model_can_have_are_refused_with_a_close_match(paths):
    assert production.check_name(CARD, paths, "digits.logistic.sample") == "digits.logistic.sample"
    with pytest.raises(ProjectError, match=r"'digits.smple'.*digits\.sample"):
        production.check_name(CARD, paths, "digits.smple")
    with pytest.raises(ProjectError, match=r"digits\.gone"):
        production.check_name(CARD, paths, "digits.gone")
    (paths.served("digits.gone") / "3").mkdir(parents=True)
    assert production.check_name(CARD, paths, "digits.gone") == "digits.gone", "of a variant that is gone"


def test_the_names_with_a_version_are_told_production_first(paths):
    for served in ("digits.sample/4", "digits/17", "digits.quick/x", "digits_two/3"):
        (paths.home / "serving" / served).mkdir(parents=True)
    assert production.pushed_names(paths) == ["digits", "digits.sample"]


def test_the_summary_says_under_which_name_and_that_production_stays(paths):
    record = RunRecord("digits-1", "digits", {}, "", 0, "", 1.0, state="succeeded")
    for served, told in (("digits", "production."), ("digits.logistic.sample", "digits stays")):
        record.pushed = str(paths.served(served) / "7")
        text = "\n".join(map(str, live.summary(CARD, record, paths.runs)))
        assert record.pushed in text and f"Served as {served}" in text and told in text
    assert "variant logistic, a made-up sample" in text


def test_a_sample_that_an_earlier_release_pushed_to_production_is_left_there_and_told_of(paths, tmp_path):
    sample = Settings.of(CARD, data=str(paths.samples / "6000-rows"))
    recorded(paths, "digits-1", sample, paths.serving / "7")
    told = production.left_by_earlier_releases(CARD, paths)
    assert str(paths.serving / "7") in told and "digits-1" in told and "digits.sample" in told
    assert (paths.serving / "7").is_dir()
    # What is served is the newest version, and that is production's now.
    recorded(paths, "digits-2", Settings.of(CARD, profile="full", data=str(tmp_path)), paths.serving / "8")
    assert production.left_by_earlier_releases(CARD, paths) == ""


def test_a_version_that_no_run_tells_of_counts_as_productions(paths):
    assert production.left_by_earlier_releases(CARD, paths) == ""
    (paths.serving / "7").mkdir(parents=True)
    assert production.left_by_earlier_releases(CARD, paths) == ""
