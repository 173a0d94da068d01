"""`viaduct airflow ...`: start and stop Airflow here, trigger DAGs and follow them, say that data has arrived.

Flags, output and exit codes only: services.py starts things, rest.py talks, follow.py watches. Exit codes are those
of `viaduct run`: 0 done, 1 failed, 2 wrong usage, 3 the model missed its bar.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import urllib.parse
from collections.abc import Sequence

from dags import spans
from pipelines.base import registry
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.paths import Paths
from pipelines.base.project import ON_DATA, PROFILES, Project
from pipelines.base.settings import Settings

NOT_BLESSED = 3
SERVICES = ("scheduler", "dag_processor", "triggerer")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not hasattr(options, "do"):
        parser.print_help()
        return 0
    return options.do(options) or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="viaduct airflow", description="Airflow on this machine, or elsewhere."
    )
    commands = parser.add_subparsers(metavar="COMMAND")
    add = commands.add_parser
    up = add("up", help="start PostgreSQL and Airflow's services (make airflow)")
    up.set_defaults(do=_up)
    down = add("down", help="end all of it (make airflow-stop)")
    down.set_defaults(do=_down)
    status = add("status", help="what runs, and where")
    status.set_defaults(do=_status)
    _define_trigger(add("trigger", help="run a project's DAG, with --wait as a live table"))
    _define_deliver(add("deliver", help="say that a new span of a project has arrived"))
    cli = add(
        "cli", help="Airflow's own command in its environment, e.g. cli backfill create ...", add_help=False
    )
    cli.add_argument("arguments", nargs=argparse.REMAINDER)
    cli.set_defaults(do=_cli)
    return parser


def _up(options: argparse.Namespace) -> None:
    from dags import services
    from dags.installation import ADMIN, Installation

    installation, began = Installation.of(), time.monotonic()
    services.up(installation, lambda text: print(text, flush=True))
    print(f"Airflow: {installation.url} (healthy after {time.monotonic() - began:.0f} s)")
    print(f"User {ADMIN}, password in {installation.folder / 'admin-password'}")
    print("Next: viaduct airflow trigger card_fraud --sample --wait")


def _down(options: argparse.Namespace) -> None:
    from dags import services
    from dags.installation import Installation

    ended = services.down(Installation.of())
    print(f"Ended: {', '.join(ended)}" if ended else "Nothing was running.")


def _status(options: argparse.Namespace) -> int:
    from dags.installation import Installation
    from dags.rest import Api

    api = Api.of(Installation.of())
    health = api.health()
    print(f"Airflow: {api.url}")
    for name, state in health.items():
        print(f"  {name:<14} {state.get('status') or 'unknown'}")
    return 0 if all(health.get(name, {}).get("status") == "healthy" for name in SERVICES) else 1


def _define_trigger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", help="a project; `viaduct list` names them")
    parser.add_argument("--variant", help="a named set of hyper-parameters (the project's first)")
    parser.add_argument("--profile", default="quick", choices=PROFILES)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a hyper-parameter"
    )
    parser.add_argument("--data", default="", metavar="PATH", help="raw data, as the workers see it")
    parser.add_argument(
        "--sample", action="store_true", help="where there is no data, train on a made-up sample"
    )
    parser.add_argument("--span", type=int, help="one delivery of the data (the latest)")
    parser.add_argument("--beam-arg", action="append", default=[], metavar="ARG", help="passed to Beam")
    parser.add_argument("--run-id", help="Airflow's run id (Airflow makes one up)")
    parser.add_argument("--wait", action="store_true", help="follow the run until it ends")
    parser.add_argument("--plain", action="store_true", help="plain lines instead of the live table")
    parser.set_defaults(do=_trigger)


def _trigger(options: argparse.Namespace) -> int:
    from dags.installation import Installation
    from dags.rest import URL_VARIABLE, Api

    card = registry.get(options.project)
    conf = conf_of(card, options)
    api = Api.of(Installation.of())
    if not os.environ.get(URL_VARIABLE) and options.span is None:
        # The workers' HOME is this one, so what they would find can be said at once.
        nothing = spans.nothing_to_train_on(Paths.of(card.name), options.data, sample=options.sample)
        if nothing:
            raise ProjectError(nothing)
    # Unpausing would start the schedule's run of the last date beside this one, so this one takes its date. Where a
    # date stands for a delivery of its own, that run is needed: it trains on it, however late it comes.
    due = {} if card.spans == "date" else api.due(card.name)
    run_id = api.trigger(card.name, conf, options.run_id, due)
    if api.unpause(card.name):
        print(f"{card.name} was paused; its schedule ({card.schedule or 'none'}) is on from now on.")
    print(
        f"{card.name}: run {run_id}\n{api.url}/dags/{card.name}/runs/{urllib.parse.quote(run_id)}", flush=True
    )
    return _follow(api, card, run_id, options.plain) if options.wait else 0


def conf_of(card: Project, options: argparse.Namespace) -> dict[str, object]:
    """The DAG params for the flags given; what is wrong fails here, before Airflow is asked."""
    overrides = {}
    for text in options.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise ProjectError(f"--set is {text!r}; expected KEY=VALUE.")
        overrides[key] = value
    settings = Settings.of(card, options.variant, options.profile, overrides, span=options.span)
    return {
        "variant": settings.variant,
        "profile": settings.profile,
        "parameters": {key: settings.parameters[key] for key in overrides},
        "data": options.data or None,
        "sample": options.sample,
        "span": options.span,
        "beam_args": options.beam_arg,
    }


def _follow(api: object, card: Project, run_id: str, plain: bool) -> int:
    from rich.console import Console

    from dags.follow import follow
    from pipelines.base import live
    from pipelines.base.run_folder import RunFolder

    console = Console()
    with live.PlainView(console) if plain else live.view_for(console) as view:
        record = follow(api, card.name, run_id, view)  # type: ignore[arg-type]
    for line in live.summary(card, record, RunFolder(Paths.of(card.name), record.run_id).path):
        console.print(line, highlight=False, soft_wrap=True)
    if record.state != "succeeded":
        return 1
    return NOT_BLESSED if record.blessed is False else 0


def _define_deliver(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", help="a project whose card has spans")
    parser.add_argument("span", type=int, help="the number of the span that has arrived")
    parser.set_defaults(do=_deliver)


def _deliver(options: argparse.Namespace) -> None:
    from dags.installation import Installation
    from dags.rest import Api

    card = registry.get(options.project)
    if card.spans == "none":
        raise ProjectError(f"{card.name} has no spans; its card says spans='none'.")
    if card.schedule != ON_DATA:
        raise ProjectError(
            f"{card.name} does not start on data: its card says schedule={card.schedule!r}, deliveries are for "
            f"schedule={ON_DATA!r}. Start it with: viaduct airflow trigger {card.name} --span {options.span}"
        )
    Api.of(Installation.of()).deliver(f"viaduct://{card.name}/spans", {"span": options.span})
    print(f"{card.name}: span {options.span} has arrived")


def _cli(options: argparse.Namespace) -> None:
    from dags.installation import Installation, require_python

    installation = Installation.of().require()
    require_python()
    os.execvpe("airflow", ["airflow", *options.arguments], installation.environment())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ViaductError as error:
        print(f"viaduct airflow: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
