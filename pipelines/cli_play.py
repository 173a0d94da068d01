"""The command `viaduct play`: lets a served agent play, and writes what is to be seen. Part of cli.py.

What playing is, a project says in its play.py; projects without one are refused.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from pipelines.base import production, registry
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths, project_folder
from pipelines.cli_arguments import MOST_SEEDS, model_argument, number


def define_play(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", help="a served model: a project that plays, or a name with its kind, as pacman.sample"
    )
    parser.add_argument(
        "--server", default="", metavar="HOST:PORT", help="a running server (default: one of its own)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the GIF to write (the model's name and .gif)"
    )
    parser.add_argument(
        "--seed", type=number(0, "", MOST_SEEDS), default=0, help="another number, another episode (0)"
    )
    parser.add_argument(
        "--steps", type=number(1, "steps"), default=3_000, metavar="N", help="at most so many (3000)"
    )
    parser.add_argument(
        "--wait", type=float, default=30.0, metavar="SECONDS", help="for the server and the model (30)"
    )
    parser.set_defaults(do=_play)


def _play(options: argparse.Namespace) -> None:
    card, name = model_argument(options.model)
    if not (project_folder(card.name) / "play.py").exists():
        playing = [other for other in registry.names() if (project_folder(other) / "play.py").exists()]
        raise ViaductError(f"{card.name} is no game. Projects that play: {', '.join(playing)}.")
    paths = Paths.of(card.name)
    there = production.pushed_names(paths)
    if not options.server and name not in there:
        others = f"There is: {', '.join(there)}. Do: viaduct play {there[0]}" if there else ""
        raise ViaductError(f"Nothing is pushed to {name} yet. {others or f'Do: viaduct run {card.name}'}")
    options.output = options.output or Path(f"{name}.gif")
    if not options.output.absolute().parent.is_dir():
        raise ViaductError(f"--output is {str(options.output)!r}; its folder does not exist.")
    importlib.import_module(f"pipelines.{card.name}.play").play(name, paths, options)
