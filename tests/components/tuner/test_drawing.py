"""The picture of a search is drawn of whatever a search may have come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.tuner import drawing


def _results(
    values: list[float | None], importances: dict[str, float], *, maximise: bool = True
) -> dict[str, Any]:
    trials = [
        {"number": number, "state": "pruned" if value is None else "complete", "value": value}
        for number, value in enumerate(values)
    ]
    finals = [{"trial": 0, "values": [0.8, 0.8, 0.9], "mean": 0.833, "error": 0.03, "score": 0.8}]
    return {
        "metric": "auc", "maximise": maximise, "trials": trials, "finals": finals, "chosen": finals[0],
        "importances": importances,
    }  # fmt: skip


@pytest.mark.parametrize("importances", [{}, {"rate": 0.9, "units": 0.1}])
@pytest.mark.parametrize("values", [[0.8], [0.8, None, 0.7, 0.9]])
def test_a_search_is_drawn(tmp_path: Path, values: list[float | None], importances: dict[str, float]) -> None:
    drawing.draw(_results(values, importances), tmp_path / "tuning.png")
    assert (tmp_path / "tuning.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_until_then_passes_over_what_came_to_no_value() -> None:
    trials = _results([0.8, None, 0.7, 0.9], {})["trials"]
    assert drawing.best_so_far(trials, True) == [(0, 0.8), (2, 0.8), (3, 0.9)]
    assert drawing.best_so_far(trials, False) == [(0, 0.8), (2, 0.7), (3, 0.7)]
