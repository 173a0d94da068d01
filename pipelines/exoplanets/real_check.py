"""A trained model on curves of NASA's Kepler archive that it has never seen: ROC AUC with its uncertainty.

    python -m pipelines.exoplanets.real_check CURVES.csv.gz [--stars TARGETS.csv] [--model FOLDER]

Several curves of one star are no independent trials, so the bootstrap draws stars, not curves. It trains nothing and
chooses nothing by these curves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.base.paths import Paths
from pipelines.base.project import ProjectError
from pipelines.exoplanets.features import HOST
from pipelines.exoplanets.project import PROJECT
from pipelines.exoplanets.rows import read_curves

ROUNDS = 2000


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a line for each star, one for people about all of them, and one of JSON."""
    parser = argparse.ArgumentParser(description="Score real light curves with a trained model.")
    parser.add_argument("curves", type=Path, help="CSV of the official layout, plain or .gz")
    parser.add_argument("--stars", type=Path, help="CSV with a column `target`: the star of each curve")
    parser.add_argument("--model", type=Path, help="a SavedModel (default: the newest pushed version)")
    options = parser.parse_args(argv)
    labels, flux = load(options.curves)
    stars = read_stars(options.stars, len(labels)) if options.stars else [str(i) for i in range(len(labels))]
    scores = score(options.model or newest(), flux)
    print("\n".join(by_star(scores, labels, stars)))
    found = check(scores, labels, stars)
    print(
        f"{found['curves']} curves of {found['stars']} stars, {found['hosts']} with a planet: ROC AUC "
        f"{found['roc_auc']:.3f} (95 %: {found['low']:.3f} to {found['high']:.3f}), PR AUC {found['pr_auc']:.3f}"
    )
    print(json.dumps(found))


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
    """The newest pushed version. Raises ProjectError if there is none."""
    folder = Paths.of(PROJECT.name).serving
    versions = sorted((p for p in folder.glob("*") if p.name.isdigit()), key=lambda p: int(p.name))
    if not versions:
        raise ProjectError(
            f"Nothing is pushed to {folder}; run `viaduct run {PROJECT.name}` or name a --model."
        )
    return versions[-1]


def score(model: Path, flux: np.ndarray) -> np.ndarray:
    """Scores [n] of the model's serving signature."""
    import tensorflow as tf
    import tensorflow_decision_forests  # noqa: F401  (registers the trees' ops)

    loaded = tf.saved_model.load(str(model))
    return loaded.signatures["serving_default"](flux=tf.constant(flux))["score"].numpy()


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
