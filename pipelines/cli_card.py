"""The command `viaduct card`: the table of a run's figures in a project's README. Part of cli.py."""

from __future__ import annotations

import argparse

from pipelines.base import registry
from pipelines.base.errors import ViaductError
from pipelines.base.paths import Paths


def define_card(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help="with --check: all, if none is named")
    parser.add_argument(
        "--run", default="", metavar="RUN", help="a run's id (the newest with the full profile)"
    )
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--write", action="store_true", help="into card.json and README.md of the project")
    doing.add_argument(
        "--check", action="store_true", help="compare READMEs with card.json, and its bars with project.py"
    )
    parser.set_defaults(do=_card)


def _card(options: argparse.Namespace) -> int:
    from pipelines.base import card as figures

    if options.check:
        chosen = [registry.get(name) for name in options.projects or registry.own_names()]
        findings = [finding for card in chosen for finding in figures.check(card, Paths.of(card.name))]
        for finding in findings:
            print(finding)
        print(f"{len(chosen)} cards, {len(findings)} findings")
        return 1 if findings else 0
    if not options.projects or (options.run and len(options.projects) > 1):
        raise ViaductError(f"card got {len(options.projects)} projects; expected one, or some without --run.")
    for name in options.projects:
        card, paths = registry.get(name), Paths.of(name)
        record = figures.choose(card, paths, options.run)
        if options.write:
            figures.write(card, paths, record)
            print(f"{name}: wrote {figures.FILE} and README.md from {record.run_id}")
        else:
            served = figures.production.name_of_settings(card, paths, record.settings)
            print(figures.table(card, {served: figures.entry(card, paths, record)}))
    return 0
