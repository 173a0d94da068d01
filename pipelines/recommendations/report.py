"""Four pictures: hit rates against the rivals, the same by what is known, how training went, and the long tail.

All numbers are the Evaluator's and the Trainer's, but for the long tail, which is counted here. It decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.recommendations import evaluate, tasks
from pipelines.recommendations.features import MS_PER_DAY
from pipelines.recommendations.model import CURVES_FILE

Metrics = Mapping[str, float]
TASKS = {
    "returning": "returning visitors",
    "started": "new visitors, one item seen",
    "new": "new visitors, nothing known",
}
# Suffix of the metrics: name and colour.
LABELS = {
    "": ("model", "C0"),
    "_neighbours": ("item neighbours", "C1"),
    "_cosine": ("item neighbours, plain cosine", "C4"),
    "_ease": ("EASE", "C5"),
    "_popularity": ("popularity", "C2"),
}


def report(context: ReportContext) -> None:
    """Writes hit_rates, by_history, learning_curve and long_tail as PNG."""
    variant = str(context.parameters.get("variant", "model"))
    if context.evaluation is not None:
        measured = reading.evaluation(context.evaluation)
        hit_rates(measured, variant, context.folder / "hit_rates.png")
        by_history(measured, variant, context.folder / "by_history.png")
    if context.training_logs is not None:
        learning_curve(context.training_logs / CURVES_FILE, context.folder / "learning_curve.png")
    events = evaluate.read(context.files("train"), context.files("eval"))
    long_tail(events, context.folder / "long_tail.png")


def hit_rates(measured: Mapping[reading.SliceKey, Metrics], variant: str, file: Path) -> None:
    """The share of visitors for whom one of the first k items came true, for each kind of task."""
    drawn = pictures.figure(13, 4.2)
    there = {kind: title for kind, title in TASKS.items() if (("task", kind),) in measured}
    for axes, (kind, title) in zip(
        drawn.subplots(1, len(there), squeeze=False)[0], there.items(), strict=True
    ):
        metrics = measured[(("task", kind),)]
        for suffix, (label, colour) in LABELS.items():
            values = [metrics[f"hit_rate_at_{k}{suffix}"] for k in evaluate.KS]
            style: dict[str, Any] = {"lw": 1.2, "ls": "--"} if suffix else {"lw": 2.2}
            axes.plot(
                evaluate.KS, values, marker=".", color=colour, label=label if suffix else variant, **style
            )
        axes.set(title=f"{title} ({metrics['example_count']:,.0f})", xlabel="items shown", ylabel="hit rate")
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    pictures.save(drawn, file)


def by_history(measured: Mapping[reading.SliceKey, Metrics], variant: str, file: Path) -> None:
    """NDCG at 10 of model and rivals by how many items are known of a returning visitor, with 95 % of the gain."""
    keys: list[reading.SliceKey] = [(("history", name),) for _, name in tasks.HISTORIES]
    keys = [key for key in keys if key in measured]
    if not keys:
        return
    drawn = pictures.figure(9, 4.2)
    axes = drawn.subplots()
    for place, (suffix, (label, colour)) in enumerate(LABELS.items()):
        values = [measured[key][f"ndcg_at_10{suffix}"] for key in keys]
        errors = (
            [1.96 * measured[key]["ndcg_gain_on_neighbours_error"] for key in keys] if not suffix else None
        )
        x = np.arange(len(keys)) + 0.16 * (place - 2)
        axes.bar(x, values, 0.15, yerr=errors, capsize=3, color=colour, label=label if suffix else variant)
    names = [f"{key[0][1]} seen\n({measured[key]['example_count']:,.0f} visitors)" for key in keys]
    axes.set_xticks(np.arange(len(keys)), names)
    axes.set(ylabel="NDCG at 10", title="returning visitors; line: 95 % of the gain on item neighbours")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=8)
    pictures.save(drawn, file)


def learning_curve(curve_file: Path, file: Path) -> None:
    """NDCG on the end of the training period of all that was tried, and the loss and hit rate of what was chosen."""
    trials: list[dict[str, Any]] = json.loads(curve_file.read_text(encoding="utf-8"))
    chosen = trials[0]["curve"]
    best = max(chosen, key=lambda row: row["ndcg_at_10"])
    drawn = pictures.figure(13, 3.8)
    left, middle, right = drawn.subplots(1, 3)
    for key, axes, title in (("loss", left, "training loss"), ("hit_rate_at_10", middle, "hit rate at 10")):
        axes.plot([row["epoch"] for row in chosen], [row[key] for row in chosen], marker=".")
        axes.set(title=f"{title}, chosen method", xlabel="epoch")
    for number, trial in enumerate(trials):
        right.plot(
            [row["epoch"] for row in trial["curve"]],
            [row["ndcg_at_10"] for row in trial["curve"]],
            marker=".",
            lw=1 if number else 2.2,
            label=_named(trial["parameters"]),
        )
    right.axvline(best["epoch"], color="black", lw=0.9, ls="--")
    right.set(title=f"NDCG at 10, last weeks; chosen: {best['epoch']}", xlabel="epoch")
    right.set_ylim(0, None)
    right.legend(fontsize=7)
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    pictures.save(drawn, file)


def _named(parameters: Mapping[str, Any]) -> str:
    if parameters["method"] == "factorisation":
        return f"factorisation, confidence {parameters['confidence']:g}, penalty {parameters['regularisation']:g}"
    return f"EASE, penalty {parameters['penalty']:g}" if parameters["method"] == "ease" else "neural"


def long_tail(events: evaluate.Events, file: Path) -> None:
    """Events per item by rank, events per visitor, and how the ten items popular at first fare over the weeks."""
    drawn = pictures.figure(13, 4)
    left, middle, right = drawn.subplots(1, 3)
    item, visitor = (
        np.r_[getattr(events.train, key), getattr(events.later, key)] for key in ("item", "visitor")
    )
    time = np.r_[events.train.time, events.later.time]
    counts = np.sort(np.bincount(item))[::-1]
    left.loglog(np.arange(1, len(counts) + 1), counts)
    left.set(title=f"{len(counts):,} items", xlabel="rank", ylabel="events")
    sizes = np.bincount(np.bincount(visitor))
    shown = np.flatnonzero(sizes)
    middle.loglog(shown, sizes[shown] / sizes.sum(), ".")
    middle.set(title=f"{sizes.sum():,} visitors", xlabel="events", ylabel="share of visitors")
    week = ((time - time.min()) / (7 * MS_PER_DAY)).astype(int)
    early = np.bincount(item[week < 4], minlength=len(counts))
    per_week = np.bincount(week)
    for one in np.argsort(-early)[:10]:
        right.plot(
            np.bincount(week[item == one], minlength=len(per_week)) / np.maximum(per_week, 1) * 100, lw=1
        )
    right.axvline((events.later.time.min() - time.min()) / (7 * MS_PER_DAY), color="black", lw=0.9, ls="--")
    right.set(title="the first month's ten favourites", xlabel="week", ylabel="% of the week's events")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    pictures.save(drawn, file)
