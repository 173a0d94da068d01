"""The compiled pipeline (seam 4): made with TFX, read with the standard library.

`compile_ir` needs TFX and runs in a warm process; everything else here reads the JSON and imports nothing heavy,
because Airflow's scheduler, the dashboards and the runner's own process use it.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base import registry
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.paths import CHECKOUT, Paths, shown, workspace
from pipelines.base.settings import Settings

GOLDEN_HOME = "{home}"
GOLDEN_CHECKOUT = "{checkout}"
GOLDEN_WORKSPACE = "{workspace}"
GOLDEN_DIGEST = "{digest}"
DIGESTS = re.compile(r"\b(?:[0-9a-f]{16}){1,2}\b")  # `digest.source_digest`, one or two of them
ROOT_LENGTH, OUTER_LENGTH = 600, 200  # characters of an error's text that are shown
ROOMS = [(room,) for room in ("pipelines", "components", "bridges", "dags", "serving", "dashboards", "tests")]
# Files every error passes through; naming them would tell nobody anything.
RUNNING = tuple(
    CHECKOUT / "pipelines" / "base" / name for name in ("forkserver/server.py", "node.py", "jobs.py", "ir.py")
)


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
    """One line: the line of our rooms it passed through, a project's before others; what was raised first; what later.

    What is told to a person (ViaductError) is that person's sentence, whole and alone. Other texts that are too long
    lose their heads: what matters stands at their ends.
    """
    chain = [error]
    while (inner := chain[-1].__cause__ or _context_of(chain[-1])) is not None and inner not in chain:
        if isinstance(chain[-1], ViaductError):
            break
        chain.append(inner)
    known = next((e for e in chain if isinstance(e, ViaductError)), None)
    if known is not None:
        return " ".join(str(known).split())
    outer, root = _one_line(chain[0], OUTER_LENGTH), _one_line(chain[-1], ROOT_LENGTH)
    if len(chain) == 1 or root in _one_line(chain[0], ROOT_LENGTH):
        root, outer = _one_line(chain[0], ROOT_LENGTH), ""
    place = _place(chain)
    return (f"{place}: " if place else "") + root + (f"; raised again as {outer}" if outer else "")


def is_refusal(error: BaseException) -> bool:
    """Whether a ProjectError itself, no fault of a component's code, is or caused `error`: trying again is no use."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        if type(following) is ProjectError:
            return True
        seen.append(following)
        following = following.__cause__ or _context_of(following)
    return False


def _context_of(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


def _one_line(error: BaseException, length: int) -> str:
    """`Type: text`, the text's end where it is longer than `length`."""
    told, traceback, rest = str(error).partition("Traceback (most recent call last):")
    if traceback:
        # How a Beam runner tells of its workers: what was raised there is the last line that is not indented.
        told += next((line for line in reversed(rest.splitlines()) if line[:1].strip()), "")
    told = " ".join(told.split())
    if len(told) > length:
        told = "... " + told[-length:].partition(" ")[2]
    return f"{type(error).__name__}: {told}"


def _place(chain: Sequence[BaseException]) -> str:
    """`file:line` in a room that projects own, of what was raised first; a project's own file before shared ones."""
    places = [place for e in reversed(chain) for place in _places(e)]
    own = [
        (file, line)
        for file, line in places
        if shown(file).parts[0] == "pipelines" and shown(file).parts[1] != "base"
    ]
    if not places:
        return ""
    file, line = (own or places)[0]
    return f"{shown(file)}:{line}"


def _places(error: BaseException) -> list[tuple[Path, int]]:
    """Files and lines of our rooms that the error passed through, the innermost first."""
    places: list[tuple[Path, int]] = []
    frame = error.__traceback__
    while frame is not None:
        places.append((Path(frame.tb_frame.f_code.co_filename), frame.tb_lineno))
        frame = frame.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        places.append((Path(error.filename), error.lineno or 0))
    return [
        (file, line)
        for file, line in reversed(places)
        if file.is_absolute() and shown(file).parts[:1] in ROOMS and file not in RUNNING
    ]


def golden_text(ir: dict[str, Any], home: Path) -> str:
    """The committed form: sorted, indented, with placeholders for this machine's folders and for digests of code.

    A run compiles anew, with the digests; in the committed graph they would only make every edit of a line of code
    an edit of eight other files.
    """
    text = json.dumps(ir, indent=1, sort_keys=True, ensure_ascii=False)
    text = text.replace(str(home), GOLDEN_HOME).replace(str(CHECKOUT), GOLDEN_CHECKOUT)
    text = text.replace(str(workspace() or CHECKOUT), GOLDEN_WORKSPACE)
    return DIGESTS.sub(GOLDEN_DIGEST, text) + "\n"


def load(file: Path) -> dict[str, Any]:
    """Reads an ir.json. Raises ProjectError naming the file if it is missing or no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"{file} is no compiled pipeline: {error}. Run `viaduct compile`.") from error


def nodes(ir: dict[str, Any]) -> list[Node]:
    """The graph in the IR's order, which is topological."""
    graph = []
    for entry in ir.get("nodes", []):
        node = entry["pipelineNode"]
        info = node["nodeInfo"]
        kind = info["type"]["name"].rpartition(".")[2]
        graph.append(Node(info["id"], kind, tuple(node.get("upstreamNodes", ()))))
    return graph
