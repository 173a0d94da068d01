"""The picture of a search: how the best came to be, what the best did with other seeds, what mattered."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.report_gen import pictures


def draw(results: Mapping[str, Any], file: Path) -> None:
    """Writes the picture of a search's results as PNG, whole or not at all."""
    shown = 3 if results["importances"] else 2
    drawn = pictures.figure(5.2 * shown, 3.8)
    panels = drawn.subplots(1, shown)
    _curve(panels[0], results)
    _finals(panels[1], results)
    if results["importances"]:
        names, shares = zip(*sorted(results["importances"].items(), key=lambda item: item[1]), strict=True)
        panels[2].barh(names, shares, color="tab:blue")
        panels[2].set(xlim=(0, 1), xlabel="share of the variance", title="What the metric depends on")
    pictures.save(drawn, file)


def best_so_far(trials: list[Mapping[str, Any]], maximise: bool) -> list[tuple[int, float]]:
    """(number, best value until then) of whole trials, in order."""
    whole_ones = [one for one in trials if one["value"] is not None]
    best = itertools.accumulate((one["value"] for one in whole_ones), max if maximise else min)
    return list(zip((one["number"] for one in whole_ones), best, strict=True))


def _curve(axes: Any, results: Mapping[str, Any]) -> None:
    whole_ones = [one for one in results["trials"] if one["value"] is not None]
    ended = [one["number"] for one in results["trials"] if one["state"] == "pruned"]
    axes.plot(
        [o["number"] for o in whole_ones],
        [o["value"] for o in whole_ones],
        "o",
        color="tab:grey",
        label="trial",
    )
    axes.step(
        *zip(*best_so_far(results["trials"], results["maximise"]), strict=True),
        where="post",
        label="best so far",
    )
    if ended:
        low = min(one["value"] for one in whole_ones)
        axes.plot(ended, [low] * len(ended), "x", color="tab:red", label="ended early (no value)")
    axes.set(
        xlabel="trial (0: the defaults)", ylabel=f"{results['metric']} on the tune split", title="Trials"
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


def _finals(axes: Any, results: Mapping[str, Any]) -> None:
    finals = results["finals"]
    places = range(len(finals))
    axes.errorbar(
        places,
        [f["mean"] for f in finals],
        [f["error"] for f in finals],
        fmt="s",
        capsize=5,
        label="mean, SE",
    )
    for place, final in zip(places, finals, strict=True):
        axes.plot([place] * len(final["values"]), final["values"], ".", color="tab:grey")
    names = [f"{f['trial']}" + (" (defaults)" if f["trial"] == 0 else "") for f in finals]
    chosen = next(at for at, f in enumerate(finals) if f["trial"] == results["chosen"]["trial"])
    axes.axvspan(chosen - 0.3, chosen + 0.3, alpha=0.15, color="tab:green", label="chosen")
    axes.set(xticks=list(places), xlabel="trial", title="Three other seeds")
    axes.set_xticklabels(names)
    axes.grid(alpha=0.3)
    axes.legend()
