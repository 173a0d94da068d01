"""The compiled pipeline (seam 4): made with TFX, read with the standard library.

`compile_ir` needs TFX and runs in a warm process; everything else here reads the JSON and imports nothing heavy,
because Airflow's scheduler, the dashboards and the runner's own process use it.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base import registry
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import ProjectError, Settings

GOLDEN_HOME = "{home}"
GOLDEN_CHECKOUT = "{checkout}"
# Files every error passes through; naming them would tell nobody anything.
RUNNING = ("host.py", "node.py", "ir.py")


@dataclass(frozen=True)
class Node:
    """A node of the graph: its id, its component class's short name and the ids it waits for."""

    id: str
    type: str
    upstream: tuple[str, ...]


def compile_ir(project: str, settings: Settings, paths: Paths) -> dict[str, Any]:
    """The pipeline of `project` as the JSON form of TFX's IR, without the metadata connection (it may hold a password).

    Raises ProjectError naming the file and line if the project's code fails.
    """
    from google.protobuf import json_format
    from tfx.dsl.compiler import compiler

    registry.get(project)
    try:
        pipeline = importlib.import_module(f"pipelines.{project}.pipeline").create_pipeline(paths, settings)
        message = compiler.Compiler().compile(pipeline)
    except ProjectError:
        raise
    except Exception as error:
        raise ProjectError(f"{project}: create_pipeline failed: {describe(error)}") from error
    ir = json_format.MessageToDict(message)
    ir.get("deploymentConfig", {}).pop("metadataConnectionConfig", None)
    return ir


def describe(error: BaseException) -> str:
    """One line: what was raised, what first caused it, and the last of our lines it passed through."""
    chain = [error]
    while (inner := chain[-1].__cause__ or _context_of(chain[-1])) is not None and inner not in chain:
        if isinstance(chain[-1], ProjectError):
            break
        chain.append(inner)
    known = next((e for e in chain if isinstance(e, ProjectError)), None)
    if known is not None:
        return " ".join(str(known).split())
    first, last = _one_line(chain[0]), _one_line(chain[-1])
    where = next(filter(None, (_our_line(e) for e in reversed(chain))), "")
    return (first if last in first else f"{first}; caused by {last}") + where


def _context_of(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]


def _our_line(error: BaseException) -> str:
    """` (file:line)` of the innermost frame in a room that projects own, '' if the error passed through none."""
    where, frame = "", error.__traceback__
    while frame is not None:
        file = Path(frame.tb_frame.f_code.co_filename)
        if file.is_relative_to(CHECKOUT) and "site-packages" not in file.parts and file.name not in RUNNING:
            where = f" ({file.relative_to(CHECKOUT)}:{frame.tb_lineno})"
        frame = frame.tb_next
    return where


def golden_text(ir: dict[str, Any], home: Path) -> str:
    """The committed form: sorted, indented, with this machine's folders replaced by placeholders."""
    text = json.dumps(ir, indent=1, sort_keys=True, ensure_ascii=False)
    return text.replace(str(home), GOLDEN_HOME).replace(str(CHECKOUT), GOLDEN_CHECKOUT) + "\n"


def load(file: Path) -> dict[str, Any]:
    """Reads an ir.json. Raises ProjectError naming the file if it is missing or no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"{file} is no compiled pipeline: {error}. Run `viaduct compile`.") from error


def nodes(ir: dict[str, Any]) -> list[Node]:
    """The graph in the IR's order, which is topological."""
    found = []
    for entry in ir.get("nodes", []):
        node = entry["pipelineNode"]
        info = node["nodeInfo"]
        kind = info["type"]["name"].rpartition(".")[2]
        found.append(Node(info["id"], kind, tuple(node.get("upstreamNodes", ()))))
    return found
