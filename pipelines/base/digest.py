"""Digests of source code: what a node's cached result depends on besides its inputs and parameters.

TFX's cache key holds the import path of a user function, not its code. A digest of the module and of every module
of ours that it imports, put into the node's `custom_config`, makes an edit rerun exactly the nodes it concerns.
Standard library only; modules are read, never imported.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipelines.base.paths import code_folders, project_folder

ROOMS = ("pipelines", "components")


def source_digest(*modules: str) -> str:
    """16 hex digits over `modules` and the modules of our rooms that they import, directly or not.

    Raises FileNotFoundError if there is no such module. Comments count: the file's bytes are hashed.
    """
    return _hash(_closure(modules))


def project_digest(project: str) -> str:
    """16 hex digits over all that a project's results may depend on: `source_digest` of each of its modules, whoever
    names them, and every other file in its folder but those that people read or commands write (README.md, ir.json,
    card.json).
    """
    folder = project_folder(project)
    files = [file for file in folder.rglob("*") if file.is_file() and _counts(file.relative_to(folder))]
    root = folder.parents[1]
    modules = [_name_of(file.relative_to(root)) for file in files if file.suffix == ".py"]
    others = {str(file.relative_to(root)): file for file in files if file.suffix != ".py"}
    return _hash({**_closure(modules), **others})


def _counts(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.name not in ("README.md", "ir.json", "card.json")


def _hash(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _closure(modules: Iterable[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name in files:
            continue
        if file is None:
            raise FileNotFoundError(f"No module {name!r} below {code_folders()[0]}")
        files[name] = file
        imported = _imports(name, file.read_bytes())
        waiting.extend(other for other in imported if _file_of(other) is not None and other not in files)
    return files


def _name_of(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file_of(module: str) -> Path | None:
    """The workspace's file of a module, else the platform's."""
    bases = [root.joinpath(*module.split(".")) for root in code_folders()]
    candidates = [file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py")]
    return next((file for file in candidates if file.is_file()), None)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement below `tree`. Expressions, most of a tree, hold no imports."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for node in getattr(tree, field, ()):
            yield node
            yield from _statements(node)


@functools.cache
def _imports(module: str, source: bytes) -> frozenset[str]:
    """What `module` may import of our rooms, modules and names in them alike. A pipeline asks for most of it often."""
    names: set[str] = set()
    for node in _statements(ast.parse(source, module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            names.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return frozenset(name for name in names if name.split(".")[0] in ROOMS)
