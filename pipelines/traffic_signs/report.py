"""Pictures of a trained posterior: what it was shown, how draws agree, whom to believe, what it takes for a sign.

Drawn from the evaluation split, but for the learning curves. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.traffic_signs.evaluate import BINS, Opinions, Others, ask, ask_others, entropy, most_doubt
from pipelines.traffic_signs.features import CLASSES
from pipelines.traffic_signs.signs import NAMES

DRAWS = 200
SHOWN, THUMB = 50, 48
LAYERS = ("convolution 1", "convolution 2", "dense 1", "dense 2", "logits")


def report(context: ReportContext) -> None:
    """Writes learning_curves, sample, unsure, accuracy_over_draws, histograms, calibration, confusions, weights and
    what is taken for a sign: no_signs, no_signs_sample.
    """
    folder = context.folder
    curves = pictures.read_curves(context.training_logs)
    pictures.learning_curves(curves, folder / "learning_curves.png", ("cross_entropy", "accuracy"))
    told = ask(context.model, context.files("eval"), DRAWS)
    doubt = entropy(told.mean)
    # Rows come in no order, so the first are a sample.
    grid(told, np.arange(len(told.labels)), folder / "sample.png", "Some of the signs (is > said, if wrong)")
    grid(told, np.argsort(-doubt), folder / "unsure.png", "The least sure first (is > said, if wrong)")
    accuracy_over_draws(told, folder / "accuracy_over_draws.png")
    histograms(told, doubt, folder / "histograms.png")
    calibration(told, doubt, folder / "calibration.png")
    confusions(told, folder / "confusions.png")
    others, most = ask_others(context.model, told.images), most_doubt(context.model)
    no_signs(doubt, others, most, folder / "no_signs.png")
    surest = np.argsort(entropy(others.mean))[:SHOWN]
    captions = [f"{others.kinds[i]} > {others.mean[i].argmax()}: {others.mean[i].max():.0%}" for i in surest]
    thumbs = np.stack([_thumb(others.images[i]) for i in surest])
    title = "Pictures that are no signs, the surest first (what > said)"
    pictures.image_grid(thumbs, captions, folder / "no_signs_sample.png", title=title)
    weights(context.model, folder / "weights.png")


def grid(told: Opinions, rows: np.ndarray, file: Path, title: str) -> None:
    """The first of `rows` as thumbnails under their names."""
    said = told.mean.argmax(axis=1)
    rows = rows[:SHOWN]
    captions = [
        f"{told.labels[i]}" if said[i] == told.labels[i] else f"{told.labels[i]} > {said[i]}" for i in rows
    ]
    thumbs = np.stack([_thumb(told.images[i]) for i in rows])
    pictures.image_grid(thumbs, captions, file, title=title)


def _thumb(image: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB").resize((THUMB, THUMB)))


def accuracy_over_draws(told: Opinions, file: Path) -> None:
    """The accuracy of each draw alone, and of the mean of the first 1, 2, 3, ... draws."""
    right = told.draws.argmax(axis=2) == told.labels[:, None]
    running = np.cumsum(told.draws, axis=1).argmax(axis=2) == told.labels[:, None]
    drawn = pictures.figure(9, 3.6)
    left, middle = drawn.subplots(1, 2)
    each = right.mean(axis=0)
    left.hist(each, bins=20, color="C0")
    left.axvline(each.mean(), color="black", lw=1, label=f"mean {each.mean():.1%}")
    left.set(xlabel="accuracy of one draw", ylabel="draws", title=f"{len(each)} networks from the posterior")
    left.legend()
    middle.semilogx(np.arange(1, len(each) + 1), running.mean(axis=0))
    middle.set(xlabel="draws whose probabilities are averaged", title="accuracy of the mean")
    middle.grid(alpha=0.3)
    pictures.save(drawn, file)


def histograms(told: Opinions, doubt: np.ndarray, file: Path) -> None:
    """For two of the surest, two doubtful and the four least sure pictures: what draws said, and how surely."""
    order = np.argsort(doubt)
    rows = [*order[:2], *order[len(order) * 9 // 10 :][:2], *order[-4:]]
    drawn = pictures.figure(12, 2.1 * len(rows))
    for (shown, votes, sureness), row in zip(drawn.subplots(len(rows), 3), rows, strict=True):
        shown.imshow(_thumb(told.images[row]))
        shown.axis("off")
        shown.set_title(NAMES[told.labels[row]], fontsize=9)
        counts = np.bincount(told.draws[row].argmax(axis=1), minlength=CLASSES)
        votes.bar(np.arange(CLASSES), counts, color="C0")
        votes.bar(told.labels[row], counts[told.labels[row]], color="C2")
        votes.set_title(f"draws per class (true: {told.labels[row]})", fontsize=9)
        sureness.hist(told.draws[row, :, told.labels[row]], bins=np.linspace(0, 1, 21), color="C2")
        sureness.set_title("probability of the true class, per draw", fontsize=9)
    pictures.save(drawn, file)


def calibration(told: Opinions, doubt: np.ndarray, file: Path) -> None:
    """Share of right answers by confidence; error rate by doubt."""
    mean = told.mean
    right, confidence = mean.argmax(axis=1) == told.labels, mean.max(axis=1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    drawn = pictures.figure(10, 4)
    left, middle = drawn.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", lw=0.8)
    for index in np.unique(bins):
        rows = bins == index
        left.scatter(confidence[rows].mean(), right[rows].mean(), s=8 + 200 * rows.mean(), color="C0")
    left.set(xlabel="confidence", ylabel="share right", title="calibration (area: number of pictures)")
    tenths = np.array_split(~right[np.argsort(doubt)], 10)
    middle.bar(np.arange(1, 11), [part.mean() for part in tenths], color="C3")
    middle.set(xlabel="tenth of pictures, from surest to least sure", title="error rate by entropy")
    pictures.save(drawn, file)


def no_signs(doubt: np.ndarray, others: Others, most: float, file: Path) -> None:
    """Entropies of signs and of each kind of picture that is none, with the limit above which it is called so."""
    groups = {"signs": doubt} | {
        str(kind): entropy(others.mean[others.kinds == kind]) for kind in np.unique(others.kinds)
    }
    drawn = pictures.figure(9, 0.8 + 0.5 * len(groups))
    axes = drawn.subplots()
    for place, values in enumerate(groups.values()):
        # Side by side a little, so that equal values show.
        axes.scatter(values, place + np.linspace(-0.3, 0.3, len(values)), s=4, alpha=0.6)
    taken = [f"{name}: {(values <= most).mean():.1%} taken" for name, values in groups.items()]
    axes.set_yticks(range(len(groups)), taken)
    if np.isfinite(most):
        axes.axvline(most, color="black", lw=1)
    axes.set(xlabel="entropy in nats; above the line: not a sign", title="What is taken for a sign")
    pictures.save(drawn, file)


def confusions(told: Opinions, file: Path, most: int = 15) -> None:
    """The pairs (is, said) that were mistaken most often."""
    said = told.mean.argmax(axis=1)
    wrong = said != told.labels
    pairs, counts = np.unique(told.labels[wrong] * CLASSES + said[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most][::-1]
    drawn = pictures.figure(9, 0.6 + 0.3 * max(1, len(order)))
    axes = drawn.subplots()
    names = [f"{NAMES[pairs[i] // CLASSES]} > {NAMES[pairs[i] % CLASSES]}" for i in order]
    axes.barh(names, counts[order], color="C3")
    axes.set(title=f"{wrong.sum()} of {len(wrong)} wrong (is > said)")
    pictures.save(drawn, file)


def weights(model: Path, file: Path) -> None:
    """Posterior means and deviations of every layer's weights."""
    loaded = reading.saved_model(model)
    drawn = pictures.figure(9, 2.1 * len(LAYERS))
    layers = zip(drawn.subplots(len(LAYERS), 2), LAYERS, loaded.means, loaded.deviations, strict=True)
    for (left, middle), name, means, deviations in layers:
        left.hist(means.numpy().ravel(), bins=80, color="C0")
        left.set_title(f"{name}: means of {means.numpy().size:,} weights", fontsize=9)
        middle.hist(deviations.numpy().ravel(), bins=80, color="C1")
        middle.set_title(f"{name}: deviations", fontsize=9)
    pictures.save(drawn, file)
