"""The raw data of a project that plays: a table of the episodes that are to be played, and who may meet which.

`episodes.csv` has the columns split, seed, noops and policy. Splits are by seed and by the number of steps without an
action: nobody is judged on a start that was trained on. Training makes further starts of its own (`training_start`),
apart from those of every plan.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.base.errors import ProjectError
from pipelines.pacman.game import Start

FILE = "episodes.csv"
COLUMNS = ("split", "seed", "noops", "policy")
SPLITS = ("train", "tune", "eval")
POLICY = "random"
# Steps without an action before the first decision: those of training, and those that are judged by.
TRAIN_NOOPS, OTHER_NOOPS = range(15), range(15, 30)
# Seeds from here on are training's own.
FREE_SEEDS = 1 << 56
MOST_SEEDS = 1 << 20


class Planned(NamedTuple):
    """One episode that is to be played."""

    split: str
    start: Start
    policy: str


def made(rows: int, seed: int) -> list[Planned]:
    """A plan of about `rows` episodes: half of them to judge by, a tenth to watch a training by."""
    counts = {"eval": max(rows // 2, 2), "tune": max(rows // 10, 1)}
    counts["train"] = max(rows - counts["eval"] - counts["tune"], 1)
    first = seed * MOST_SEEDS
    planned: list[Planned] = []
    for split in SPLITS:
        noops = TRAIN_NOOPS if split == "train" else OTHER_NOOPS
        planned += [
            Planned(split, Start(first + number, noops[number % len(noops)]), POLICY)
            for number in range(counts[split])
        ]
        first += counts[split]
    return planned


def training_start(stream: int, number: int) -> Start:
    """The start of the `number`-th episode that a training plays in one of its games."""
    return Start(FREE_SEEDS + number * 1024 + stream, TRAIN_NOOPS[(7 * stream + number) % len(TRAIN_NOOPS)])


def write(file: Path, planned: Sequence[Planned]) -> None:
    """`planned` as a CSV file that `read` takes."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((one.split, one.start.seed, one.start.noops, one.policy) for one in planned)


def read(file: Path) -> list[Planned]:
    """The episodes of a file, checked. Raises ProjectError with the line that cannot be meant."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ProjectError(f"{file}: the columns are {reader.fieldnames}; expected {', '.join(COLUMNS)}.")
        planned = [_read(file, reader.line_num, row) for row in reader]
    met = {one.start.seed for one in planned if one.split == "train"}
    for one in planned:
        if one.split != "train" and one.start.seed in met:
            raise ProjectError(
                f"{file}: seed {one.start.seed} is in train and in {one.split}; an agent would be judged by what it "
                "was trained on. Give each split seeds of its own."
            )
    return planned


def _read(file: Path, line: int, row: dict[str, str]) -> Planned:
    try:
        start = Start(int(row["seed"]), int(row["noops"]))
    except (TypeError, ValueError):
        raise ProjectError(f"{file}, line {line}: {row}; expected whole numbers as seed and noops.") from None
    noops = TRAIN_NOOPS if row["split"] == "train" else OTHER_NOOPS
    for field, got, good, expected in (
        ("split", row["split"], row["split"] in SPLITS, f"one of {', '.join(SPLITS)}"),
        ("policy", row["policy"], row["policy"] == POLICY, f"{POLICY}, the only one that needs no model"),
        ("seed", start.seed, 0 <= start.seed < FREE_SEEDS, f"0 to {FREE_SEEDS - 1}"),
        ("noops", start.noops, start.noops in noops, f"{noops[0]} to {noops[-1]} in {row['split']}"),
    ):
        if not good:
            raise ProjectError(f"{file}, line {line}: {field} is {got!r}; expected {expected}.")
    return Planned(row["split"], start, row["policy"])
