"""The command `viaduct tune`, and what it says of a search. `run --tuned` takes what it chose. Part of cli.py."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import cli_output as output
from pipelines.base import home, production, registry
from pipelines.base.errors import ProjectError, ViaductError
from pipelines.base.paths import Paths
from pipelines.base.project import Project
from pipelines.base.run_record import RunRecord
from pipelines.base.settings import Settings
from pipelines.cli_arguments import number, parallel_argument, project_argument
from pipelines.cli_run import run_alone, run_settings, said, settings_arguments

TRIALS = 20


def define_tune(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Look for better hyper-parameters of a variant, in the space that its card declares.\n\n"
        "Trials are judged on the tune split, never on the rows that judge models. The first one has\n"
        "the card's values; those that fall behind the median are ended early. The best three and the\n"
        "card's values are trained again with three seeds, and the best by mean minus one standard error\n"
        "is chosen. Ctrl-C or a kill loses nothing: the same command goes on, and trains nothing twice.\n"
        "`viaduct run PROJECT --tuned` then takes what was chosen."
    )
    parser.epilog = (
        "--set changes the search: learning_rate=1e-4..1e-2 is another range, batch_size=64,128 other choices,\n"
        "epochs=5 one value for all trials."
    )
    project_argument(parser)
    parser.add_argument(
        "--trials", type=number(1, "trials"), default=TRIALS, metavar="N", help=f"how many in all ({TRIALS})"
    )
    settings_arguments(parser)
    parallel_argument(parser, "trials", "1 to 4")
    parser.add_argument("--plain", action="store_true", help="plain lines instead of the live table")
    parser.set_defaults(do=_tune)


def _tune(options: argparse.Namespace) -> int:
    from pipelines.base import check, data, live
    from pipelines.base.tuning import pool

    check.refuse(registry.known(options.project))
    card, paths = registry.get(options.project), Paths.of(options.project)
    settings = tune_settings(card, options)
    if options.parallel:
        os.environ[pool.PARALLEL_VARIABLE] = str(options.parallel)
    home.make(paths.home)
    console = output.console()
    view = live.PlainView(console) if options.plain else live.view_for(console)
    with view:
        raw = data.locate(card, paths, settings, view.say)
        settings = dataclasses.replace(settings, data=str(raw))
        record = run_alone(card, paths, settings, raw, view, again=True, what="search")
    for line in live.summary(card, record, paths.runs / record.run_id):
        console.print(line, highlight=False, soft_wrap=True)
    if record.state == "cancelled":
        console.print("  The trials that have ended are kept.", markup=False)
    for text in _told(card, record) if record.state == "succeeded" else ():
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if console.quiet:
        return output.READER_GONE
    return {"succeeded": 0, "cancelled": 130}.get(record.state, 1)


def tune_settings(card: Project, options: argparse.Namespace) -> Settings:
    """The settings of a search. Raises ProjectError where the variant has none, or `--set` does not fit it."""
    from pipelines.base.tuning import nodes

    variant = card.variant(options.variant)
    if variant.search is None:
        able = [one.name for one in card.variants if one.search is not None]
        there = f"Variants with one: {', '.join(able)}." if able else f"No variant of {card.name} has one."
        raise ProjectError(
            f"{card.name}: variant {variant.name!r} has no search space. {there} Add to its Variant in project.py: "
            "search=Search(METRIC, {PARAMETER: Between(LOW, HIGH)})."
        )
    plain = argparse.Namespace(**{**vars(options), "set": []})
    defaults = run_settings(card, plain).parameters
    owner = f"{card.name}: variant {variant.name!r}"
    search, fixed = variant.search.changed(owner, defaults, said(options))
    chosen = argparse.Namespace(
        **{**vars(options), "set": [f"{name}={text}" for name, text in fixed.items()]}
    )
    settings = run_settings(card, chosen)
    # The profile's values too have to be within it.
    search.check(owner, settings.parameters)
    return dataclasses.replace(settings, search=nodes.asked(search, options.trials))


def _told(card: Project, record: RunRecord) -> Iterator[str]:
    """What the search found, a line each."""
    outputs = record.nodes["Tuner"].summary.get("outputs", [])
    uri = next((one["uri"] for one in outputs if one["type"] == "TunerResults"), None)
    if uri is None:
        raise ViaductError(f"{record.run_id} has no results; its log: {record.run_id}/logs/Tuner.log")
    results = json.loads(Path(uri, "results.json").read_text(encoding="utf-8"))
    states = [trial["state"] for trial in results["trials"]]
    counted = ", ".join(
        f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states
    )
    yield f"{len(states)} trials ({counted}); {results['trained']} trainings now, {results['known']} known before"
    for final in sorted(results["finals"], key=lambda one: one["score"], reverse=results["maximise"]):
        mark = "chosen" if final["trial"] == results["chosen"]["trial"] else ""
        name = "the card's" if final["trial"] == 0 else f"trial {final['trial']}"
        values = ", ".join(f"{key}={_short(value)}" for key, value in final["parameters"].items())
        yield f"  {mark:<7} {name:<10} {results['metric']} {final['mean']:.4f} +- {final['error']:.4f}  {values}"
    if results["importances"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in results["importances"].items())
        yield f"  what {results['metric']} depends on: {shares}"
    if results["chosen"]["trial"] == 0:
        yield "Nothing better than the card's values is shown; --tuned would change nothing."
    else:
        flags = "".join(f" --{key} {value}" for key, value in _flags(card, record))
        yield f"Next: viaduct run {card.name}{flags} --tuned"


def _flags(card: Project, record: RunRecord) -> Iterator[tuple[str, str]]:
    settings = record.settings
    if settings["variant"] != card.variants[0].name:
        yield "variant", settings["variant"]
    if settings["profile"] != "quick":
        yield "profile", settings["profile"]
    made_up = production.is_made_up(Paths.of(card.name), settings["data"])
    if not made_up and Path(settings["data"]) != Paths.of(card.name).data:
        yield "data", settings["data"]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
