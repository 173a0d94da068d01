"""The simplest rival of the model on the same curves: the power of its box-fitting periodogram alone, without trees.

    python -m pipelines.exoplanets.box_rival DATA [--model FOLDER]
    python -m pipelines.exoplanets.box_rival CURVES.csv.gz --stars TARGETS.csv [--model FOLDER]

The first asks of the evaluation rows of a run's data. The second asks by depth: planets of known depth are put into
real curves, and each is to stand out from the same curves as they are. Curves may hold planets of their own, which
both sides meet alike. Intervals draw stars, and are of the gain on the same rows. It trains and chooses nothing.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.exoplanets import light_curves as lc
from pipelines.exoplanets import real_check, rows
from pipelines.exoplanets.features import FLUX_KEY, HOST, RAW_LABEL_KEY
from pipelines.exoplanets.real_check import average_precision, roc_auc

# Parts per million; a catalogue's confirmed planets have a median of 447.
DEPTHS = (300, 1_000, 3_000, 10_000)
PLANETS, ROUNDS, AT_ONCE = 5, 1000, 100
SHORTEST_D, LONGEST_D = 0.7, 32.0
Score = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table, and its figures as one line of JSON."""
    parser = argparse.ArgumentParser(description="The model beside the box-fitting periodogram's power.")
    parser.add_argument("data", type=Path, help="a file or folder of the official layout")
    parser.add_argument("--stars", type=Path, help="CSV with a column `target`: put planets into these stars")
    parser.add_argument("--model", type=Path, help="a SavedModel (default: the newest pushed version)")
    options = parser.parse_args(argv)
    asked = scorer(options.model or real_check.newest())
    if options.stars:
        _, flux = real_check.load(options.data)
        figures = by_depth(asked, flux, real_check.read_stars(options.stars, len(flux)))
    else:
        hosts, flux = evaluation_rows(options.data)
        figures = {"evaluation rows": beside(*asked(flux), hosts, np.arange(len(hosts)))}
    print(
        "| curves | model's ROC AUC | box power's | gain (95 %) | model's PR AUC | box power's | gain (95 %) |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, found in figures.items():
        print(f"| {name} | {_told(found['roc_auc'])} | {_told(found['pr_auc'])} |")
    print(json.dumps(figures))


def scorer(model: Path) -> Score:
    """flux [n, 3197] -> (score [n], box power [n]) of a model's serving signature."""
    import tensorflow as tf
    import tensorflow_decision_forests  # noqa: F401  (registers the trees' ops)

    from components.report_gen import reading

    ask = reading.signature(model)

    def asked(flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            ask(flux=tf.constant(flux[at : at + AT_ONCE], tf.float32)) for at in range(0, len(flux), AT_ONCE)
        ]
        score, power = (
            np.concatenate([part[name].numpy() for part in parts]) for name in ("score", "signal_over_noise")
        )
        return score, power

    return asked


def evaluation_rows(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """(is a host [n], flux [n, 3197]) of the rows of `data` that a run judges by."""
    files = sorted(data.glob("*.csv*")) if data.is_dir() else [data]
    judged = [row for split, row in rows.read_rows(files, {}) if split == "eval"]
    return (
        np.array([row[RAW_LABEL_KEY] == HOST for row in judged]),
        np.array([row[FLUX_KEY] for row in judged], np.float32),
    )


def by_depth(asked: Score, flux: np.ndarray, stars: Sequence[str]) -> dict[str, Any]:
    """`beside` for each of DEPTHS: curves [n, 3197] with PLANETS drawn planets each, among the curves as they are."""
    plain, random, figures = asked(flux), np.random.default_rng(11), {}
    for depth in DEPTHS:
        made = np.concatenate([put_in(random, flux, depth) for _ in range(PLANETS)])
        score, power = (np.concatenate(pair) for pair in zip(plain, asked(made), strict=True))
        hosts = np.repeat([False, True], [len(flux), len(made)])
        names = np.tile(np.asarray(stars), 1 + PLANETS)
        figures[f"{depth:,} parts per million"] = beside(score, power, hosts, names)
    return figures


def put_in(random: np.random.Generator, flux: np.ndarray, depth: float) -> np.ndarray:
    """Curves [n, 3197] of positive flux, each crossed by a planet that hides `depth` parts per million of its disc."""
    return np.stack([curve * (1.0 - lc.transit(_TIME, _orbit(random, depth))) for curve in flux])


_TIME = np.arange(lc.LENGTH) * lc.CADENCE_D


def _orbit(random: np.random.Generator, depth: float) -> lc.Orbit:
    """Around a star like the Sun, its first crossing within one period of the beginning."""
    period = math.exp(random.uniform(math.log(SHORTEST_D), math.log(LONGEST_D)))
    axis, impact = lc.axis_over_radius(period, 1.0), random.uniform(0, 0.8)
    return lc.Orbit(period, random.uniform(0, period), math.sqrt(depth / 1e6), impact, axis, (0.4, 0.25))


def beside(
    score: np.ndarray, power: np.ndarray, hosts: np.ndarray, stars: np.ndarray, seed: int = 5
) -> dict[str, dict[str, float]]:
    """{"roc_auc" and "pr_auc": {"ours", "rival", "gain", "low", "high"}}; the interval of the gain draws stars."""
    of_star = [np.flatnonzero(stars == name) for name in np.unique(stars)]
    random, drawn = np.random.default_rng(seed), list[np.ndarray]()
    while len(drawn) < ROUNDS:
        some = np.concatenate([of_star[one] for one in random.integers(0, len(of_star), len(of_star))])
        if 0 < hosts[some].sum() < len(some):
            drawn.append(some)
    figures = {}
    for name, metric in (("roc_auc", roc_auc), ("pr_auc", average_precision)):
        gains = [metric(score[some], hosts[some]) - metric(power[some], hosts[some]) for some in drawn]
        low, high = np.quantile(gains, [0.025, 0.975])
        ours, rival = metric(score, hosts), metric(power, hosts)
        figures[name] = {
            "ours": ours, "rival": rival, "gain": ours - rival, "low": float(low), "high": float(high)
        }  # fmt: skip
    return figures


def _told(one: dict[str, float]) -> str:
    return f"{one['ours']:.3f} | {one['rival']:.3f} | {one['gain']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"


if __name__ == "__main__":
    main()
