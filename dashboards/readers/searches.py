"""What a Tuner found: its results.json, checked to be of the kind that the page draws."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "results.json"


@dataclass(frozen=True)
class Found:
    """A search: its trials in order, the best of them with other seeds, the choice, what the metric depends on."""

    metric: str
    maximise: bool
    trials: Sequence[Mapping[str, Any]]
    finals: Sequence[Mapping[str, Any]]
    chosen: Mapping[str, Any]
    importances: Mapping[str, float]
    space: Mapping[str, str]

    @property
    def best_so_far(self) -> list[tuple[int, float]]:
        """(number, best value until then) of the trials that came to a value."""
        values = [(one["number"], float(one["value"])) for one in self.trials if one["value"] is not None]
        best = itertools.accumulate((value for _, value in values), max if self.maximise else min)
        return [(number, value) for (number, _), value in zip(values, best, strict=True)]


def read_results(folder: Path) -> Found:
    """The results in the artifact's folder. Raises ValueError, KeyError, TypeError for what is none."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    trials = [
        {"number": int(one["number"]), "state": str(one["state"]), "value": _number(one["value"]),
         "parameters": dict(one["parameters"]), "seconds": _number(one.get("seconds")),
         "error": str(one.get("error") or "")}
        for one in told["trials"]
    ]  # fmt: skip
    finals = [
        {"trial": int(one["trial"]), "parameters": dict(one["parameters"]), "mean": float(one["mean"]),
         "error": float(one["error"]), "score": float(one["score"]), "values": [float(v) for v in one["values"]]}
        for one in told["finals"]
    ]  # fmt: skip
    chosen = next(one for one in finals if one["trial"] == told["chosen"]["trial"])
    importances = {str(name): float(share) for name, share in told["importances"].items()}
    space = {str(name): str(one) for name, one in told["space"].items()}
    return Found(str(told["metric"]), bool(told["maximise"]), trials, finals, chosen, importances, space)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
