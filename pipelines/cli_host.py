"""The command about the warm process that runs nodes: `viaduct host`. Part of cli.py."""

from __future__ import annotations

import argparse

from pipelines.base.paths import default_home


def define_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["start", "stop"], help="start it now, or end it before its idle time is over"
    )
    parser.set_defaults(do=_host)


def _host(options: argparse.Namespace) -> None:
    from pipelines.base.forkserver import client as forkserver

    if options.action == "start":
        print(forkserver.ensure(default_home()))
    else:
        print("stopped" if forkserver.stop(default_home()) else "there was none")
