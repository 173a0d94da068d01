"""The command `viaduct watch`: looks after a served model, and trains a new one when that is due. Part of cli.py."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base import production
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths, metadata_url, python_path, working_folder
from pipelines.cli_arguments import model_argument

DUE = 3

if TYPE_CHECKING:
    from pipelines.base.watching.loop import Watcher


def define_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", help="a served model: a project, or a name with its kind, as card_fraud.sample"
    )
    parser.add_argument("--once", action="store_true", help="one look, then end")
    parser.add_argument("--status", action="store_true", help="what was seen so far; looks at nothing new")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what is due and train nothing (with --once: exit code 3)"
    )
    parser.add_argument(
        "--hand-over",
        action="store_true",
        help="leave what is due to the caller: it counts as begun, and with --once the exit code is 3",
    )
    parser.add_argument("--every", type=float, default=60.0, metavar="S", help="seconds between looks (60)")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="request logs (HOME/request-logs)")
    parser.add_argument("--json", action="store_true", help="for machines: a line a look")
    parser.set_defaults(do=_watch)


def _watch(options: argparse.Namespace) -> int:
    from pipelines.base.watching import state
    from pipelines.base.watching.loop import Watcher

    card, name = model_argument(options.model)
    watcher = Watcher(card, Paths.of(card.name), name, options.logs)
    if options.status:
        kept = state.load(watcher.folder)
        _say(
            watcher,
            kept,
            [_alarm(alarm) for alarm in kept.alarms],
            options.json,
            quality=True,
        )
        return 0
    with state.alone(watcher.folder) as alone:
        if not alone:
            raise ViaductError(f"{name} is being watched already; its state is in {watcher.folder}.")
        while True:
            kept, said, due = watcher.look()
            # Where nobody stays to be told when something comes, it is said how things stand.
            _say(watcher, kept, said, options.json, quality=options.once or bool(said))
            if said:
                _record(watcher)
            code = 0
            if due.now and (options.dry_run or options.hand_over):
                code = DUE
                if options.hand_over:
                    watcher.begin(due.reason)
            elif due.now:
                code = _train(watcher, due.reason)
            if options.once:
                return code
            time.sleep(options.every)


def _record(watcher: Watcher) -> None:
    """In ML Metadata; where that does not answer, `viaduct lineage` will do it."""
    from pipelines.base import metadata
    from pipelines.base.watching import record

    try:
        record.record(metadata.store(metadata_url(watcher.paths.home)), watcher.paths)
    except Exception as error:
        print(f"viaduct: not recorded in ML Metadata yet: {error}", file=sys.stderr)


def _alarm(alarm: dict[str, Any]) -> str:
    of = f"of version {alarm['version']}"
    return f"{alarm['feature']} {of} drifted" if "feature" in alarm else f"{alarm['metric']} {of} got worse"


def _say(watcher: Watcher, kept: object, said: list[str], as_json: bool, *, quality: bool) -> None:
    from pipelines.base.watching.state import State

    assert isinstance(kept, State)
    due = watcher.due(kept)
    if as_json:
        told = {
            "model": watcher.served, "windows": len(kept.windows), "said": said, "reason": due.reason,
            "held": due.held, "due": due.now, "quality": kept.quality,
        }  # fmt: skip
        print(json.dumps(told), flush=True)
        return
    for line in said:
        print(line, flush=True)
    for line in watcher.quality_lines(kept) if quality else ():
        print(line, flush=True)
    if due.reason:
        print(f"due: {due.reason}" + (f"; but {due.held}" if due.held else ""), flush=True)


def _train(watcher: Watcher, reason: str) -> int:
    """A production run of the project on its newest data, in a process of its own; the run's exit code."""
    project = watcher.card.name
    if watcher.served != project:
        raise ViaductError(
            f"{watcher.served} is not trained anew by a watch: {production.TAKES}. Do it by hand: viaduct run {project}"
        )
    watcher.begin(reason)
    command = [sys.executable, "-m", "pipelines", "run", project, "--profile", "full", "--plain", "--force"]
    return subprocess.run(
        command, cwd=working_folder(), env={**os.environ, "PYTHONPATH": python_path()}, check=False
    ).returncode
