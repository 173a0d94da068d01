"""A trained model on curves of NASA's Kepler archive that it has never seen: ROC AUC with its uncertainty.

    python -m pipelines.exoplanets.real_check CURVES.csv.gz [--stars TARGETS.csv] [--koi KOI.csv.gz] [--model FOLDER]

Several curves of one star are no independent trials, so the bootstrap draws stars, not curves. With NASA's table of
objects of interest it says which labels the table contradicts, and asks once more by the table's. It trains nothing and
chooses nothing by these curves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import reading
from pipelines.base import production
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.exoplanets import koi
from pipelines.exoplanets.features import HOST
from pipelines.exoplanets.project import PROJECT
from pipelines.exoplanets.rows import read_curves

ROUNDS = 2000


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line for each star, one for people about all of them, and one of JSON."""
    parser = argparse.ArgumentParser(description="Score real light curves with a trained model.")
    parser.add_argument("curves", type=Path, help="CSV of the official layout, plain or .gz")
    parser.add_argument("--stars", type=Path, help="CSV with a column `target`: the star of each curve")
    parser.add_argument("--koi", type=Path, help="CSV: NASA's cumulative table of Kepler objects of interest")
    parser.add_argument("--model", type=Path, help="a SavedModel (default: the newest pushed version)")
    options = parser.parse_args(argv)
    labels, flux = load(options.curves)
    stars = read_stars(options.stars, len(labels)) if options.stars else [str(i) for i in range(len(labels))]
    scores = score(options.model or newest(), flux)
    print("\n".join(by_star(scores, labels, stars)))
    figures = check(scores, labels, stars)
    print(_told(figures))
    if options.koi:
        figures["by_table"] = by_table(scores, labels, stars, koi.read(options.koi))
    print(json.dumps(figures))


def by_table(
    scores: np.ndarray, hosts: np.ndarray, stars: Sequence[str], table: Mapping[str, koi.Known]
) -> dict[str, Any]:
    """Prints where the table and the labels differ; `check` by the table's labels, {} where it leaves one class."""
    print("\n".join(["", *koi.compare(hosts, stars, table)]))
    labels, counts = koi.relabel(hosts, stars, table)
    if labels[counts].all() or not labels[counts].any():
        print("By the table one class is left: there is nothing to tell apart.")
        return {}
    figures = check(
        scores[counts], labels[counts], [star for star, use in zip(stars, counts, strict=True) if use]
    )
    print(f"By the table's labels, candidates left out: {_told(figures)}")
    return figures


def _told(figures: dict[str, Any]) -> str:
    return (
        f"{figures['curves']} curves of {figures['stars']} stars, {figures['hosts']} with a planet: ROC AUC "
        f"{figures['roc_auc']:.3f} (95 %: {figures['low']:.3f} to {figures['high']:.3f}), "
        f"PR AUC {figures['pr_auc']:.3f}"
    )


def load(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """(is a host [n], flux [n, 3197])."""
    rows = list(read_curves(file))
    return np.array([label == HOST for label, _ in rows]), np.array([flux for _, flux in rows], np.float32)


def read_stars(file: Path, rows: int) -> list[str]:
    """The names in the one column of `file`. Raises ProjectError unless there are `rows` of them."""
    names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    if len(names) != rows:
        raise ProjectError(f"{file} names {len(names)} stars; expected {rows}, one for each curve.")
    return names


def newest() -> Path:
    """The newest pushed version, of production before other names. Raises ProjectError if there is none."""
    paths = Paths.of(PROJECT.name)
    names = production.pushed_names(paths)
    if not names:
        raise ProjectError(
            f"No version of {PROJECT.name} is pushed to {paths.serving.parent}; run `viaduct run {PROJECT.name}` or "
            "name a --model."
        )
    return max((p for p in paths.served(names[0]).glob("*") if p.name.isdigit()), key=lambda p: int(p.name))


def score(model: Path, flux: np.ndarray) -> np.ndarray:
    """Scores [n] of the model's serving signature."""
    import tensorflow as tf
    import tensorflow_decision_forests  # noqa: F401  (registers the trees' ops)

    return reading.signature(model)(flux=tf.constant(flux))["score"].numpy()


def roc_auc(scores: np.ndarray, hosts: np.ndarray) -> float:
    """Probability that a host scores above another star, ties counted half (Mann-Whitney)."""
    above = scores[hosts][:, None] - scores[~hosts][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def average_precision(scores: np.ndarray, hosts: np.ndarray) -> float:
    """Mean precision over the hosts in order of score."""
    ordered = hosts[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1))[ordered].mean())


def by_star(scores: np.ndarray, hosts: np.ndarray, stars: Sequence[str]) -> list[str]:
    """One line per star in order of name: its label and its curves' lowest, middle and highest score."""
    lines = []
    for name in np.unique(stars):
        mine = np.asarray(stars) == name
        low, middle, high = np.quantile(scores[mine], [0.0, 0.5, 1.0])
        label = "planet" if hosts[mine].all() else "no planet"
        lines.append(f"{name} ({label}), {mine.sum()} curves: {low:.3f} to {high:.3f}, median {middle:.3f}")
    return lines


def check(scores: np.ndarray, hosts: np.ndarray, stars: Sequence[str], seed: int = 5) -> dict[str, Any]:
    """ROC AUC with the 95 % interval of ROUNDS bootstrap draws of stars; draws without both classes are drawn again."""
    random = np.random.default_rng(seed)
    names = np.unique(stars)
    of_star = {name: np.flatnonzero(np.asarray(stars) == name) for name in names}
    drawn: list[float] = []
    while len(drawn) < ROUNDS:
        rows = np.concatenate([of_star[name] for name in random.choice(names, len(names))])
        if 0 < hosts[rows].sum() < len(rows):
            drawn.append(roc_auc(scores[rows], hosts[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "curves": len(scores),
        "stars": len(names),
        "hosts": int(hosts.sum()),
        "roc_auc": roc_auc(scores, hosts),
        "low": float(low),
        "high": float(high),
        "pr_auc": average_precision(scores, hosts),
    }


if __name__ == "__main__":
    main()
