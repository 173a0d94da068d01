"""Paths that may be read, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards.readers.files import Cache, Files, Missing


def test_the_cache_keeps_the_latest_and_no_more() -> None:
    cache = Cache(3)
    made: list[int] = []
    for key in (1, 2, 3, 1, 4, 1, 2):
        cache.get(key, lambda key=key: made.append(key) or key)  # type: ignore[misc]
    assert made == [1, 2, 3, 4, 2] and len(cache) == 3


def test_paths_outside_home_are_not_read(tmp_path: Path) -> None:
    files = Files(tmp_path / "home")
    (tmp_path / "home").mkdir()
    (tmp_path / "secret").write_text("x")
    for path in ("/etc/passwd", tmp_path / "secret", tmp_path / "home" / ".." / "secret", "", "a\0b"):
        with pytest.raises(Missing):
            files.inside(path)
    assert files.inside(tmp_path / "home") == (tmp_path / "home").resolve()
