"""What a project's evaluation function is given and what it returns. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# ((feature, value), ...); () is the whole split.
SliceKey = tuple[tuple[str, str | int | float], ...]
Measured = Mapping[SliceKey, Mapping[str, float]]


@dataclass(frozen=True)
class Given:
    """One model and the data to measure it on. The baseline is measured with the same `Given` but for `model`.

    `model` is a SavedModel's folder; `examples` the gz TFRecord files of raw tf.Examples per split (all splits:
    a reference model may be fitted to the training split); `transform_graph` TFT's output folder or None;
    `parameters` the run's hyper-parameters with `variant` and `profile`.
    """

    model: Path
    examples: Mapping[str, Sequence[str]]
    splits: tuple[str, ...]
    transform_graph: Path | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The files of the splits that the node was told to evaluate on."""
        return [file for split in self.splits for file in self.examples[split]]


@dataclass(frozen=True)
class Sampled:
    """A measure that can be taken again of resampled data, which gives its metrics intervals.

    `units` is how many things are drawn, `of` what they are ("rows", or groups of rows that belong together and are
    not independent: the visits of a visitor, the days of a year). `measure` takes an int array [units] that says how
    often each was drawn, and gives what the function would give for these: ones are the data as they are. It is called
    some hundred times, so it should add up what was reckoned once. Two models asked about the same data have the
    same units in the same order; they get the same draws.
    """

    units: int
    measure: Callable[[Any], Measured]
    of: str = "rows"


Measure = Callable[[Given], Measured | Sampled]
