"""The commands about projects: `viaduct list`, `show`, `data`, `check`, `new`. Part of cli.py."""

from __future__ import annotations

import argparse
import json

from pipelines.base import home, registry
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths
from pipelines.base.project import PROFILES
from pipelines.base.settings import Settings
from pipelines.cli_arguments import MOST_SEEDS, number, project_argument

TASKS = ("binary", "multiclass", "regression")


def define_list(parser: argparse.ArgumentParser) -> None:
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


def define_show(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.set_defaults(do=_show)


def _show(options: argparse.Namespace) -> None:
    card = registry.get(options.project)
    print(f"{card.name}: {card.title}\n{card.question}\n\nModel: {card.model}")
    if card.to_beat:
        print(f"To beat: {card.to_beat}")
    for metric, rival in card.rivals.items():
        print(f"Rival on the same rows: {rival} ({metric})")
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


def define_data(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument(
        "--sample",
        type=number(1, "rows"),
        metavar="ROWS",
        help="write a generated sample instead of fetching",
    )
    parser.add_argument("--seed", type=number(0, "", MOST_SEEDS), default=7, help="of the sample (7)")
    parser.add_argument(
        "--spans",
        type=number(1, "deliveries"),
        metavar="N",
        help="with --sample: N deliveries, span-0 and on, as the project's data",
    )
    parser.set_defaults(do=_data)


def _data(options: argparse.Namespace) -> None:
    from pipelines.base import data

    card, paths = registry.get(options.project), Paths.of(options.project)
    if options.spans is not None and options.sample is None:
        raise ViaductError("--spans needs --sample ROWS: the official set is one delivery.")
    home.make(paths.home)
    if options.sample is not None:
        if options.spans is None:
            print(data.sample(card, paths, options.sample, options.seed))
        else:
            print(data.deliveries(card, paths, options.sample, options.spans, options.seed))
        return
    print(
        f"Fetching {card.data.title} ({card.data.size}; licence: {card.data.licence})\nfrom {card.data.url}",
        flush=True,
    )
    print(data.fetch(card, paths))


def define_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help="all, if none is named")
    parser.set_defaults(do=_check)


def _check(options: argparse.Namespace) -> int:
    from pipelines.base import check

    chosen = [registry.known(name) for name in options.projects] or registry.own_names()
    findings = [finding for name in chosen for finding in check.project(name)]
    for finding in findings:
        print(finding)
    print(f"{len(chosen)} projects, {len(findings)} findings")
    return 1 if findings else 0


def define_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="lower_snake_case, named for what is predicted")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="your CSV or Parquet file, or a folder of them: a project about it; or postgresql://USER@HOST/DATABASE "
        "with --query",
    )
    parser.add_argument("--query", default="", metavar="FILE", help="with --data: the rows, as SQL in a file")
    parser.add_argument(
        "--split-by",
        default="",
        metavar="HOW",
        help="with --data: time:COLUMN (later rows judge) or key:COLUMN (its rows stay together)",
    )
    parser.add_argument("--label", metavar="COLUMN", help="with --data: the column to predict")
    parser.add_argument("--task", choices=TASKS, help="with --data: what kind of label it is")
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="with --data: use a column although it gives the label away",
    )
    parser.set_defaults(do=_new)


def _new(options: argparse.Namespace) -> None:
    from pipelines.base import scaffold

    if options.data is not None:
        _new_about(options)
        return
    if options.label or options.task or options.keep or options.query or options.split_by:
        raise ViaductError(
            "--label, --task, --keep, --query and --split-by are about --data PATH, which is not given."
        )
    folder = scaffold.create(options.name)
    print(
        f"{folder} is a working project. Next:\n  viaduct run {options.name}\n  viaduct show {options.name}\n"
        f"  viaduct compile {options.name}    writes ir.json, which belongs to the project"
    )


def _new_about(options: argparse.Namespace) -> None:
    from pipelines.base.newdata import creating, prose

    found = creating.create(
        options.name,
        options.data,
        options.label,
        options.task,
        options.keep,
        query=options.query,
        split_by=options.split_by,
    )
    for line in prose.summary(found):
        print(line)
    _compile(options.name)
    print(
        f"\npipelines/{options.name} is a working project; its schema.pbtxt says what to look at. Next:\n"
        f"  viaduct run {options.name}\n"
        f"  viaduct serve {options.name}\n"
        f"  viaduct predict {options.name} --row '{prose.row(found)}'"
    )


def _compile(name: str) -> None:
    """Its ir.json, by the warm process that `viaduct run` will need anyway."""
    from pipelines.cli_run import compile_projects

    compile_projects([name], check=False)
