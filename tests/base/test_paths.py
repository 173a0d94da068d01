"""Where things live: whatever a HOME is called, its database lies in it and in no other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pipelines.base import data, registry
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.paths import Paths, default_home, metadata_url, sqlite_file, sqlite_url, without_password
from pipelines.base.settings import Settings

ODD = [
    "a#b",
    "a?b",
    "a?mode=memory",
    "a%41b",
    "100%",
    "a b",
    "[a]",
    "ä→ß",
    "a;b&c='d\"",
    "a:b@c",
    "a//b",
    "a\nb",
]


@pytest.mark.parametrize("name", ODD)
def test_the_database_of_a_home_is_in_it_whatever_it_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    home = tmp_path / name
    assert sqlite_file(metadata_url(home)) == home / "metadata.sqlite"


@pytest.mark.parametrize("name", ODD)
def test_ml_metadata_opens_that_file_and_no_other(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.base import metadata

    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    home = tmp_path / name
    metadata.store(metadata_url(home)).get_artifact_types()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [home / "metadata.sqlite"]


def test_a_relative_file_is_taken_from_the_folder_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_file(sqlite_url(Path("of me.db"))) == tmp_path / "of me.db"


def test_a_url_with_three_slashes_or_four_names_the_same_file() -> None:
    assert sqlite_file("sqlite:///data/x.db") == sqlite_file("sqlite:////data/x.db") == Path("/data/x.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///data/a#b.db",
        "sqlite:///data/a?b.db",
        "sqlite:///data/a.db?",
        "sqlite:///",
        "sqlite://data/x.db",
        "sqlite:x.db",
        "postgresql://u:p@sqlite:///x",
    ],
)
def test_a_url_that_would_be_cut_short_names_no_file(url: str) -> None:
    assert sqlite_file(url) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@db:5433/mlmd", "postgresql://u@db:5433/mlmd"),
        ("postgresql://u:se@cr#e?t/@db/mlmd", "postgresql://u@db/mlmd"),
        ("mysql://u:@db/mlmd", "mysql://u@db/mlmd"),
        ("postgresql://:secret@db/mlmd", "postgresql://@db/mlmd"),
        ("postgresql://u@db:5433/mlmd", "postgresql://u@db:5433/mlmd"),
        ("postgresql://db:5433/mlmd", "postgresql://db:5433/mlmd"),
        ("sqlite:///home/a:b@c/x.db", "sqlite:///home/a:b@c/x.db"),
    ],
)
def test_what_people_see_of_a_url_is_all_but_the_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("name", ["h[1]", "h*", "h?", "h\\1"])
def test_a_home_that_tensorflow_would_take_for_a_pattern_is_used_by_another_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home = tmp_path / name
    home.mkdir()
    (home / "here").touch()
    monkeypatch.setenv("VIADUCT_HOME", str(home))
    used = Paths.of("card_fraud", home).home
    assert used == default_home() == Paths.of("card_fraud", used).home
    assert (used / "here").exists() and not set("*?[\\") & set(used.name)
    assert used != Paths.of("card_fraud", tmp_path / "h[2]").home


def test_a_folder_of_links_that_others_may_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    links = tmp_path / f"viaduct-{os.getuid()}"
    links.mkdir()
    links.chmod(0o777)
    with pytest.raises(ViaductError, match=r"HOME '.*h\[1\]' holds a sign .*not this user's alone"):
        Paths.of("card_fraud", tmp_path / "h[1]")


@pytest.mark.parametrize("name", ["h {SPAN}", "-h #1", "h'\"]", "日本"])
def test_other_names_are_names(tmp_path: Path, name: str) -> None:
    assert Paths.of("card_fraud", tmp_path / name).home == tmp_path / name


def test_names_that_are_no_utf_8_are_refused_with_what_they_are(tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))
    strange.write_text("x")
    with pytest.raises(ProjectError, match=r"HOME b'.*xff\.csv' is no UTF-8"):
        Paths.of("card_fraud", strange)
    card = registry.get("card_fraud")
    with pytest.raises(ProjectError, match=r"--data b'.*xff\.csv' is no UTF-8.*Rename it"):
        data.locate(card, Paths.of("card_fraud", tmp_path), Settings.of(card, data=str(strange)), print)
