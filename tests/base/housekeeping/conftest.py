"""A HOME filled as runs fill it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.base.housekeeping.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("VIADUCT_METADATA", raising=False)
    # What other processes leave in the machine's own is no matter here.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return World(tmp_path / "home")
