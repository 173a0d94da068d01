"""What NASA's table of Kepler objects of interest says of a star, beside the label that a file of curves gives it.

Stars are told by 'KIC 11551692', '11551692' or a planet's name without its letter, 'Kepler-411'. A star that is not in
the table may have been looked at and found quiet, or never; the table says nothing of it.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.base.errors import ProjectError

COLUMNS = ("kepid", "kepoi_name", "kepler_name", "koi_disposition", "koi_period")
CONFIRMED, CANDIDATE, FALSE_POSITIVE = "CONFIRMED", "CANDIDATE", "FALSE POSITIVE"


class Known(NamedTuple):
    """A star's best disposition (confirmed before candidate before false positive) and its objects, in words."""

    disposition: str
    objects: str

    @property
    def is_host(self) -> bool | None:
        """True for a confirmed planet, False for nothing but false positives, None for candidates."""
        return {CONFIRMED: True, FALSE_POSITIVE: False}.get(self.disposition)


def read(file: Path) -> dict[str, Known]:
    """Star, by both its names, -> what the table says. Raises ProjectError for a file that is no such table."""
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8", newline="") as stream:
            # The archive's own downloads begin with lines of comment.
            rows = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ProjectError(
            f"{file} cannot be read: {error}. Expected NASA's cumulative KOI table as CSV."
        ) from error
    missing = [column for column in COLUMNS if column not in (rows[0] if rows else {})]
    if missing:
        raise ProjectError(f"{file} has no columns {missing}; expected NASA's cumulative KOI table as CSV.")
    by_star: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        number = row["kepid"].strip()
        names = [number, f"KIC {number}", row["kepler_name"].rpartition(" ")[0]]
        for name in filter(None, names):
            by_star.setdefault(name, []).append(row)
    return {star: _known(found) for star, found in by_star.items()}


def _known(rows: Iterable[Mapping[str, str]]) -> Known:
    order = (CONFIRMED, CANDIDATE, FALSE_POSITIVE)
    rows = sorted(rows, key=lambda row: row["kepoi_name"])
    there = [row["koi_disposition"].strip().upper() for row in rows]
    told = [
        f"{row['kepler_name'] or row['kepoi_name']} {disposition.lower()}, {float(row['koi_period'] or 'nan'):.4g} d"
        for row, disposition in zip(rows, there, strict=True)
    ]
    best = next((one for one in order if one in there), there[0])
    return Known(best, "; ".join(told))


def compare(hosts: np.ndarray, stars: Sequence[str], table: Mapping[str, Known]) -> list[str]:
    """A line for each star that the table contradicts or leaves open: its label, and what the table says."""
    lines = []
    for star in np.unique(stars):
        labels, known = hosts[np.asarray(stars) == star], table.get(star)
        label = "planet" if labels.all() else "no planet" if not labels.any() else "both"
        if known is None:
            lines.append(f"{star}: label {label}; not in the table")
        elif known.is_host is None:
            lines.append(f"{star}: label {label}; OPEN, candidates only: {known.objects}")
        elif label == "both" or known.is_host != labels[0]:
            lines.append(f"{star}: label {label} is WRONG by the table: {known.objects}")
    return lines


def relabel(
    hosts: np.ndarray, stars: Sequence[str], table: Mapping[str, Known]
) -> tuple[np.ndarray, np.ndarray]:
    """(is a host [n], is to count [n]) by the table: candidates do not count, stars not in it keep their label."""
    labels, counts = hosts.copy(), np.ones(len(hosts), bool)
    for row, star in enumerate(stars):
        known = table.get(star)
        if known is not None:
            labels[row], counts[row] = bool(known.is_host), known.is_host is not None
    return labels, counts
