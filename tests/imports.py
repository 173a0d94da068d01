"""Reads who imports whom from the source of a tree, without importing any of it; the house rules are asked of this.

Imports inside functions count (a room's wall is no lower there), those under `if TYPE_CHECKING` do not.
"""

from __future__ import annotations

import ast
import fnmatch
import graphlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

STDLIB = frozenset(sys.stdlib_module_names) | {"__future__"}


def modules(root: Path, rooms: Iterable[str]) -> dict[str, Path]:
    """Dotted names and files of all modules below `root`'s `rooms`; a package is named like its folder."""
    files = (file for room in rooms for file in sorted((root / room).rglob("*.py")))
    return {module_name(root, file): file for file in files if "__pycache__" not in file.parts}


def module_name(root: Path, file: Path) -> str:
    """`serving.core.policy` for root/serving/core/policy.py, `serving.core` for its __init__.py."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(name: str, known: Mapping[str, Path], *, top_level_only: bool = False) -> set[str]:
    """The modules that module `name` imports, as dotted names.

    `from a import b` is an import of module a.b where there is one among the `known`, else of a. `top_level_only`
    leaves out what is imported when a function is called.
    """
    file = known[name]
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    body = ast.parse(file.read_bytes(), str(file)).body
    return {
        whole if whole in known else base for base, whole in _named(body, package, top_level_only) if base
    }


def _named(body: list[ast.stmt], package: list[str], top_level_only: bool) -> Iterator[tuple[str, str]]:
    """(module, name taken from it joined to it) of every import statement; twice the module for a plain one."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((base, f"{base}.{alias.name}") for alias in node.names)
        elif not _passed_over(node, top_level_only):
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from _named(list(getattr(node, block, [])), package, top_level_only)


def _passed_over(node: ast.stmt, top_level_only: bool) -> bool:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return True
    return top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def breaches(known: Mapping[str, Path], may_import: Mapping[str, Sequence[str]]) -> list[str]:
    """Every import over a wall, as `module imports other`; [] where all rooms keep to `may_import`.

    `may_import` maps a module, a package or a pattern (`*` is anything within one part of a name) to the prefixes
    that its modules may import. The longest entry that fits a module holds. The standard library is always allowed,
    and so is the entry's own package, unless the entry has a "-".
    """
    lines = []
    for name in sorted(known):
        entry = _entry_of(name, may_import)
        if entry is None:
            lines.append(f"{name} stands in no room of the table")
            continue
        allowed = list(may_import[entry])
        if "-" not in allowed:
            allowed.append(".".join(name.split(".")[: entry.count(".") + 1]))
        lines += [
            f"{name} imports {other}"
            for other in sorted(imports(name, known))
            if other.split(".")[0] not in STDLIB and not any(fits(other, prefix) for prefix in allowed)
        ]
    return lines


def _entry_of(name: str, may_import: Iterable[str]) -> str | None:
    """The entry that fits with the most parts; of two with as many the one that leaves fewer letters open."""
    fitting = [entry for entry in may_import if fits(name, entry)]
    return max(fitting, key=lambda entry: (entry.count("."), len(entry.replace("*", ""))), default=None)


def fits(name: str, prefix: str) -> bool:
    """Whether `name` is `prefix` or stands below it; `*` in `prefix` is anything within one part."""
    parts, wanted = name.split("."), prefix.split(".")
    return len(parts) >= len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def circle(known: Mapping[str, Path]) -> list[str]:
    """Modules that import each other in a round, first and last the same; [] where the house has no circle.

    An import of `a.b` counts as one of module a.b, not of the packages above it.
    """
    graph = {name: imports(name, known) & set(known) for name in known}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))
    return []
