"""Makes HOME: the one place that does, so that it is its user's alone from the start. Standard library only."""

from __future__ import annotations

from pathlib import Path

from pipelines.base.errors import ViaductError


def make(home: Path, *below: Path) -> Path:
    """HOME with mode 0700, and the folders `below` it; one that is there already is left as it is.

    Raises ViaductError if it cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in below:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ViaductError(
            f"HOME {str(home)!r} cannot be written: {error}. Set VIADUCT_HOME to another."
        ) from error
    return home
