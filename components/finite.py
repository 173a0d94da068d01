"""Numbers that are none: which predictions are NaN or infinite, and what an evaluator says of them.

TFMA stops at one in the middle of a sum, or counts it as a wrong answer; neither is a measurement.
"""

from __future__ import annotations

import numpy as np

from pipelines.base.errors import ProjectError


def bad_rows(values: np.ndarray) -> np.ndarray:
    """Which rows [n] of `values` [n, ...] hold a NaN or an infinity; text and whole numbers never do."""
    if values.dtype.kind != "f":
        return np.zeros(len(values), bool)
    return ~np.isfinite(values).reshape(len(values), -1).all(axis=1)


def refuse(bad: int, rows: int) -> None:
    """Raises ProjectError if the predictions of `bad` of `rows` rows are not finite."""
    if bad:
        raise ProjectError(
            f"predictions are not finite: {bad:,} of {rows:,} rows. The model answers NaN or infinity there, so it was "
            "not measured. Look at the features of such rows and at the training's loss; lower the learning rate."
        )
