"""What is measured: labels, predictions, weights and slices of all rows, as whole columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from components.evaluator.measuring.slicing import Slices


class NotProven(Exception):
    """What the straight way is not proven to measure as TFMA does; the text says what. TFMA's Beam path takes it."""


@dataclass
class Rows:
    """Labels [n] or [n, k], predictions by model [n] or [n, k], weights [n] (all 1 if None), and the slices.

    Models have the names TFMA gives them: '' where there is one, else 'candidate' and 'baseline'.
    """

    labels: np.ndarray
    predictions: Mapping[str, np.ndarray]
    slices: Slices
    weights: np.ndarray | None = None
    files: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.labels)
