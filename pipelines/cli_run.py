"""The commands that run things: `viaduct run`, `node`, `compile`, and the flags that make up a run's settings.

Part of cli.py; imports what is heavy only when a command runs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import cli_output as output
from pipelines.base import home, production, registry
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths, default_home, project_folder
from pipelines.base.project import Project
from pipelines.base.settings import Settings
from pipelines.cli_arguments import csv_arguments, csv_reading, number, parallel_argument, project_argument

if TYPE_CHECKING:
    from pipelines.base import answer
    from pipelines.base.run_record import RunRecord
    from pipelines.base.runner import View

NOT_BLESSED = 3


def define_run(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    settings_arguments(parser)
    parallel_argument(parser, "nodes", "2 to 4")
    parser.add_argument(
        "--force", action="store_true", help="run even if nothing has changed since the last run"
    )
    parser.add_argument(
        "--no-host", action="store_true", help="one fresh process per node instead of a warm host"
    )
    parser.add_argument("--plain", action="store_true", help="plain lines instead of the live table")
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="with the parameters that `viaduct tune` chose; --set goes before them",
    )
    parser.add_argument(
        "--predict", action="store_true", help="then serve the model once and ask it over gRPC"
    )
    parser.set_defaults(do=_run)


def _run(options: argparse.Namespace) -> int:
    from pipelines.base import answer, check, data, live, runner
    from pipelines.base.forkserver import client

    check.refuse(registry.known(options.project))
    card, paths = registry.get(options.project), Paths.of(options.project)
    settings = run_settings(card, options)
    if settings.engine:
        from bridges.spark import session

        session.check(settings.engine)
    home.make(paths.home)
    console = output.console()
    view = live.PlainView(console) if options.plain else live.view_for(console)
    server: answer.EarlyServer | None = None
    with contextlib.ExitStack() as ended:
        if not options.no_host:
            ended.enter_context(client.beginning(paths.home))
        with view:
            raw = data.locate(card, paths, settings, view.say)
            settings = dataclasses.replace(settings, data=str(raw))
            if options.tuned:
                from pipelines.base.tuning import choice

                settings, told = choice.applied(card, paths, settings, said(options))
                view.say(told)
            if options.predict:
                server = ended.enter_context(answer.EarlyServer(card, paths, settings))
            how: dict[str, Any] = {
                "parallel": options.parallel or runner.DEFAULT_PARALLEL,
                "make_caller": runner.fresh if options.no_host else runner.warm,
            }
            record = run_alone(card, paths, settings, raw, view, again=options.force, **how)
        for line in live.summary(card, record, paths.runs / record.run_id):
            console.print(line, highlight=False, soft_wrap=True)
        if old := production.left_by_earlier_releases(card, paths):
            console.print(f"  {old}", highlight=False, markup=False, soft_wrap=True)
        if console.quiet:
            # Whoever read went away, which has cancelled the run.
            return output.READER_GONE
        code = {"succeeded": 0, "cancelled": 130}.get(record.state, 1)
        if code == 0 and record.blessed is False:
            code = NOT_BLESSED
        return server.ask(paths, record, console.print) if server and code == 0 else code


def run_alone(
    card: Project,
    paths: Paths,
    settings: Settings,
    raw: Path,
    view: View,
    *,
    again: bool,
    what: str = "run",
    **how: Any,
) -> RunRecord:
    """The record of the run, after any equal one that is under way; of the last one where nothing has changed since and
    `again` does not ask. `how` is `runner.run`'s."""
    from pipelines.base import run_folder, run_record, runner

    mark = run_record.fingerprint(paths, settings, raw)
    waiting = f"The same {what} is under way already; waiting for it to end ..."
    with run_folder.alone(paths, mark, lambda: view.say(waiting)):
        record = None if again else runner.up_to_date(paths, mark)
        if record is not None:
            view.say(f"Nothing has changed since {record.run_id}; its result stands (--force runs it again).")
            return record
        return runner.run(paths, settings, mark, view, limit_s=card.node_hours * 3600, **how)


def define_node(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("node", help="the node's id, e.g. Trainer")
    parser.add_argument(
        "--run-id", required=True, help="the run it belongs to; begins with the project's name"
    )
    parser.add_argument("--ir", type=Path, help="compiled pipeline (default: the run's, else compiled now)")
    settings_arguments(parser)
    parser.set_defaults(do=_node)


def _node(options: argparse.Namespace) -> None:
    """One node in this very process: what Kubernetes and Celery workers call."""
    from pipelines.base import data, jobs, leftovers, node

    card, paths = registry.get(options.project), Paths.of(options.project)
    if not options.run_id.startswith(card.name):
        raise ViaductError(f"--run-id is {options.run_id!r}; expected one that begins with {card.name!r}.")
    home.make(paths.home)
    file = options.ir or paths.runs / options.run_id / "ir.json"
    if not file.exists():
        settings = run_settings(card, options)
        raw = data.locate(card, paths, settings, lambda text: print(text, file=sys.stderr))
        settings = dataclasses.replace(settings, data=str(raw))
        file.parent.mkdir(parents=True, exist_ok=True)
        jobs.compile_to(card.name, settings.to_json(), str(paths.home), str(file))
    with leftovers.temporary_folder():
        summary = node.run_node(str(file), options.node, options.run_id, str(paths.home))
    print(json.dumps(summary, indent=1))


def compile_projects(chosen: list[str], check: bool) -> dict[str, bool]:
    """{project: whether its ir.json was what its code compiles to}; writes those that were not, unless `check`."""
    from pipelines.base.forkserver import client as forkserver

    folder = default_home()
    path = forkserver.ensure(folder)
    request = forkserver.Request(
        "pipelines.base.golden:update_all",
        {"projects": chosen, "check": check},
        folder / "host" / "compile.log",
        folder / "host" / f"compile.{os.getpid()}.json",
        dict(os.environ),
    )
    same: dict[str, bool] = forkserver.Call(path, request).wait()
    request.result.unlink(missing_ok=True)
    return same


def define_compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help="all, if none is named")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed ir.json instead of writing it"
    )
    parser.set_defaults(do=_compile)


def _compile(options: argparse.Namespace) -> int:
    chosen = [registry.get(name).name for name in options.projects] or registry.own_names()
    same = compile_projects(chosen, options.check)
    stale = [name for name in chosen if not same[name]]
    for name in chosen:
        state = "same as" if name not in stale else "differs from" if options.check else "wrote"
        print(f"{name}: {state} ir.json")
    return 1 if options.check and stale else 0


def settings_arguments(parser: argparse.ArgumentParser, *, data: bool = True) -> None:
    """The flags that `run_settings` reads; without `data` where that is an argument of the command's own."""
    parser.add_argument("--variant", help="a named set of hyper-parameters (the project's first)")
    parser.add_argument("--profile", default="quick", help="quick or full (quick)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a hyper-parameter"
    )
    if data:
        parser.add_argument(
            "--data",
            default="",
            metavar="PATH",
            help="raw data (HOME/data/PROJECT, else a sample), or postgresql://USER@HOST/DATABASE with --query",
        )
        parser.add_argument("--query", default="", metavar="FILE", help="the rows, as SQL in a file")
    else:
        parser.set_defaults(query="")
    parser.add_argument("--span", type=number(0, ""), help="one delivery of the data (the latest)")
    parser.add_argument(
        "--beam-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="passed to Beam, e.g. --beam-arg=--runner=...",
    )
    parser.add_argument(
        "--spark", default="", metavar="URL", help="train on a Spark cluster: spark://HOST:7077"
    )
    parser.add_argument(
        "--workers", type=number(1, ""), default=None, metavar="N", help="how many train together there (2)"
    )
    parser.add_argument(
        "--engine",
        default="",
        metavar="spark",
        help="make tables with Spark: spark (on this machine) or spark://HOST:7077",
    )
    csv_arguments(parser)


def run_settings(card: Project, options: argparse.Namespace) -> Settings:
    """The settings that were asked for. Raises ViaductError, ProjectError for what makes no sense."""
    return Settings.of(
        card,
        options.variant,
        options.profile,
        said(options),
        _csv(card, options),
        data=_data(card, options),
        span=options.span,
        beam_args=tuple(options.beam_arg),
        **_spark(card, options),
        engine=_engine(card, options),
    )


def said(options: argparse.Namespace) -> dict[str, str]:
    """What `--set` said, by parameter."""
    overrides = {}
    for text in options.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise ViaductError(f"--set is {text!r}; expected KEY=VALUE.")
        overrides[key] = value
    return overrides


def _spark(card: Project, options: argparse.Namespace) -> dict[str, Any]:
    """The cluster to train on; refused where the project's training cannot be shared."""
    if not options.spark:
        if options.workers is not None:
            raise ViaductError(f"--workers {options.workers} needs --spark spark://HOST:7077.")
        return {}
    text = (project_folder(card.name) / "model.py").read_text(encoding="utf-8")
    if "training.fit(" not in text:
        raise ViaductError(
            f"--spark has no meaning for {card.name}: its model.py does not train by training.fit, whose steps workers "
            "can share."
        )
    return {"spark": options.spark, "workers": options.workers or 2}


def _engine(card: Project, options: argparse.Namespace) -> str:
    """The Spark master of `--engine`; refused where the project's pipeline makes nothing there."""
    if not options.engine:
        return ""
    text = (project_folder(card.name) / "pipeline.py").read_text(encoding="utf-8")
    if "settings.engine" not in text:
        raise ViaductError(
            f"--engine has no meaning for {card.name}: its pipeline.py makes no table on Spark."
        )
    if options.engine == "spark":
        return "local[*]"
    if not options.engine.startswith("spark://"):
        raise ViaductError(f"--engine is {options.engine!r}; expected spark or spark://HOST:7077.")
    return str(options.engine)


def _csv(card: Project, options: argparse.Namespace) -> dict[str, Any]:
    """What was said of CSV files; refused where the project's pipeline would not hear it."""
    said = csv_reading(options)
    text = (project_folder(card.name) / "pipeline.py").read_text(encoding="utf-8")
    if said and not any(call in text for call in ("csv_options(", "table_example_gen(")):
        raise ViaductError(
            f"--csv-... has no meaning for {card.name}: its pipeline.py gives csv_options(settings) to no "
            "ArrowExampleGen."
        )
    return said


def _data(card: Project, options: argparse.Namespace) -> str:
    """The folder or file of `--data`; for a database the folder that stands for its rows."""
    if "://" in options.data:
        from pipelines.base import data

        return str(data.in_warehouse(Paths.of(card.name), options.data, options.query, options.span))
    if options.query:
        raise ViaductError(
            f"--query needs --data postgresql://USER@HOST/DATABASE; got --data {options.data!r}."
        )
    return str(Path(options.data).expanduser().absolute()) if options.data else ""
