"""Another name for a HOME that TensorFlow would take for a pattern: a link without special characters, used instead.

TensorFlow and TFX list files by patterns made of folder names and cannot be told that a `[` is a `[`. The links lie in
the system's temporary folder, in one of this user's alone, and always have the same names, so that what ML Metadata
has written down is found again after they were cleared away. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from pipelines.base.errors import ViaductError

PATTERN_SIGNS = frozenset("*?[\\")


def plain(folder: Path) -> Path:
    """`folder`, or a link to it where its path holds a sign that TensorFlow gives a meaning to.

    Raises ViaductError if there can be no such link.
    """
    if not PATTERN_SIGNS & set(str(folder)):
        return folder
    links = Path(tempfile.gettempdir()) / f"viaduct-{os.getuid()}"
    link = links / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    try:
        links.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(folder)
        state = links.lstat()
        if state.st_uid != os.getuid() or state.st_mode & 0o022 or os.readlink(link) != str(folder):
            raise OSError(f"{links} is not this user's alone")
    except OSError as error:
        raise ViaductError(
            f"HOME {str(folder)!r} holds a sign that TensorFlow takes for a pattern, and a link without it could not "
            f"be made: {error}. Set VIADUCT_HOME to a folder without any of {' '.join(sorted(PATTERN_SIGNS))}"
        ) from error
    return link
