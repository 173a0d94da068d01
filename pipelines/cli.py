"""The command `viaduct`: one subcommand for each thing a user does, each with --help.

Only the standard library is imported until a command needs more, so that `viaduct list` answers at once. What the
commands do lives in pipelines.base, serving and dashboards, their flags and output in cli_*.py beside this file; here
are the table of them and their exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished but the model missed its bar,
130 interrupted, 141 whoever read the output went away.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from pipelines import cli_output as output
from pipelines.base import production
from pipelines.base.errors import ViaductError, close_match
from pipelines.base.paths import CHECKOUT, Paths, default_home, metadata_url
from pipelines.cli_arguments import model_argument
from pipelines.cli_card import define_card
from pipelines.cli_host import define_host
from pipelines.cli_house import define_du, define_gc, define_pin, define_unpin
from pipelines.cli_play import define_play
from pipelines.cli_projects import define_check, define_data, define_list, define_new, define_show
from pipelines.cli_results import define_lineage, define_predict, define_runs
from pipelines.cli_run import define_compile, define_node, define_run
from pipelines.cli_schema import define_schema, define_validate
from pipelines.cli_tune import define_tune
from pipelines.cli_watch import define_watch
from pipelines.cli_workspace import define_init

PASSED_ON: dict[str, tuple[str, str]] = {
    # command: (module:function taking argv, help). The rooms own these flags.
    "serve": (
        "serving.main:main",
        "serve pushed models over gRPC and REST (flags of tensorflow_model_server)",
    ),
    "status": ("serving.client.cli:main_status", "versions and states of a served model"),
    "release": (
        "serving.release.command:main",
        "give a pushed version its traffic step by step, or take it away",
    ),
    "ab": ("serving.ab.command:main", "test two versions on what users did"),
    "feedback": ("serving.ab.feedback_command:main", "take what users did, by request id, from a file"),
    "bench-serving": ("serving.bench.cli:main", "load a running model server and report rate and latency"),
    "score": ("bridges.cli:main_score", "score a table with a pushed model, on Spark"),
    "stream": ("bridges.cli:main_stream", "score a stream of files into a database, each event once"),
    "dashboard": ("dashboards.main:main", "browse runs, data, models and serving"),
    "export": ("dashboards.pages.export:main", "one run as a self-contained HTML file"),
    "airflow": ("dags.control:main", "trigger and follow DAG runs on a running Airflow"),
}

# What these do they do on the folder of a served model.
ON_FOLDER = ("release", "ab", "feedback")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _command(arguments))


def _command(arguments: list[str]) -> int | None:
    if arguments and arguments[0] in PASSED_ON:
        return _pass_on(arguments[0], arguments[1:])
    if arguments and not arguments[0].startswith("-") and arguments[0] not in _commands():
        print(f"viaduct: {close_match('Command', arguments[0], _commands())}", file=sys.stderr)
        return 2
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "do"):
        print(parser.format_help(), end="")
        return 0
    done: int | None = options.do(options)
    return done


def _guarded(action: Callable[[], int | None]) -> int:
    """The exit code of a command, whose errors for people are printed without a traceback."""
    with output.ended_by_sigterm(), output.flushed() as written:
        try:
            written.code = action() or 0
        except ViaductError as error:
            print(f"viaduct: {error}", file=sys.stderr)
            log = getattr(error, "log", None)
            if log is not None:
                print(f"  log: {log}", file=sys.stderr)
            written.code = 1
        except output.ReaderGone:
            written.code = output.READER_GONE
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            written.code = 130
    return written.code


def _pass_on(command: str, argv: list[str]) -> int:
    import importlib

    module, _, function = PASSED_ON[command][0].partition(":")
    # `dags` is Airflow's folder, not an installed package: it is found beside this one.
    if str(CHECKOUT) not in sys.path:
        sys.path.append(str(CHECKOUT))
    if command == "serve" and argv and not argv[0].startswith("-"):
        argv = _serve_flags(argv)
    call: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    if command in ON_FOLDER and argv and not argv[0].startswith("-") and "/" not in argv[0]:
        return _on_folder(call, *argv)
    return call(argv)


def _on_folder(call: Callable[[list[str]], int], model: str, *argv: str) -> int:
    """`viaduct release card_fraud[.sample] ...` is serving.release.command on that folder, recorded in ML Metadata."""
    card, name = model_argument(model)
    paths = Paths.of(card.name)
    code = call([str(paths.served(name)), *argv])
    if code == 0 and any(flag.startswith("--") and flag not in ("--status", "--json") for flag in argv):
        from pipelines.base import metadata, releases

        releases.record(metadata.store(metadata_url(paths.home)), paths.project)
    return code


def _serve_flags(argv: list[str]) -> list[str]:
    """`viaduct serve card_fraud[.sample] ...` is serving.main with the folder of that name and default ports."""
    card, name = model_argument(argv[0])
    paths = Paths.of(card.name)
    there = production.pushed_names(paths)
    if there and name not in there:
        raise ViaductError(
            f"Nothing is pushed to {name} yet ({production.TAKES}). There is: {', '.join(there)}. Do: viaduct serve "
            f"{there[0]}"
        )
    if not there:
        print(
            f"viaduct: nothing is pushed to {name} yet; the server waits for a first version. Do: viaduct run "
            f"{card.name}",
            file=sys.stderr,
        )
    if name == card.name and (old := production.left_by_earlier_releases(card, paths)):
        print(f"viaduct: {old}", file=sys.stderr)
    flags = [f"--model_name={name}", f"--model_base_path={paths.served(name)}"]
    if not any(flag.startswith("--port") for flag in argv):
        flags.append("--port=8500")
    if not any(flag.startswith("--rest_api_port") for flag in argv):
        flags.append("--rest_api_port=8501")
    if (card.watch or card.rehearsal) and not any(flag.startswith("--request_log_dir") for flag in argv):
        flags.append(f"--request_log_dir={paths.request_logs}")
    return flags + argv[1:]


def _version() -> str:
    """Of the distribution; a checkout that was never installed is said to be one."""
    from importlib import metadata

    try:
        return metadata.version("tfx-viaduct")
    except metadata.PackageNotFoundError:
        return f"(a checkout in {CHECKOUT})"


def _commands() -> list[str]:
    return [*DEFINED, *PASSED_ON]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viaduct",
        description="TFX pipelines from raw data to a blessed, served model.",
        epilog=f"HOME is {default_home()} (VIADUCT_HOME).",
    )
    parser.add_argument("--version", action="version", version=f"viaduct {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (define, text) in DEFINED.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        define(sub)
    for name, (_, text) in PASSED_ON.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


DEFINED: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "init": (define_init, "a folder of your own for projects, with lock, tests and CI"),
    "list": (define_list, "the projects and their questions"),
    "show": (define_show, "a project's card: model, data, bars, parameters"),
    "data": (define_data, "fetch a project's official data, or write a sample"),
    "run": (define_run, "run a project's pipeline on this machine"),
    "tune": (define_tune, "look for better hyper-parameters in the space of a project's card"),
    "node": (define_node, "run one node in this process (for workers)"),
    "compile": (define_compile, "compile pipelines to their ir.json"),
    "card": (define_card, "the table of a run's figures in a project's README: show, write, check"),
    "check": (define_check, "look for mistakes in projects before anything runs"),
    "schema": (
        define_schema,
        "what a project's data may be: show, compare with the data, accept a suggestion",
    ),
    "validate": (define_validate, "hold data against a project's schema and label, without a run"),
    "runs": (define_runs, "the runs so far"),
    "lineage": (define_lineage, "from a model back to its data"),
    "predict": (define_predict, "ask a served model"),
    "play": (define_play, "let a served agent play, and write a GIF of it"),
    "watch": (
        define_watch,
        "hold what a served model is asked against what it learnt from; train anew when due",
    ),
    "new": (define_new, "a new working project from the template"),
    "du": (define_du, "what takes the space under HOME, by project and kind"),
    "gc": (define_gc, "what may go of old runs' files and why the rest stays; take it away, put it back"),
    "pin": (define_pin, "keep a run and all that it was made of"),
    "unpin": (define_unpin, "keep a run no longer for its own sake"),
    "host": (define_host, "start or stop the warm process that runs nodes"),
}

if __name__ == "__main__":
    sys.exit(main())
