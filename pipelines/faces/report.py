"""Pictures of a face recogniser: what it finds, how it cuts faces out, whom it takes for whom, and its curves.

Drawn from the people that judge, but for the learning curves. It decides nothing; bars are the Evaluator's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.report_gen import pictures, reading
from components.report_gen.context import ReportContext
from pipelines.faces import measures, rivals
from pipelines.faces.evaluate import Told, ask

SHOWN, HARDEST = 40, 10
# Curves have this many points at most.
POINTS = 2_000


def report(context: ReportContext) -> None:
    """Writes learning_curves, detections, aligned, embedding_map, hardest_pairs and curves, as far as they apply."""
    folder = context.folder
    pictures.learning_curves(
        pictures.read_curves(context.training_logs), folder / "learning_curves.png", ("loss",)
    )
    told, known = ask(context.model, context.files("eval")), ask(context.model, context.files("train"))
    signatures = reading.saved_model(context.model).signatures
    if "detect" in signatures:
        detections(signatures["detect"], told, folder / "detections.png")
    captions = [
        _person(name) if found else "none" for name, found in zip(told.names, told.found, strict=True)
    ]
    title = "Faces as the network sees them"
    pictures.image_grid(_shown(told.faces)[:SHOWN], captions[:SHOWN], folder / "aligned.png", title=title)
    embedding_map(told, folder / "embedding_map.png")
    alike = measures.similarities(told.embeddings, told.found)
    hardest_pairs(told, alike, folder / "hardest_pairs.png")
    others = {
        name: measures.similarities(rival(told.faces), told.found)
        for name, rival in rivals.fitted(known.faces[known.found]).items()
    }
    curves({"served": alike, **others}, told.people, folder / "curves.png")


def _person(name: str) -> str:
    return name.partition("/")[0]


def _shown(faces: np.ndarray) -> np.ndarray:
    """Standardised grey [n, 64, 64] as pictures [n, 64, 64, 3]."""
    values = np.clip(faces / 5 + 0.5, 0, 1)
    return np.repeat(values[..., None], 3, axis=3)


def detections(detect: Any, told: Told, file: Path) -> None:
    """The first pictures with boxes, landmarks and how sure the detector is."""
    import tensorflow as tf
    from PIL import Image

    drawn = pictures.figure(12, 7)
    cells = np.ravel(drawn.subplots(4, SHOWN // 4, squeeze=False))
    for cell in cells:
        cell.axis("off")
    answers = {key: value.numpy() for key, value in detect(image=tf.constant(told.images[:SHOWN])).items()}
    for at, (cell, image) in enumerate(zip(cells, told.images, strict=False)):
        with Image.open(io.BytesIO(image)) as opened:
            shown = np.asarray(opened.convert("RGB"))
        cell.imshow(shown)
        size = np.array(shown.shape[1::-1])
        for face in range(answers["faces"][at]):
            left, top, right, bottom = answers["boxes"][at, face] * np.tile(size, 2)
            cell.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="C1", lw=1)
            cell.scatter(*(answers["landmarks"][at, face] * size).T, s=6, color="C2")
        score = answers["scores"][at, 0] if answers["faces"][at] else 0.0
        cell.set_title(f"{_person(told.names[at])}  {score:.2f}", fontsize=7)
    pictures.save(drawn, file)


def embedding_map(told: Told, file: Path) -> None:
    """The embeddings' two first principal components, a colour and number for each person."""
    vectors = told.embeddings[told.found]
    people = told.people[told.found]
    _, _, directions = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    across, down = ((vectors - vectors.mean(axis=0)) @ directions[:2].T).T
    drawn = pictures.figure(8, 7)
    axes = drawn.subplots()
    axes.scatter(across, down, c=people, cmap="tab20", s=18)
    for person in np.unique(people):
        mine = people == person
        axes.annotate(str(person), (across[mine].mean(), down[mine].mean()), fontsize=9, weight="bold")
    count = len(np.unique(people))
    axes.set(
        title=f"{len(vectors)} pictures of {count} people never trained on: 2 of {vectors.shape[1]} axes"
    )
    axes.grid(alpha=0.3)
    pictures.save(drawn, file)


def hardest_pairs(told: Told, alike: np.ndarray, file: Path) -> None:
    """Above the pairs of one person that look least alike, below the pairs of two people that look most alike."""
    first, second = np.triu_indices(len(alike), 1)
    seen = told.found[first] & told.found[second]
    first, second = first[seen], second[seen]
    same = told.people[first] == told.people[second]
    scores = alike[first, second]
    rows = [np.flatnonzero(same)[np.argsort(scores[same])], np.flatnonzero(~same)[np.argsort(-scores[~same])]]
    images, captions = [], []
    for kind in rows:
        for at in _one_each(told.people[first[kind]], told.people[second[kind]], kind):
            images.append(
                np.hstack([_shown(told.faces[[first[at]]])[0], _shown(told.faces[[second[at]]])[0]])
            )
            names = [_person(told.names[row]) for row in (first[at], second[at])]
            captions.append(f"{' '.join(dict.fromkeys(names))} {scores[at]:.2f}")
    title = "One person, least alike; then two people, most alike"
    pictures.image_grid(np.stack(images), captions, file, columns=5, title=title)


def _one_each(first: np.ndarray, second: np.ndarray, rows: np.ndarray) -> list[int]:
    """The first HARDEST of `rows`, of the same two people one only."""
    seen: dict[tuple[int, int], int] = {}
    for one, other, row in zip(first.tolist(), second.tolist(), rows.tolist(), strict=True):
        seen.setdefault((one, other), row)
    return list(seen.values())[:HARDEST]


def curves(alike: dict[str, np.ndarray], people: np.ndarray, file: Path) -> None:
    """ROC of verification, found against false accepts, and the similarities of one person's and two people's pairs."""
    one = np.ones(people.max() + 1)
    drawn = pictures.figure(14, 4.2)
    roc, strangers, spread = drawn.subplots(1, 3)
    for name, matrix in alike.items():
        pairs = measures.pairs(matrix, people)
        same = (pairs.first == pairs.second)[::-1]
        keep = _some(len(same))
        wrong, right = np.cumsum(~same) / (~same).sum(), np.cumsum(same) / same.sum()
        roc.plot(wrong[keep], right[keep], label=f"{name} {measures.auc(pairs, one):.4f}")
        asked = measures.probes(matrix, people)
        least = np.sort(asked.other)[::-1][_some(len(asked.other))]
        accepted = [measures.accepted(asked, one, at) for at in least]
        strangers.plot(accepted, [measures.found(asked, one, at) for at in least], label=name)
    roc.set(xlabel="two people taken for one", ylabel="one person known again", title="verification, area")
    roc.set_xscale("symlog", linthresh=1e-3)
    strangers.set(
        xlabel="strangers taken for somebody", ylabel="enrolled found", title="identification with strangers"
    )
    strangers.set_xscale("symlog", linthresh=1e-3)
    served = next(iter(alike.values()))
    first, second = np.triu_indices(len(people), 1)
    scores, same = served[first, second], people[first] == people[second]
    for kind, label in ((same, "one person"), (~same, "two people")):
        spread.hist(scores[kind & (scores > measures.NOTHING)], bins=60, density=True, alpha=0.6, label=label)
    spread.set(xlabel="similarity", title="pairs")
    for axes in (roc, strangers, spread):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    pictures.save(drawn, file)


def _some(count: int) -> Sequence[int]:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(int))
