"""Whether two exported models are as good as their original: the figures and the limits. NumPy only."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


class ParityError(Exception):
    """An exported model is worse than its original by more than the limits allow."""


@dataclass(frozen=True)
class Limits:
    """`float_difference`: largest absolute difference of an output. `accuracy_loss`: points of the integer
    model below the original, as a fraction. `size_ratio`: integer file / float file."""

    float_difference: float = 1e-4
    accuracy_loss: float = 0.003
    size_ratio: float = 0.30


@dataclass(frozen=True)
class Parity:
    """Original, float and integer model on the same rows; sizes in bytes."""

    rows: int
    accuracy_original: float
    accuracy_float: float
    accuracy_int8: float
    float_difference: float
    int8_difference: float
    int8_agreement: float
    bytes_float: int
    bytes_int8: int

    @property
    def size_ratio(self) -> float:
        return self.bytes_int8 / self.bytes_float

    def figures(self) -> dict[str, float | int]:
        """All numbers by name, with the size ratio."""
        return {**asdict(self), "size_ratio": round(self.size_ratio, 4)}

    def losses(self, limits: Limits) -> list[str]:
        """One sentence for each limit that is not kept; empty if parity holds."""
        lost = []
        if not self.float_difference <= limits.float_difference:
            lost.append(
                f"the float model's outputs differ by up to {self.float_difference:.2g} from the original's; "
                f"expected at most {limits.float_difference:.2g}"
            )
        loss = self.accuracy_original - self.accuracy_int8
        if not loss <= limits.accuracy_loss:
            lost.append(
                f"the int8 model's accuracy is {self.accuracy_int8:.4f} where the original has "
                f"{self.accuracy_original:.4f}; expected at most {limits.accuracy_loss:g} less"
            )
        if not self.size_ratio <= limits.size_ratio:
            lost.append(
                f"the int8 file has {self.bytes_int8:,} bytes, {self.size_ratio:.0%} of the float file's "
                f"{self.bytes_float:,}; expected at most {limits.size_ratio:.0%}"
            )
        return lost


def measure(
    labels: np.ndarray,
    original: np.ndarray,
    as_float: np.ndarray,
    as_int8: np.ndarray,
    bytes_float: int,
    bytes_int8: int,
) -> Parity:
    """Compares class scores [n, classes] of the three models for `labels` [n]. Raises ValueError for no rows."""
    if not len(labels):
        raise ValueError("There are no rows to compare the models on.")
    best = {"original": original, "float": as_float, "int8": as_int8}
    chosen = {name: scores.argmax(axis=1) for name, scores in best.items()}
    accuracy = {name: float((picked == labels).mean()) for name, picked in chosen.items()}
    return Parity(
        rows=len(labels),
        accuracy_original=accuracy["original"],
        accuracy_float=accuracy["float"],
        accuracy_int8=accuracy["int8"],
        float_difference=float(np.abs(as_float - original).max()),
        int8_difference=float(np.abs(as_int8 - original).max()),
        int8_agreement=float((chosen["int8"] == chosen["original"]).mean()),
        bytes_float=bytes_float,
        bytes_int8=bytes_int8,
    )
