"""From the official layout (LABEL, FLUX.1 ... FLUX.3197 in CSV, plain or .gz) to one row per star.

3,197 columns would be 3,197 features to every component that follows; here a curve is one feature, `flux`, a
list of 3,197 numbers with NaN where a cell is empty. Splits are drawn class by class: with 42 hosts among 5,657
stars, chance alone would now and then leave a split without any. Where a file names the star of each curve, all curves
of a star go to one split: a model that has seen a star knows its spots and its noise.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.errors import ProjectError
from pipelines.exoplanets.features import FLUX_KEY, RAW_LABEL_KEY
from pipelines.exoplanets.periodogram import LENGTH

SPLITS = ("train", "tune", "eval")
# Of five stars of a class three go to train, one to tune, one to eval.
TURN = ("train", "tune", "train", "eval", "train")
LABELS = (1, 2)
STAR_COLUMNS = ("star", "target", "kepid", "kic")
BLOCK_BYTES = 16 << 20


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, {"flux": [3197 floats], "LABEL": 1 or 2}) of every star; raises ProjectError for another layout."""
    seen = dict.fromkeys(LABELS, 0)
    known: dict[str, str] = {}
    for file in files:
        for label, flux, star in read_stars(file):
            split = known.get(star) if star else None
            if split is None:
                split = TURN[seen[label] % len(TURN)]
                seen[label] += 1
            if star:
                known[star] = split
            yield split, {FLUX_KEY: flux, RAW_LABEL_KEY: label}


def read_curves(file: Path) -> Iterator[tuple[int, list[float]]]:
    """(LABEL, flux) of each line of one CSV file; columns may stand in any order, others are passed over."""
    for label, flux, _ in read_stars(file):
        yield label, flux


def read_stars(file: Path) -> Iterator[tuple[int, list[float], str]]:
    """(LABEL, flux, star) of each line; the star is '' where the file has no column of STAR_COLUMNS."""
    import pyarrow as pa
    import pyarrow.csv

    names = [f"FLUX.{i}" for i in range(1, LENGTH + 1)]
    star = next((column for column in _header(file) if column.lower() in STAR_COLUMNS), None)
    stars = [] if star is None else [star]
    types = {
        RAW_LABEL_KEY: pa.int64(),
        **dict.fromkeys(names, pa.float32()),
        **dict.fromkeys(stars, pa.string()),
    }
    try:
        reader = pyarrow.csv.open_csv(
            str(file),
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=[RAW_LABEL_KEY, *names, *stars]
            ),
        )
        for batch in reader:
            yield from _curves_of(batch, file, len(names))
    except (pa.ArrowInvalid, KeyError) as error:
        raise ProjectError(
            f"{file} cannot be read as light curves: {error}. Expected CSV with LABEL (2: has a planet, 1: has not) "
            f"and FLUX.1 to FLUX.{LENGTH}, as exoTrain.csv and exoTest.csv have."
        ) from error


def _header(file: Path) -> list[str]:
    """The names of the first line; [] for a file that cannot be read, which reading it whole will say."""
    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            return next(csv.reader(lines), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error):
        return []


def _curves_of(batch: Any, file: Path, cadences: int) -> Iterator[tuple[int, list[float], str]]:
    import numpy as np

    labels = batch.column(0).to_pylist()
    columns = [batch.column(i).to_numpy(zero_copy_only=False) for i in range(1, cadences + 1)]
    named = batch.num_columns > cadences + 1
    stars = batch.column(cadences + 1).to_pylist() if named else [""] * batch.num_rows
    for label, flux, star in zip(labels, np.stack(columns, axis=1), stars, strict=True):
        if label not in LABELS:
            raise ProjectError(f"{file}: LABEL is {label!r}; expected 2 (has a planet) or 1 (has not).")
        yield label, flux.tolist(), (star or "").strip()
