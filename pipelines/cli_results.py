"""The commands about what runs have made: `viaduct runs`, `lineage`, `predict`. Part of cli.py."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from pipelines import cli_output as output
from pipelines.base import production, registry
from pipelines.base.errors import ViaductError, close_match
from pipelines.base.paths import Paths
from pipelines.cli_arguments import MOST_VERSIONS, model_argument, number

if TYPE_CHECKING:
    from pipelines.base.run_record import RunRecord


def define_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", nargs="?", help="all, if none is named")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--last", type=number(1, "runs"), default=20, metavar="N", help="per project (20)")
    parser.set_defaults(do=_runs)


def _runs(options: argparse.Namespace) -> None:
    import itertools

    from pipelines.base import run_record

    chosen = [registry.get(options.project).name] if options.project else registry.names()
    records = [
        r for name in chosen for r in itertools.islice(run_record.read_all(Paths.of(name)), options.last)
    ]
    if options.json:
        print(json.dumps([record.plain() for record in records], indent=1))
        return
    if not records:
        print("No runs yet. `viaduct run card_fraud` makes one.")
    width = output.width()
    for record in records:
        print("\n".join(run_lines(record, width)))


def run_lines(record: RunRecord, width: int) -> list[str]:
    """A run in one line; in two or three where the terminal has no room for it (columns `width`)."""
    import time

    state = "dead" if record.state == "running" and not record.alive() else record.state
    blessed = {True: "blessed", False: "not blessed", None: "-"}[record.blessed]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started))
    took = f"{(record.ended or time.time()) - record.started:.0f} s"
    chosen = f"{record.settings['variant']}/{record.settings['profile']}"
    line = f"{record.run_id:<44} {when} {took:>7}  {state:<9} {blessed:<11} {chosen:<20} {record.pushed}"
    if len(line.rstrip()) <= width:
        return [line]
    facts = f"  {when}  {took}  {blessed}  {chosen}"
    return [f"{record.run_id}  {state}", facts, *([f"  {record.pushed}"] if record.pushed else [])]


def define_lineage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="PROJECT|NAME|VERSION",
        help="a project (its newest model), the name of a served model (card_fraud.sample), or a version",
    )
    parser.add_argument("version", nargs="?", default="", help="a pushed version's number or a Model's id")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(do=_lineage)


def _lineage(options: argparse.Namespace) -> None:
    from pipelines.base import lineage

    name, version = options.model, options.version
    if production.project_of(name) not in registry.names():
        every = [n for project in registry.names() for n in production.pushed_names(Paths.of(project))]
        owners = [n for n in every if (Paths.of(n).serving / name).is_dir()]
        if len(owners) != 1:
            raise ViaductError(
                f"{name!r} is no pushed model version; " + close_match("project", name, registry.names())
                if not owners
                else f"Version {name} was pushed to {', '.join(owners)}; name one: viaduct lineage {owners[0]} {name}"
            )
        name, version = owners[0], name
    card, served = model_argument(name)
    ancestry = lineage.lineage(Paths.of(card.name), version, served if served != card.name else "")
    print(json.dumps(ancestry, indent=1) if options.json else lineage.text(ancestry))


def define_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", help="a served model: a project, or a name with its kind, as card_fraud.sample"
    )
    parser.add_argument(
        "--sample",
        type=number(1, "rows"),
        nargs="?",
        const=3,
        metavar="N",
        help="send N rows of the last evaluation split (3)",
    )
    parser.add_argument(
        "--row", metavar="JSON", help='raw features by name, e.g. \'{"age": 39, "job": null}\''
    )
    parser.add_argument(
        "--rows", metavar="FILE", help="the same from a .csv file, or from a file with a JSON object a line"
    )
    parser.add_argument(
        "--json-inputs", metavar="JSON", help='inputs of the signature, e.g. \'{"text": ["good"]}\''
    )
    parser.add_argument(
        "--server", default="127.0.0.1:8500", help="host:port for gRPC, http://host:port for REST"
    )
    parser.add_argument("--signature", default="", help="serving_default, or serve_examples with --sample")
    parser.add_argument("--version", type=number(0, "", MOST_VERSIONS), help="the newest, if none is named")
    parser.add_argument(
        "--wait", type=float, metavar="SECONDS", help="wait so long for the server and the model to be there"
    )
    parser.set_defaults(do=_predict)


def _predict(options: argparse.Namespace) -> int:
    from pipelines.base import answer

    card, name = model_argument(options.model)
    return answer.predict(card, name, Paths.of(card.name), options)
