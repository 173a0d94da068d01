"""Functions of projects by their import path."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_a_function_is_named_by_its_import_path() -> None:
    from components.user_code import import_function

    assert import_function("pathlib.Path") is Path
    with pytest.raises(ImportError, match=r"'pathlib\.Paht' is no function"):
        import_function("pathlib.Paht")
