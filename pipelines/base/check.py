"""Looks for mistakes in a project before anything runs: missing files, names, schema, bars. Imports no TFX.

What needs TensorFlow (does preprocessing_fn trace, is the IR the committed one) is the contract tests' business.
"""

from __future__ import annotations

import ast
from pathlib import Path

from pipelines.base import ir, registry
from pipelines.base.paths import ROOMS
from pipelines.base.project import ProjectError

REQUIRED = {
    "data.py": ("fetch", "sample"),
    "features.py": ("preprocessing_fn",),
    "model.py": ("run_fn",),
    "pipeline.py": ("create_pipeline",),
}


def project(name: str) -> list[str]:
    """One line per finding, each naming the file; [] for a project without any."""
    folder = ROOMS / name
    try:
        card = registry.get(name)
    except ProjectError as error:
        return [str(error)]
    texts = {"README.md": "", "ir.json": f"; `viaduct compile {name}` writes it"}
    findings = [f"{name}/{file}: missing{how}" for file, how in texts.items() if not (folder / file).exists()]
    for file, functions in REQUIRED.items():
        findings += _missing_functions(folder / file, functions, name)
    if (folder / "ir.json").exists():
        try:
            nodes = {node.id for node in ir.nodes(ir.load(folder / "ir.json"))}
            findings += [
                f"{name}/ir.json: no node {node}"
                for node in ("Trainer", "Evaluator", "Pusher")
                if node not in nodes
            ]
            findings += [
                f"{name}/project.py: heavy names {node!r}, which is no node"
                for node in card.heavy
                if node not in nodes
            ]
        except ProjectError as error:
            findings.append(str(error))
    return findings


def _missing_functions(file: Path, functions: tuple[str, ...], name: str) -> list[str]:
    if not file.exists():
        return [f"{name}/{file.name}: missing"]
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        return [f"{name}/{file.name}:{error.lineno}: {error.msg}"]
    # A function may be defined here or taken from a sibling.
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in statement.names}
    return [
        f"{name}/{file.name}: no function {function}" for function in functions if function not in defined
    ]
