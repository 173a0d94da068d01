"""What a project's source says without being run: its mistakes in syntax, its words, what its functions read.

Only what can be told for sure is told: a name that is made at run time is unknown here, and unknown is not wrong.
Standard library only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path


class Source:
    """The modules of one project's folder, parsed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self.errors: list[str] = []
        self.trees: dict[str, ast.Module] = {}
        for file in sorted(folder.rglob("*.py")):
            name = file.relative_to(folder).as_posix()
            try:
                self.trees[name] = ast.parse(file.read_bytes(), str(file))
            except SyntaxError as error:
                self.errors.append(f"{self.name}/{name}:{error.lineno}: {error.msg}")
            except ValueError as error:
                self.errors.append(f"{self.name}/{name}: {error}")

    def words(self, *leaving_out: str) -> set[str]:
        """Every text that stands in the modules, but for those left out; also parts of f-strings."""
        return {
            node.value
            for file, tree in self.trees.items()
            if file not in leaving_out
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }

    def constants(self) -> dict[str, tuple[str, ...]]:
        """Names that modules give to a text or to several (`KEY = "a"`, `KEYS = ("a", "b")`), and the texts."""
        found: dict[str, tuple[str, ...]] = {}
        for tree in self.trees.values():
            for statement in tree.body:
                if isinstance(statement, ast.Assign):
                    for target in statement.targets:
                        found.update(_assigned(target, statement.value))
                elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                    found.update(_assigned(statement.target, statement.value))
        return found

    def function(self, file: str, name: str) -> ast.FunctionDef | None:
        """A function at the top of a module."""
        tree = self.trees.get(file)
        found = (n for n in tree.body if isinstance(n, ast.FunctionDef)) if tree else iter(())
        return next((node for node in found if node.name == name), None)

    def reach(self, function: ast.FunctionDef) -> list[ast.FunctionDef]:
        """The function and those of the project's modules that it leads to by name."""
        known = {
            node.name: node
            for tree in self.trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
        }
        found, left = [function], [function]
        while left:
            one = left.pop()
            # A variable of its own may be called as a function is elsewhere.
            own = {n.id for n in ast.walk(one) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for node in ast.walk(one):
                name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
                if name in known and name not in own and known[name] not in found:
                    found.append(known[name])
                    left.append(known[name])
        return found

    def mentioned(self, function: ast.FunctionDef) -> set[str] | None:
        """Texts that the function and what it leads to name, by themselves or by constants; None where it goes
        through all of its argument, and so may name anything."""
        argument = function.args.args[0].arg if function.args.args else ""
        constants, texts = self.constants(), set()
        for one in self.reach(function):
            for node in ast.walk(one):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.add(node.value)
                elif isinstance(node, ast.Name | ast.Attribute):
                    texts.update(constants.get(node.id if isinstance(node, ast.Name) else node.attr, ()))
        return None if _goes_through(function, argument) else texts

    def read(self, file: str, function: ast.FunctionDef) -> Iterator[tuple[str, int]]:
        """(key, line) of `argument[key]` in a function of its first argument, where the key is a known text."""
        if not function.args.args:
            return
        argument, constants = function.args.args[0].arg, self.constants()
        # A loop's or a comprehension's variable stands for all that it goes over.
        for node in ast.walk(function):
            pair = (node.target, node.iter) if isinstance(node, ast.For | ast.comprehension) else (None, None)
            if isinstance(pair[0], ast.Name) and isinstance(pair[1], ast.Name) and pair[1].id in constants:
                constants[pair[0].id] = constants[pair[1].id]
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Name)
                and node.value.id == argument
            ):
                key = node.slice
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, node.lineno
                elif isinstance(key, ast.Name):
                    for text in constants.get(key.id, ()):
                        yield text, node.lineno


def metric_classes(package: Path | None) -> set[str]:
    """Names that an installed package's __init__.py imports; empty where there is none."""
    if package is None or not package.exists():
        return set()
    tree = ast.parse(package.read_bytes())
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def snake_case(name: str) -> str:
    """A metric class's default name, by Keras's rule: BinaryAccuracy -> binary_accuracy."""
    spaced = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _assigned(target: ast.expr, value: ast.expr) -> dict[str, tuple[str, ...]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        return {name: texts for one, other in pairs for name, texts in _assigned(one, other).items()}
    texts = _texts(value)
    return {target.id: texts} if isinstance(target, ast.Name) and texts else {}


def _texts(value: ast.expr) -> tuple[str, ...]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return (value.value,)
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        parts = [_texts(element) for element in value.elts]
        return tuple(text for part in parts for text in part) if all(parts) else ()
    if isinstance(value, ast.Dict):
        return tuple(text for key in value.keys if key is not None for text in _texts(key))
    return ()


def _goes_through(function: ast.FunctionDef, argument: str) -> bool:
    """Whether the argument is used other than by one of its keys: copied, looped over, handed on."""
    by_key = {
        id(node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
    }
    return any(
        isinstance(node, ast.Name) and node.id == argument and id(node) not in by_key
        for node in ast.walk(function)
    )
