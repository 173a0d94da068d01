"""The commands that run things: `viaduct run`, `node`, `compile`, and the flags that make up a run's settings.

Part of cli.py; imports what is heavy only when a command runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from pipelines.base import registry
from pipelines.base.paths import Paths
from pipelines.base.project import Project, ProjectError, Settings

NOT_BLESSED = 3


def define_run(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    _settings_arguments(parser)
    parser.add_argument(
        "--parallel", type=int, default=0, metavar="N", help="nodes at once (2 to 4, by cores)"
    )
    parser.add_argument(
        "--force", action="store_true", help="run even if nothing has changed since the last run"
    )
    parser.add_argument(
        "--no-host", action="store_true", help="one fresh process per node instead of a warm host"
    )
    parser.add_argument("--plain", action="store_true", help="plain lines instead of the live table")
    parser.add_argument(
        "--predict", action="store_true", help="then serve the model once and ask it over gRPC"
    )
    parser.set_defaults(do=_run)


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from pipelines.base import data, live, run_record, runner

    card, paths = registry.get(options.project), Paths.of(options.project)
    settings = _settings(card, options)
    console = Console()
    view = live.PlainView(console) if options.plain else live.view_for(console)
    with view:
        raw = data.locate(card, paths, settings, view.say)
        settings = Settings.from_json(json.dumps({**json.loads(settings.to_json()), "data": str(raw)}))
        mark = run_record.fingerprint(paths, settings, raw)
        current = None if options.force else runner.up_to_date(paths, mark)
        if current is not None:
            view.say(
                f"Nothing has changed since {current.run_id}; its result stands (--force runs it again)."
            )
            record = current
        else:
            parallel = options.parallel or runner.DEFAULT_PARALLEL
            record = runner.run(paths, settings, mark, view, parallel, use_host=not options.no_host)
    for line in live.summary(card, record, paths.runs / record.run_id):
        console.print(line, highlight=False, soft_wrap=True)
    code = {"succeeded": 0, "cancelled": 130}.get(record.state, 1)
    if code == 0 and record.blessed is False:
        code = NOT_BLESSED
    if options.predict and code == 0:
        from pipelines.base import answer

        code = answer.serve_once(card, paths, record, console.print)
    return code


def define_node(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("node", help="the node's id, e.g. Trainer")
    parser.add_argument(
        "--run-id", required=True, help="the run it belongs to; begins with the project's name"
    )
    parser.add_argument("--ir", type=Path, help="compiled pipeline (default: the run's, else compiled now)")
    _settings_arguments(parser)
    parser.set_defaults(do=_node)


def _node(options: argparse.Namespace) -> None:
    """One node in this very process: what Kubernetes and Celery workers call."""
    from pipelines.base import data, node

    card, paths = registry.get(options.project), Paths.of(options.project)
    if not options.run_id.startswith(card.name):
        raise ProjectError(f"--run-id is {options.run_id!r}; expected one that begins with {card.name!r}.")
    file = options.ir or paths.runs / options.run_id / "ir.json"
    if not file.exists():
        settings = _settings(card, options)
        raw = data.locate(card, paths, settings, lambda text: print(text, file=sys.stderr))
        settings = Settings.from_json(json.dumps({**json.loads(settings.to_json()), "data": str(raw)}))
        file.parent.mkdir(parents=True, exist_ok=True)
        node.compile_to(card.name, settings.to_json(), str(paths.home), str(file))
    print(json.dumps(node.run_node(str(file), options.node, options.run_id, str(paths.home)), indent=1))


def define_compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help="all, if none is named")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed ir.json instead of writing it"
    )
    parser.set_defaults(do=_compile)


def _compile(options: argparse.Namespace) -> int:
    from pipelines.base import host_client
    from pipelines.base.paths import default_home

    chosen = [registry.get(name).name for name in options.projects] or registry.names()
    home = default_home()
    path = host_client.ensure(home)
    request = host_client.Request(
        "pipelines.base.golden:update_all",
        {"projects": chosen, "check": options.check},
        home / "host" / "compile.log",
        home / "host" / f"compile.{os.getpid()}.json",
        dict(os.environ),
    )
    same = host_client.Call(path, request).wait()
    request.result.unlink(missing_ok=True)
    stale = [name for name in chosen if not same[name]]
    for name in chosen:
        state = "same as" if name not in stale else "differs from" if options.check else "wrote"
        print(f"{name}: {state} ir.json")
    return 1 if options.check and stale else 0


def _settings_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--variant", help="a named set of hyper-parameters (the project's first)")
    parser.add_argument("--profile", default="quick", help="quick or full (quick)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a hyper-parameter"
    )
    parser.add_argument(
        "--data", default="", metavar="PATH", help="raw data (HOME/data/PROJECT, else a sample)"
    )
    parser.add_argument("--span", type=int, help="one delivery of the data (the latest)")
    parser.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="passed to Beam, e.g. --beam-arg=--runner=...",
    )


def _settings(card: Project, options: argparse.Namespace) -> Settings:
    overrides = {}
    for text in options.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise ProjectError(f"--set is {text!r}; expected KEY=VALUE.")
        overrides[key] = value
    given = str(Path(options.data).expanduser().absolute()) if options.data else ""
    return Settings.of(
        card,
        options.variant,
        options.profile,
        overrides,
        data=given,
        span=options.span,
        beam_args=tuple(options.beam_arg),
    )


def project_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", help="a project; `viaduct list` names them")
