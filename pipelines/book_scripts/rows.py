"""From .txt files to one row per paragraph, and their splits by the order of the book.

One paragraph per line; empty lines do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.errors import ProjectError

SPLITS = ("train", "tune", "eval")
# Shares of the text, by words, in the order of the book.
TRAIN, TUNE = 0.8, 0.1
MIN_PARAGRAPHS = 30


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) per paragraph: its text and position. The first 80 % of the words are `train`, the next 10 %
    `tune`, the rest `eval`, so that a model is judged on what the book says later.

    Raises ProjectError where there are too few paragraphs, or a file is no UTF-8 text.
    """
    paragraphs: list[str] = []
    for file in files:
        if file.suffix.lower() != ".txt":
            continue
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ProjectError(f"{file} is no UTF-8 text: {error}. Convert it first.") from error
        paragraphs += [" ".join(line.split()) for line in lines if line.strip()]
    if len(paragraphs) < MIN_PARAGRAPHS:
        raise ProjectError(
            f"{[file.name for file in files][:5]} hold {len(paragraphs)} paragraphs; expected .txt files with "
            f"{MIN_PARAGRAPHS} at least, one per line."
        )
    total, read = sum(len(p.split()) for p in paragraphs), 0
    for position, paragraph in enumerate(paragraphs):
        split = "train" if read < TRAIN * total else "tune" if read < (TRAIN + TUNE) * total else "eval"
        read += len(paragraph.split())
        yield split, {"text": paragraph, "position": position}
