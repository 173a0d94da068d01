"""The house rules: who may import whom, how long modules and functions may be, no name that hides a package."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
ROOMS = ("pipelines", "components", "dags", "serving", "dashboards")
STDLIB = set(sys.stdlib_module_names) | {"__future__"}
STDLIB_MODULES = (
    "pipelines.base.project",
    "pipelines.base.paths",
    "pipelines.base.registry",
    "pipelines.base.digest",
)
LIGHT_IR = ("pipelines.base.ir", "pipelines.base.run_record", "pipelines.base.host_client")
MODULE_LINES, FUNCTION_LINES = 400, 60


def _files() -> list[Path]:
    found = [file for room in ROOMS for file in (CHECKOUT / room).rglob("*.py")]
    return [file for file in found if "__pycache__" not in file.parts]


def _module(file: Path) -> str:
    parts = file.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(file: Path, *, top_level_only: bool = False) -> set[str]:
    """Imported module names; `if TYPE_CHECKING` blocks do not count."""
    tree = ast.parse(file.read_bytes(), str(file))
    names: set[str] = set()

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                names.update(f"{base}.{alias.name}" for alias in node.names) if base else None
                names.add(base)
            elif _is_skipped(node, top_level_only):
                continue
            else:
                for field in ("body", "orelse", "finalbody", "handlers"):
                    children = getattr(node, field, None)
                    if isinstance(children, list):
                        visit([c for c in children if isinstance(c, ast.stmt | ast.ExceptHandler)])

    visit(tree.body)
    return {name for name in names if name}


def _is_skipped(node: ast.stmt, top_level_only: bool) -> bool:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return True
    return top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("file", _files(), ids=_module)
def test_a_module_imports_only_what_its_room_may(file: Path) -> None:
    module, imported = _module(file), _imports(file)
    room = module.split(".")[0]
    forbidden: set[str] = set()
    if room == "serving":
        forbidden = {"tfx", "pipelines", "components", "dags", "dashboards", "airflow"}
    elif room == "components":
        forbidden = {"pipelines", "serving", "dags", "dashboards", "airflow"}
    elif room == "dags":
        forbidden = {"tfx", "tensorflow", "components", "serving", "dashboards"}
    elif room == "dashboards":
        forbidden = {"components", "dags", "airflow", "tfx"}
    elif room == "pipelines" and module != "pipelines.cli":
        forbidden = {"dags", "dashboards", "airflow"}
    assert not _roots(imported) & forbidden, (
        f"{module} must not import {sorted(_roots(imported) & forbidden)}"
    )
    if module in STDLIB_MODULES or module.startswith("serving.core") or file.name == "project.py":
        outside = {
            n
            for n in imported
            if n.split(".")[0] not in STDLIB
            and not n.startswith(
                ("pipelines.base.project", "pipelines.base.paths", "pipelines.base.registry", "serving.core")
            )
        }
        outside -= {"pipelines.base"}
        assert not outside, f"{module} is standard library only, but imports {sorted(outside)}"


@pytest.mark.parametrize("file", _files(), ids=_module)
def test_a_project_never_imports_another_project(file: Path) -> None:
    parts = _module(file).split(".")
    if parts[0] != "pipelines" or len(parts) < 3 or parts[1] == "base":
        return
    others = {
        name
        for name in _imports(file)
        if name.startswith("pipelines.") and name.split(".")[1] not in ("base", parts[1])
    }
    assert not others


@pytest.mark.parametrize("module", LIGHT_IR)
def test_readers_of_the_compiled_pipeline_import_nothing_heavy(module: str) -> None:
    file = CHECKOUT.joinpath(*module.split(".")).with_suffix(".py")
    assert _roots(_imports(file, top_level_only=True)) <= STDLIB | {"pipelines"}


@pytest.mark.parametrize("file", _files(), ids=_module)
def test_modules_and_functions_stay_short_and_say_what_they_do(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= MODULE_LINES, f"{file.name} has {text.count(chr(10))} lines"
    assert ast.get_docstring(tree), f"{file.name} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "create_pipeline":
            length = (node.end_lineno or 0) - node.lineno + 1
            # The spine is a list of nodes with a sentence each, which may be longer.
            limit = 110 if node.name == "spine" else FUNCTION_LINES
            assert length <= limit, f"{file.name}: {node.name} has {length} lines"


def test_no_module_is_called_utils_or_hides_a_package() -> None:
    taken = {
        "tensorflow",
        "tfx",
        "airflow",
        "grpc",
        "numpy",
        "pandas",
        "apache_beam",
        "keras",
        "rich",
        "typing",
        "types",
    }
    for file in _files():
        assert file.stem not in {"utils", "helpers", "misc", "common"}, file
        assert file.stem not in taken, file


def test_no_registry_host_or_machine_path_is_named() -> None:
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.splitlines()):
        if (CHECKOUT / name).is_file():
            text = (CHECKOUT / name).read_text(encoding="utf-8", errors="replace")
            assert not any(host in text for host in hosts), name
            assert "/work" + "/" not in text, name
