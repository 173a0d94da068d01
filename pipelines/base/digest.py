"""Digests of source code: what a node's cached result depends on besides its inputs and parameters.

TFX's cache key holds the import path of a user function, not its code. A digest of the module and of every module
of ours that it imports, put into the node's `custom_config`, makes an edit rerun exactly the nodes it concerns.
Standard library only; modules are read, never imported.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

from pipelines.base.paths import CHECKOUT

ROOMS = ("pipelines", "components")


def source_digest(module: str) -> str:
    """16 hex digits over `module` and the modules of our rooms that it imports, directly or not.

    Raises FileNotFoundError if there is no such module. Comments count: the file's bytes are hashed.
    """
    digest = hashlib.sha256()
    for name, file in sorted(_closure(module).items()):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _closure(module: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name in found:
            continue
        if file is None:
            raise FileNotFoundError(f"No module {name!r} below {CHECKOUT}")
        found[name] = file
        waiting.extend(imported for imported in _imports(name, file) if imported not in found)
    return found


def _file_of(module: str) -> Path | None:
    base = CHECKOUT.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _imports(module: str, file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            names.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return {name for name in names if name.split(".")[0] in ROOMS and _file_of(name) is not None}
