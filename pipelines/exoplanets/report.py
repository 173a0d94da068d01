"""What a person looks at: stars of each kind, precision against recall, what the trees use, folded transits.

Drawn from the evaluation split with the served model's own outputs. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.exoplanets.features import FLUX_KEY, HOST, RAW_LABEL_KEY
from pipelines.exoplanets.model import TREES_FILE
from pipelines.exoplanets.periodogram import CADENCE_D, LENGTH

ROWS_AT_ONCE = 200
SHOWN = 4
SHOWN_FEATURES = 18


def report(context: ReportContext) -> None:
    """Writes precision_and_recall, light_curves, folded_transits, feature_importance and learning_curve as PNG."""
    flux, hosts = read(context.files("eval"))
    answers = score(context.model, flux)
    precision_and_recall(answers["score"], hosts, context.folder / "precision_and_recall.png")
    light_curves(flux, hosts, answers["score"], context.folder / "light_curves.png")
    folded_transits(flux, hosts, answers, context.folder / "folded_transits.png")
    if context.training_logs is not None:
        trees = json.loads((context.training_logs / TREES_FILE).read_text(encoding="utf-8"))
        feature_importance(trees, context.folder / "feature_importance.png")
        learning_curve(trees, context.folder / "learning_curve.png")


def read(files: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(flux [n, 3197], is a host [n]) from raw gz TFRecords."""
    import tensorflow as tf

    spec = {
        FLUX_KEY: tf.io.FixedLenFeature([LENGTH], tf.float32),
        RAW_LABEL_KEY: tf.io.FixedLenFeature([], tf.int64),
    }
    rows = [
        tf.io.parse_example(batch, spec)
        for batch in tf.data.TFRecordDataset(list(files), "GZIP").batch(ROWS_AT_ONCE)
    ]
    flux = np.concatenate([row[FLUX_KEY].numpy() for row in rows])
    return flux, np.concatenate([row[RAW_LABEL_KEY].numpy() for row in rows]) == HOST


def score(model: Path, flux: np.ndarray) -> dict[str, np.ndarray]:
    """The serving signature's outputs [n] by name."""
    import tensorflow as tf
    import tensorflow_decision_forests  # noqa: F401  (registers the trees' ops)

    serve = reading.signature(model)
    parts = [serve(flux=tf.constant(flux[i : i + ROWS_AT_ONCE])) for i in range(0, len(flux), ROWS_AT_ONCE)]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def precision_and_recall(scores: np.ndarray, hosts: np.ndarray, file: Path) -> None:
    """Precision at each recall, and what a random order would give."""
    ordered = hosts[np.argsort(-scores, kind="stable")]
    caught = np.cumsum(ordered)
    drawn = pictures.figure(6.5, 4.5)
    axes = drawn.subplots()
    axes.step(
        caught / max(1, caught[-1]), caught / np.arange(1, len(ordered) + 1), where="post", label="this model"
    )
    axes.axhline(hosts.mean(), color="grey", linestyle=":", label="a random order")
    axes.set(xlabel="recall: share of hosts found", ylabel="precision", xlim=(0, 1), ylim=(0, 1.03))
    axes.set_title(f"{int(hosts.sum())} hosts among {len(hosts)} stars")
    axes.legend()
    pictures.save(drawn, file)


def light_curves(flux: np.ndarray, hosts: np.ndarray, scores: np.ndarray, file: Path) -> None:
    """The highest and the lowest scored hosts, and the highest scored other stars: where it is right and wrong."""
    order = np.argsort(-scores, kind="stable")
    planets, others = [i for i in order if hosts[i]], [i for i in order if not hosts[i]]
    columns = {
        "hosts it is sure of": planets[:SHOWN],
        "hosts it misses": planets[::-1][:SHOWN],
        "others": others[:SHOWN],
    }
    drawn = pictures.figure(13, 8)
    grid = drawn.subplots(SHOWN, len(columns), sharex=True, squeeze=False)
    days = np.arange(LENGTH) * CADENCE_D
    for column, (title, rows) in enumerate(columns.items()):
        grid[0][column].set_title(title)
        grid[-1][column].set_xlabel("days")
        for axes, row in zip(grid[:, column], rows, strict=False):
            axes.plot(days, flux[row], ".", markersize=1.5)
            axes.set_ylabel(f"score {scores[row]:.2f}", fontsize=8)
            axes.tick_params(labelsize=7)
    pictures.save(drawn, file)


def folded_transits(flux: np.ndarray, hosts: np.ndarray, answers: dict[str, np.ndarray], file: Path) -> None:
    """The best scored hosts folded at the period that the periodogram found."""
    order = [i for i in np.argsort(-answers["score"], kind="stable") if hosts[i]][:SHOWN]
    drawn = pictures.figure(11, 6)
    for axes, row in zip(drawn.subplots(2, 2).ravel(), order, strict=False):
        period = answers["period_days"][row]
        phase = np.mod((np.arange(LENGTH) + 0.5) * CADENCE_D / period, 1.0)
        level = np.nan_to_num(flux[row], nan=np.nanmedian(flux[row]))
        # The slow part off, as a person would: a running mean of two days.
        around = np.ones(97)
        level = level - np.convolve(level, around, "same") / np.convolve(np.ones(LENGTH), around, "same")
        axes.plot(phase, level, ".", markersize=1.5, alpha=0.5)
        axes.set_title(f"period {period:.3f} d, lasts {answers['duration_hours'][row]:.1f} h", fontsize=9)
        axes.set(xlabel="phase", ylabel="flux without trend")
    pictures.save(drawn, file)


def feature_importance(trees: dict[str, object], file: Path) -> None:
    """The features that the trees rely on most."""
    ranked = sorted(trees["features"], key=lambda entry: -entry[1])[:SHOWN_FEATURES][::-1]  # type: ignore[call-overload]
    drawn = pictures.figure(7, 5)
    axes = drawn.subplots()
    axes.barh([name for name, _ in ranked], [value for _, value in ranked])
    axes.set(xlabel=str(trees["importance"]).lower().replace("_", " "), title=f"{trees['trees']} trees")
    pictures.save(drawn, file)


def learning_curve(trees: dict[str, object], file: Path) -> None:
    """Loss on the tune split (boosting) or on rows left out (forest) over the number of trees."""
    log = np.array(trees["log"], float).reshape(-1, 2)
    if not len(log):
        return
    drawn = pictures.figure(6.5, 4)
    axes = drawn.subplots()
    axes.plot(log[:, 0], log[:, 1])
    axes.set(xlabel="trees", ylabel="loss", title="loss on rows that the trees were not grown on")
    pictures.save(drawn, file)
