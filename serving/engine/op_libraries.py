"""Custom op libraries: from a flag, from the model's own assets, or of an installed package that has the ops.

A model lists its libraries in `assets.extra/op_libraries.txt`, one a line, relative to the version's folder.
Ops of TensorFlow Decision Forests are found in the installed package by themselves. Loading a library runs
native code with the server's rights, like the graph itself; a path may not leave the version's folder.
This module does not load graphs. TensorFlow is imported only when something is loaded.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from serving.core.servable import LoadFailed
from serving.engine.tf_runtime import runtime

logger = logging.getLogger(__name__)

LIST_FILE = "assets.extra/op_libraries.txt"
# Prefix of op names -> (package, library inside the package).
_PROVIDERS = {"SimpleML": ("tensorflow_decision_forests", "tensorflow/ops/inference/inference.so")}

_loaded: set[str] = set()
_lock = threading.Lock()


def load(path: str) -> None:
    """Loads one library; a second call for the same file does nothing. Raises LoadFailed."""
    with _lock:
        real = str(Path(path).resolve())
        if real in _loaded:
            return
        try:
            runtime().load_op_library(real)
        except Exception as error:
            raise LoadFailed("FAILED_PRECONDITION", f"Cannot load the op library {path}: {error}") from error
        _loaded.add(real)
        logger.info("Loaded the op library %s", path)


def load_listed(version_folder: str) -> None:
    """Loads what the model's own list names. Raises LoadFailed."""
    root = Path(version_folder).resolve()
    listing = root / LIST_FILE
    if not listing.is_file():
        return
    for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
        name = line.split("#")[0].strip()
        if not name:
            continue
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise LoadFailed(
                "INVALID_ARGUMENT",
                f"{LIST_FILE} names {name!r}, which lies outside the version's folder. Put the library into "
                "assets.extra, or start the server with --custom_op_libraries.",
            )
        load(str(path))


def load_missing(ops: Iterable[str]) -> None:
    """Loads the libraries of installed packages for those `ops` that TensorFlow does not know yet."""
    for op in ops:
        if runtime().known_op(op) is not None:
            continue
        for prefix, (package, library) in _PROVIDERS.items():
            spec = importlib.util.find_spec(package) if op.startswith(prefix) else None
            if spec is not None and spec.submodule_search_locations:
                load(str(Path(spec.submodule_search_locations[0]) / library))
