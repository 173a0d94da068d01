"""What processes leave when they are killed, and temporary files that their makers do not remove: cleared up here.

Whatever is written aside says who writes it (see whole.py), so a run begins by removing what no living process owns.
TensorFlow and Beam leave their temporary files lying even where a node ends well (AutoGraph's generated modules, some
twenty a run): a node gets a temporary folder of its own, which goes with it. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.base import whole
from pipelines.base.paths import Paths

TEMPORARY = "viaduct-node"


def sweep(paths: Paths) -> list[Path]:
    """Removes what killed processes left of the project: half-written data, samples, records, pushes, temporary files.

    Returns what was removed. What lies inside a node's artifacts is the node's to clear up.
    """
    removed = sweep_temporary()
    served = [paths.serving, *paths.serving.parent.glob(f"{paths.project}.*")]
    for folder in (paths.home, paths.data, paths.samples, *served, paths.runs):
        removed += whole.sweep(folder)
    with contextlib.suppress(OSError):
        for run in paths.runs.iterdir():
            removed += whole.sweep(run)
    return removed


def sweep_temporary() -> list[Path]:
    """Removes temporary folders of nodes of this user that were killed."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob(f".{TEMPORARY}.*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.getuid() and whole.is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is this process's TMPDIR, and its children's, until the block ends; then it is gone.

    It lies in the system's temporary folder and not in the run's: the name of a socket in it (multiprocessing makes
    some) may have 108 bytes.
    """
    before = os.environ.get("TMPDIR")
    tempfile.tempdir = None
    folder = whole.aside_of(Path(tempfile.gettempdir()) / TEMPORARY)
    folder.mkdir(mode=0o700)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)
