"""What a run needs done around its nodes, each in a child of the fork server: tables, compilation, settling.

Functions of plain data, called by name (see callers.py); a node itself is node.py's.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipelines.base import executions, ir, metadata, whole
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.settings import Settings


def compile_to(project: str, settings: str, home: str, target: str) -> dict[str, Any]:
    """Compiles `project` with `settings` (their JSON) and writes the IR to `target`; returns {}."""
    compiled = ir.compile_ir(project, Settings.from_json(settings), Paths.of(project, home))
    whole.write(Path(target), json.dumps(compiled))
    return {}


def prepare_run(project: str, settings: str, home: str, target: str) -> dict[str, Any]:
    """Metadata tables, raw data and the IR of a run that a scheduler starts, in one call; {'settings': ...}.

    The settings returned name the data that was found or made. Their JSON goes in, their values come out.
    """
    from pipelines.base import data, registry

    asked, paths = Settings.from_json(settings), Paths.of(project, home)
    executions.settle_project(metadata.store(metadata_url(paths.home)), paths)
    raw = data.locate(registry.get(project), paths, asked, print)
    resolved_json = dataclasses.replace(asked, data=str(raw)).to_json()
    compile_to(project, resolved_json, home, target)
    return {"settings": json.loads(resolved_json)}


def prepare(project: str, home: str) -> dict[str, Any]:
    """Makes the metadata tables and fails what runs that are over left active; returns {'failed': n}."""
    paths = Paths.of(project, home)
    return {"failed": executions.settle_project(metadata.store(metadata_url(paths.home)), paths)}


def fail_active(project: str, home: str, run_id: str, reason: str, node: str = "") -> dict[str, Any]:
    """Marks as failed what a run, or one node of it, left active when its process ended; returns {'failed': n}."""
    paths = Paths.of(project, home)
    store = metadata.store(metadata_url(paths.home))
    return {"failed": executions.settle_run(store, paths, run_id, reason, node)}
