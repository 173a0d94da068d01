"""Functions of projects, named by import path in a node's properties. It calls none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def import_function(path: str) -> Callable[..., Any]:
    """The function `package.module.name`. Raises ImportError with the path if there is none."""
    module, _, name = path.rpartition(".")
    function = getattr(importlib.import_module(module), name, None) if module else None
    if not callable(function):
        raise ImportError(
            f"{path!r} is no function; expected an import path like 'pipelines.p.data.read_rows'."
        )
    return function
