"""The commands about what data may be: `viaduct schema`, `viaduct validate`. Part of cli.py."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from pipelines.base import registry
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths
from pipelines.cli_arguments import project_argument
from pipelines.cli_run import run_settings, settings_arguments


def define_schema(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", action="store_true", help="print the schema (what happens without a flag)")
    what.add_argument(
        "--diff", action="store_true", help="compare it with what the newest run's data suggests"
    )
    what.add_argument(
        "--accept", action="store_true", help="write that suggestion as the project's schema.pbtxt"
    )
    parser.set_defaults(do=_schema)


def _schema(options: argparse.Namespace) -> int:
    from pipelines.base import schemas

    paths = Paths.of(registry.get(options.project).name)
    if not options.accept and not options.diff and paths.schema.exists():
        print(paths.schema.read_text(encoding="utf-8"), end="")
        return 0
    suggested = _in_host(
        "pipelines.base.schemas:suggest", {"project": paths.project, "home": str(paths.home)}
    )
    if options.accept:
        schemas.accept(paths, suggested)
        print(f"Wrote {paths.schema}. Review it: from now on a run stops on data that breaks it.")
        return 0
    if options.diff:
        lines = schemas.differences(paths, suggested)
        print(
            "\n".join(lines)
            if lines
            else f"The data of {suggested['run']} suggests the schema that is there."
        )
        return 1 if lines else 0
    print(f"# Not reviewed: suggested by the data of {suggested['run']}. `--accept` makes it the project's.")
    print(suggested["text"], end="")
    return 0


def define_validate(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("file", metavar="PATH", help="a file or folder of raw data")
    settings_arguments(parser, data=False)
    parser.set_defaults(do=_validate)


def _validate(options: argparse.Namespace) -> int:
    """Exit code 1 where something is held against the data."""
    from pipelines.base import check

    card = registry.get(registry.known(options.project))
    check.refuse(card.name)
    if not Path(options.file).expanduser().exists():
        raise ViaductError(f"{options.file!r} does not exist.")
    options.data = options.file
    settings = run_settings(card, options)
    with tempfile.TemporaryDirectory(prefix="viaduct-validate-") as folder:
        told = _in_host(
            "pipelines.base.schemas:validate",
            {"project": card.name, "settings": settings.to_json(), "home": folder},
        )
    rows = ", ".join(f"{name} {count:,} rows" for name, count in told["rows"].items())
    for sentence in told["warnings"]:
        print(f"warn  {sentence}")
    against = (
        "the reviewed schema"
        if Paths.of(card.name).schema.exists()
        else "what it suggests itself (no schema yet)"
    )
    print(f"{options.file}: {rows or 'read'}; nothing is held against it by {against}.")
    return 0


def _in_host(call: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The function's value, from a child of the warm host; its errors come as ViaductErrors."""
    from pipelines.base.forkserver import client as forkserver
    from pipelines.base.paths import default_home

    home = default_home()
    path = forkserver.ensure(home)
    stem = home / "host" / f"schemas-{os.getpid()}"
    # A database server that runs are recorded in is none for what is thrown away.
    kept = {k: v for k, v in os.environ.items() if k != "VIADUCT_METADATA" or not call.endswith(":validate")}
    request = forkserver.Request(call, arguments, stem.with_suffix(".log"), stem.with_suffix(".json"), kept)
    try:
        told: dict[str, Any] = forkserver.Call(path, request).wait()
        request.log.unlink(missing_ok=True)
        return told
    finally:
        request.result.unlink(missing_ok=True)
