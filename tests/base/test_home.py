"""HOME is its user's alone from the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.base import home
from pipelines.base.errors import ProjectError, ViaductError


def test_a_new_home_is_its_users_alone_and_one_that_is_there_stays(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        new = home.make(tmp_path / "deep" / "home", tmp_path / "deep" / "home" / "host")
    finally:
        os.umask(before)
    assert new.stat().st_mode & 0o777 == 0o700
    assert (new / "host").is_dir()
    new.chmod(0o755)
    home.make(new)
    assert new.stat().st_mode & 0o777 == 0o755


def test_a_home_that_cannot_be_written_is_no_fault_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ViaductError, match=r"HOME .* cannot be written: .*Set VIADUCT_HOME") as caught:
        home.make(tmp_path / "file" / "home")
    assert not isinstance(caught.value, ProjectError)
