"""What a report is made from: folders and files of one run, without TFX's types. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ReportContext:
    """Given to `report(context)`.

    `folder` is where pictures go (it exists); `model` the SavedModel; `examples` the raw gz TFRecord files of
    each split; `training_logs` TensorBoard's folder and what else the Trainer left there. What the node was
    not given is None. `parameters` are the run's hyper-parameters.
    """

    folder: Path
    model: Path
    examples: Mapping[str, Sequence[str]]
    transform_graph: Path | None = None
    evaluation: Path | None = None
    training_logs: Path | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def files(self, split: str) -> Sequence[str]:
        """The example files of `split`. Raises KeyError that names the splits there are."""
        if split not in self.examples:
            raise KeyError(f"No split {split!r} in the examples; there are {sorted(self.examples)}.")
        return self.examples[split]
