"""From lines `label<TAB>text` to rows, their splits, and what the Evaluator slices by.

Most sentences of the real file occur several times, as people repeat each other. Lines are drawn into splits one by
one, as in the book; so that nobody is misled, every row says whether its sentence also is in the training split
("repeated") or not ("new"), compared without case and punctuation.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.project import ProjectError
from pipelines.sentiment.features import COPIES_KEY, LABEL_KEY, TEXT_KEY

SPLITS = ("train", "tune", "eval")
# Of ten lines eight are trained on, one chooses the epoch, one is judged.
TRAIN_SHARE = 0.8


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, {"text", "label", "copies", "sentence", "length"}) of every line."""
    rows = [row for file in files for row in read_lines(file)]
    splits = [_split_of(number, text) for number, (_, text) in enumerate(rows)]
    known = {_plain(text) for split, (_, text) in zip(splits, rows, strict=True) if split == "train"}
    copies = Counter((split, _plain(text)) for split, (_, text) in zip(splits, rows, strict=True))
    for split, (label, text) in zip(splits, rows, strict=True):
        words = len(_plain(text).split())
        yield (
            split,
            {
                TEXT_KEY: text,
                LABEL_KEY: label,
                COPIES_KEY: copies[split, _plain(text)],
                "sentence": "repeated" if _plain(text) in known else "new",
                "length": "1 to 5 words"
                if words <= 5
                else "6 to 12 words"
                if words <= 12
                else "13 words or more",
            },
        )


def read_lines(file: Path) -> list[tuple[int, str]]:
    """(label, text) of every line; raises ProjectError with the line's number for another layout."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        if label not in ("0", "1") or not tab:
            raise ProjectError(f"{file}, line {number} is {line[:60]!r}; expected 0 or 1, a tab, a sentence.")
        found.append((int(label), text))
    return found


def _split_of(number: int, text: str) -> str:
    bucket = int.from_bytes(hashlib.sha256(f"{number}:{text}".encode()).digest()[:4], "big") % 10
    return "train" if bucket < 10 * TRAIN_SHARE else "tune" if bucket == 8 else "eval"


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
