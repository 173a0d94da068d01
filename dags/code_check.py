"""Finds out, without importing it, whether a project's code would import: what the scheduler can afford.

Importing a project costs TensorFlow and 15 seconds; reading its files costs milliseconds and finds what breaks an
import in practice: syntax errors, modules that do not exist, names that a module of ours does not define, names
that nobody defined. It does not run anything, so what only running can tell shows in the task's log.
Standard library only.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.machinery
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pipelines.base import whole
from pipelines.base.errors import ProjectError
from pipelines.base.forkserver import client as forkserver
from pipelines.base.paths import Paths, code_folders, project_folder, shown
from pipelines.base.run_folder import code_mark

OURS = ("pipelines", "components", "bridges", "serving", "dashboards", "dags")
IMPLICIT = {
    *dir(builtins),
    "__file__",
    "__name__",
    "__doc__",
    "__path__",
    "__spec__",
    "__package__",
    "__annotations__",
}
_Named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class BrokenCode(ProjectError):
    """A file that would not import; the text begins with `file:line`."""

    def __init__(self, file: Path, line: int, problem: str) -> None:
        super().__init__(f"{shown(file)}:{line}: {problem}")
        self.file, self.line = file, line


def check_once(project: str) -> None:
    """`check`, skipped while nothing has changed since it last found nothing: Airflow parses every half minute.

    What was found is not kept, so that a package installed since is seen.
    """
    paths = Paths.of(project)
    mark = f"{code_mark(paths)} {[folder.stat().st_mtime_ns for folder in packages()]}"
    file = paths.home / "cache" / "code_check" / project
    with contextlib.suppress(OSError):
        if file.read_text() == mark:
            return
    check(project)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        whole.sweep(file.parent)
        whole.write(file, mark)


@cache
def packages() -> tuple[Path, ...]:
    """Where the nodes' interpreter, which need not be this one, has what is installed: site-packages and its .pth."""
    prefix = Path(forkserver.interpreter()).parents[1]
    sites = sorted({folder.resolve() for folder in prefix.glob("lib*/python3*/*-packages")})
    lines = [line for site in sites for file in site.glob("*.pth") for line in file.read_text().splitlines()]
    return (*sites, *(Path(line) for line in lines if line.startswith("/") and Path(line).is_dir()))


def check(project: str, folder: Path | None = None) -> None:
    """Raises BrokenCode for the first problem in the project's own modules (`folder`: elsewhere than usual)."""
    home = folder or project_folder(project)
    for file in sorted(home.rglob("*.py")):
        tree = _parse(file)
        for problem in (*_broken_imports(tree, file), *_undefined_names(tree, file)):
            raise problem


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        raise BrokenCode(file, error.lineno or 1, f"SyntaxError: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise BrokenCode(file, 1, f"cannot be read: {error}") from error


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: no function bodies, no branch for type checkers, no `try`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try) or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        ):
            continue
        if isinstance(child, _Function):
            yield from _signature(child)
            continue
        yield child
        yield from _at_import(child)


def _signature(function: ast.AST) -> Iterator[ast.AST]:
    """Decorators and defaults run at import; annotations do not under `from __future__ import annotations`."""
    defaults = [d for d in (*function.args.defaults, *function.args.kw_defaults) if d is not None]  # type: ignore[attr-defined]
    for part in (*getattr(function, "decorator_list", ()), *defaults):
        yield part
        yield from _at_import(part)


def _broken_imports(tree: ast.Module, file: Path) -> Iterator[BrokenCode]:
    for node in _at_import(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if not _exists(alias.name):
                    yield BrokenCode(
                        file, node.lineno, f"ModuleNotFoundError: No module named {alias.name!r}"
                    )
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, file)
            if not _exists(module):
                yield BrokenCode(file, node.lineno, f"ModuleNotFoundError: No module named {module!r}")
                continue
            known = _names_of(module)
            for alias in node.names:
                if known is not None and alias.name not in known and not _exists(f"{module}.{alias.name}"):
                    yield BrokenCode(
                        file, node.lineno, f"ImportError: cannot import name {alias.name!r} from {module!r}"
                    )


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    if not node.level or shown(file) == file:
        return node.module or ""
    package = list(shown(file).parent.parts)
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


@cache
def _exists(module: str) -> bool:
    """Ours: whether the file is there. Others: whether the top package is installed (nothing is imported)."""
    parts = module.split(".")
    if parts[0] in OURS:
        bases = [folder.joinpath(*parts) for folder in code_folders()]
        return any(base.is_dir() or base.with_suffix(".py").is_file() for base in bases)
    if parts[0] in sys.stdlib_module_names:
        return True
    return (
        importlib.machinery.PathFinder.find_spec(parts[0], [str(folder) for folder in packages()]) is not None
    )


@cache
def _names_of(module: str) -> frozenset[str] | None:
    """Top-level names of a module of ours; None where they cannot be told (others' modules, star imports)."""
    parts = module.split(".")
    bases = [folder.joinpath(*parts) for folder in code_folders()]
    files = [file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py")]
    file = next((f for f in files if f.is_file()), None)
    if parts[0] not in OURS or file is None:
        return None
    return _bound(_parse(file))


def _bound(tree: ast.Module) -> frozenset[str] | None:
    """Every name the module may bind at its top level, in whatever branch; None with a star import."""
    names: set[str] = set()
    for node in _everywhere_but_functions(tree):
        if isinstance(node, ast.Import):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, _Named) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
    return None if "*" in names else frozenset(names)


def _everywhere_but_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _Function):
            yield from _everywhere_but_functions(child)


def _undefined_names(tree: ast.Module, file: Path) -> Iterator[BrokenCode]:
    """Names read at import that nothing in the module binds. Lenient: names bound anywhere at import count."""
    bound = _bound(tree)
    postponed = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
    if bound is None:
        return
    at_import = list(_at_import(tree))
    annotations = {
        id(inner)
        for node in at_import
        if isinstance(node, ast.AnnAssign) and postponed
        for inner in ast.walk(node.annotation)
    }
    for node in at_import:
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.id not in bound
            and node.id not in IMPLICIT
            and id(node) not in annotations
        ):
            yield BrokenCode(file, node.lineno, f"NameError: name {node.id!r} is not defined")
