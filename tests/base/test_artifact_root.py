"""Which folder the artifacts of a metadata store lie in, when a HOME has seen more than one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base import artifact_root
from pipelines.base.paths import Paths, sqlite_url
from tests.base.metadata_store import Filled


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.of("card_fraud", tmp_path)


def _store(paths: Paths, name: str) -> Filled:
    return Filled(paths, sqlite_url(paths.home / name))


def _write(folder: Path) -> None:
    (folder / "Trainer" / "model" / "1").mkdir(parents=True)


def test_the_first_store_has_the_common_folder_and_the_next_one_its_own(paths: Paths) -> None:
    first, second = _store(paths, "a.db"), _store(paths, "b.db")
    assert artifact_root.of(paths, first.store) == paths.pipeline_root
    own = artifact_root.of(paths, second.store)
    assert own.parent == paths.pipeline_root and own.is_dir()
    for _ in range(2):
        assert artifact_root.of(paths, first.store) == paths.pipeline_root
        assert artifact_root.of(paths, second.store) == own


def test_an_address_is_not_what_makes_a_store(paths: Paths) -> None:
    """The same file by another name is the same store, and another file at the same name is another."""
    first = _store(paths, "a.db")
    assert artifact_root.of(paths, first.store) == paths.pipeline_root
    first.file.with_name("a.db").rename(paths.home / "moved.db")
    assert artifact_root.of(paths, _store(paths, "moved.db").store) == paths.pipeline_root
    assert artifact_root.of(paths, _store(paths, "a.db").store) != paths.pipeline_root


def test_a_home_of_an_earlier_version_belongs_to_the_store_that_knows_the_project(paths: Paths) -> None:
    _write(paths.pipeline_root)
    new, old = _store(paths, "new.db"), _store(paths, "old.db")
    own = artifact_root.of(paths, new.store)
    assert own != paths.pipeline_root
    new.execution("card_fraud-1", "Trainer", "COMPLETE")
    assert artifact_root.of(paths, new.store) == own, "it stays there when it knows the project too"
    old.execution("card_fraud-0", "Trainer", "COMPLETE")
    assert artifact_root.of(paths, old.store) == paths.pipeline_root


def test_copies_of_the_schema_are_no_artifacts_of_another_store(paths: Paths) -> None:
    (paths.pipeline_root / "schemas" / "abc").mkdir(parents=True)
    assert artifact_root.of(paths, _store(paths, "a.db").store) == paths.pipeline_root


def test_projects_of_one_store_have_their_own_folders(tmp_path: Path) -> None:
    paths = Paths.of("card_fraud", tmp_path)
    filled = _store(paths, "a.db")
    assert artifact_root.of(paths, filled.store) == paths.pipeline_root
    digits = Paths.of("digits", tmp_path)
    assert artifact_root.of(digits, filled.store) == digits.pipeline_root
