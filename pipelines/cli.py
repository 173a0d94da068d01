"""The command `viaduct`: one subcommand for each thing a user does, each with --help.

Only the standard library is imported until a command needs more, so that `viaduct list` answers at once. What the
commands do lives in pipelines.base, serving and dashboards; here are their flags, their output and exit codes:
0 done, 1 failed, 2 wrong usage, 3 finished but the model missed its bar, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Sequence

from pipelines.base import registry
from pipelines.base.paths import CHECKOUT, Paths, default_home
from pipelines.base.project import PROFILES, ProjectError, Settings, close_match
from pipelines.cli_run import define_compile, define_node, define_run, project_argument

PASSED_ON: dict[str, tuple[str, str]] = {
    # command: (module:function taking argv, help). The rooms own these flags.
    "serve": (
        "serving.main:main",
        "serve pushed models over gRPC and REST (flags of tensorflow_model_server)",
    ),
    "status": ("serving.client_cli:main_status", "versions and states of a served model"),
    "bench-serving": ("serving.bench:main", "load a running model server and report rate and latency"),
    "dashboard": ("dashboards.main:main", "browse runs, data, models and serving"),
    "export": ("dashboards.export:main", "one run as a self-contained HTML file"),
    "airflow": ("dags.control:main", "trigger and follow DAG runs on a running Airflow"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if arguments and arguments[0] in PASSED_ON:
        return _guarded(lambda: _pass_on(arguments[0], arguments[1:]))
    if arguments and not arguments[0].startswith("-") and arguments[0] not in _commands():
        print(f"viaduct: {close_match('Command', arguments[0], _commands())}", file=sys.stderr)
        return 2
    options = parser.parse_args(arguments)
    if not hasattr(options, "do"):
        parser.print_help()
        return 0
    return _guarded(lambda: options.do(options))


def _guarded(action: Callable[[], int | None]) -> int:
    # A reader that goes away (`viaduct runs | head`) ends the command, it is no error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        return action() or 0
    except ProjectError as error:
        print(f"viaduct: {error}", file=sys.stderr)
        log = getattr(error, "log", None)
        if log is not None:
            print(f"  log: {log}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _pass_on(command: str, argv: list[str]) -> int:
    import importlib

    module, _, function = PASSED_ON[command][0].partition(":")
    # `dags` is Airflow's folder, not an installed package: it is found beside this one.
    if str(CHECKOUT) not in sys.path:
        sys.path.append(str(CHECKOUT))
    if command == "serve" and argv and not argv[0].startswith("-"):
        argv = _serve_flags(argv)
    return getattr(importlib.import_module(module), function)(argv)


def _serve_flags(argv: list[str]) -> list[str]:
    """`viaduct serve card_fraud ...` is serving.main with that project's folder and default ports."""
    project = registry.get(argv[0])
    flags = [f"--model_name={project.name}", f"--model_base_path={Paths.of(project.name).serving}"]
    if not any(flag.startswith("--port") for flag in argv):
        flags.append("--port=8500")
    if not any(flag.startswith("--rest_api_port") for flag in argv):
        flags.append("--rest_api_port=8501")
    return flags + argv[1:]


def _commands() -> list[str]:
    return [*_DEFINED, *PASSED_ON]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viaduct",
        description="TFX pipelines from raw data to a blessed, served model.",
        epilog=f"HOME is {default_home()} (VIADUCT_HOME).",
    )
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (define, text) in _DEFINED.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        define(sub)
    for name, (_, text) in PASSED_ON.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


# ---- list, show -----------------------------------------------------------------------------------------


def _define_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(do=_list)


def _list(options: argparse.Namespace) -> None:
    cards = [registry.get(name) for name in registry.names()]
    if options.json:
        print(
            json.dumps([{"name": c.name, "title": c.title, "question": c.question} for c in cards], indent=1)
        )
        return
    width = max((len(card.name) for card in cards), default=0)
    for card in cards:
        print(f"{card.name:<{width}}  {card.question}")
        print(f"{'':<{width}}  {', '.join(v.name for v in card.variants)}")


def _define_show(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.set_defaults(do=_show)


def _show(options: argparse.Namespace) -> None:
    card = registry.get(options.project)
    print(f"{card.name}: {card.title}\n{card.question}\n\nModel: {card.model}")
    if card.to_beat:
        print(f"To beat: {card.to_beat}")
    print(
        f"Data: {card.data.title} ({card.data.size}; {card.data.licence})\n      {card.data.url or card.data.command}"
    )
    for profile in PROFILES:
        print(f"\nProfile {profile}:")
        for variant in card.variants:
            settings = Settings.of(card, variant.name, profile)
            print(f"  {variant.name}: {variant.about}")
            print(f"    bars: {', '.join(map(str, card.bars(profile, variant.name)))}")
            print(
                f"    parameters: {', '.join(f'{k}={v}' for k, v in settings.parameters.items()) or 'none'}"
            )


# ---- data -----------------------------------------------------------------------------------------------


def _define_data(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument(
        "--sample", type=int, metavar="ROWS", help="write a generated sample instead of fetching"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the sample (7)")
    parser.add_argument(
        "--spans",
        type=int,
        metavar="N",
        help="with --sample: N deliveries, span-0 and on, as the project's data",
    )
    parser.set_defaults(do=_data)


def _data(options: argparse.Namespace) -> None:
    from pipelines.base import data

    card, paths = registry.get(options.project), Paths.of(options.project)
    if options.sample is not None:
        if options.sample < 1:
            raise ProjectError(f"--sample is {options.sample}; expected a positive number of rows.")
        if options.spans is None:
            print(data.sample(card, paths, options.sample, options.seed))
        elif options.spans < 1:
            raise ProjectError(f"--spans is {options.spans}; expected a positive number of deliveries.")
        else:
            print(data.deliveries(card, paths, options.sample, options.spans, options.seed))
        return
    if options.spans is not None:
        raise ProjectError("--spans needs --sample ROWS: the official set is one delivery.")
    print(
        f"Fetching {card.data.title} ({card.data.size}; licence: {card.data.licence})\nfrom {card.data.url}",
        flush=True,
    )
    print(data.fetch(card, paths))


# ---- check, runs, lineage, predict, new -----------------------------------------------------------------


def _define_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help="all, if none is named")
    parser.set_defaults(do=_check)


def _check(options: argparse.Namespace) -> int:
    from pipelines.base import check

    chosen = [registry.get(name).name for name in options.projects] or registry.names()
    findings = [finding for name in chosen for finding in check.project(name)]
    for finding in findings:
        print(finding)
    print(f"{len(chosen)} projects, {len(findings)} findings")
    return 1 if findings else 0


def define_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", nargs="?", help="all, if none is named")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="per project (20)")
    parser.set_defaults(do=_runs)


def _runs(options: argparse.Namespace) -> None:
    import itertools
    import time
    from dataclasses import asdict

    from pipelines.base import run_record

    chosen = [registry.get(options.project).name] if options.project else registry.names()
    records = [
        r
        for name in chosen
        for r in itertools.islice(run_record.read_all(Paths.of(name)), max(0, options.last))
    ]
    if options.json:
        print(json.dumps([asdict(record) for record in records], indent=1))
        return
    if not records:
        print("No runs yet. `viaduct run card_fraud` makes one.")
    for record in records:
        state = "dead" if record.state == "running" and not record.alive() else record.state
        blessed = {True: "blessed", False: "not blessed", None: "-"}[record.blessed]
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started))
        took = f"{(record.ended or time.time()) - record.started:.0f} s"
        chosen_settings = f"{record.settings['variant']}/{record.settings['profile']}"
        print(
            f"{record.run_id:<44} {when} {took:>7}  {state:<9} {blessed:<11} {chosen_settings:<20} {record.pushed}"
        )


def _define_lineage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="PROJECT|VERSION", help="a project (its newest model) or a model version"
    )
    parser.add_argument("version", nargs="?", default="", help="a pushed version's number or a Model's id")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(do=_lineage)


def _lineage(options: argparse.Namespace) -> None:
    from pipelines.base import lineage

    project, version = options.model, options.version
    if project not in registry.names():
        owners = [name for name in registry.names() if (Paths.of(name).serving / project).is_dir()]
        if len(owners) != 1:
            raise ProjectError(
                f"{project!r} is no pushed model version; "
                + close_match("project", project, registry.names())
            )
        project, version = owners[0], project
    found = lineage.lineage(Paths.of(project), version)
    print(json.dumps(found, indent=1) if options.json else lineage.text(found))


def _define_predict(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument(
        "--sample",
        type=int,
        nargs="?",
        const=3,
        metavar="N",
        help="send N rows of the last evaluation split (3)",
    )
    parser.add_argument(
        "--json-inputs", metavar="JSON", help='inputs of the signature, e.g. \'{"text": ["good"]}\''
    )
    parser.add_argument(
        "--server", default="127.0.0.1:8500", help="host:port for gRPC, http://host:port for REST"
    )
    parser.add_argument("--signature", default="", help="serving_default, or serve_examples with --sample")
    parser.add_argument("--version", type=int, help="the newest, if none is named")
    parser.set_defaults(do=_predict)


def _predict(options: argparse.Namespace) -> int:
    from pipelines.base import answer

    return answer.predict(registry.get(options.project), Paths.of(options.project), options)


def _define_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="lower_snake_case, named for what is predicted")
    parser.set_defaults(do=_new)


def _new(options: argparse.Namespace) -> None:
    from pipelines.base import scaffold

    folder = scaffold.create(options.name)
    print(
        f"{folder} is a working project. Next:\n  viaduct run {options.name}\n  viaduct show {options.name}\n"
        f"  viaduct compile {options.name}    writes ir.json, which belongs to the project"
    )


def _define_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["start", "stop"], help="start it now, or end it before its idle time is over"
    )
    parser.set_defaults(do=_host)


def _host(options: argparse.Namespace) -> None:
    from pipelines.base import host_client

    if options.action == "start":
        print(host_client.ensure(default_home()))
    else:
        print("stopped" if host_client.stop(default_home()) else "there was none")


_DEFINED: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "list": (_define_list, "the projects and their questions"),
    "show": (_define_show, "a project's card: model, data, bars, parameters"),
    "data": (_define_data, "fetch a project's official data, or write a sample"),
    "run": (define_run, "run a project's pipeline on this machine"),
    "node": (define_node, "run one node in this process (for workers)"),
    "compile": (define_compile, "compile pipelines to their ir.json"),
    "check": (_define_check, "look for mistakes in projects before anything runs"),
    "runs": (define_runs, "the runs so far"),
    "lineage": (_define_lineage, "from a model back to its data"),
    "predict": (_define_predict, "ask a served model"),
    "new": (_define_new, "a new working project from the template"),
    "host": (_define_host, "start or stop the warm process that runs nodes"),
}

if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
