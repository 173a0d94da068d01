"""The command `viaduct init`: a folder of projects of your own. Part of cli.py."""

from __future__ import annotations

import argparse
from pathlib import Path


def define_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", help="an empty folder, or a new one (this one)")
    parser.set_defaults(do=_init)


def _init(options: argparse.Namespace) -> None:
    from pipelines.base.workspace import making

    folder = Path(options.folder).expanduser().absolute()
    made = making.make(folder)
    if not made.written:
        told = (
            f"renewed {' and '.join(made.renewed)}"
            if made.renewed
            else "its locks are the platform's already"
        )
        print(f"{folder} is a workspace; {told} (tfx-viaduct {making.version()}).")
        if made.renewed:
            print("Next:\n  pip install --no-deps --use-pep517 --ignore-requires-python -r requirements.lock")
        return
    print(f"{folder} is a workspace of tfx-viaduct {making.version()}: {', '.join(made.written)}.")
    if made.kept:
        print(f"Kept as they are: {', '.join(made.kept)}.")
    there = "" if folder == Path.cwd() else f"  cd {options.folder}\n"
    print(
        f"Next:\n{there}  viaduct new churn --data customers.csv\n  viaduct run churn\nREADME.md says the rest."
    )
