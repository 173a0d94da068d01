"""A watch of a synthetic HOME as `viaduct watch` leaves it: windows, one with drift, and outcomes that came back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.base.paths import Paths
from pipelines.base.watching import record, state

AT = 1_790_000_000.0


def add(home: Path, builder: Any) -> state.State:
    """Of card_fraud's version 1700000001; the last window and the first alarm are of one time. All but the last alarm
    are recorded."""
    if not (home / "serving" / "card_fraud" / "1700000001").exists():
        builder.run("card_fraud", 1)
    paths = Paths.of("card_fraud", home)
    kept = state.State()
    for number in range(5):
        beyond = ["Amount"] if number > 1 else []
        foremost = [{"feature": "Amount", "distance": 0.31 if beyond else 0.01, "bound": 0.043}]
        kept.windows.append(
            {"version": 1700000001, "until": AT + 3600 * number, "rows": 1000, "compared": 30, "beyond": beyond,
             "foremost": foremost}
        )  # fmt: skip
    kept.alarms.append(
        {"version": 1700000001, "until": AT + 4 * 3600, "feature": "Amount", "distance": 0.31, "bound": 0.043}
    )
    metric = {
        "metric": "recall", "value": 0.52, "low": 0.44, "high": 0.6, "rows": 300, "evaluated": 0.85,
        "evaluated_low": 0.79, "evaluated_high": 0.9, "worse": True,
    }  # fmt: skip
    fine = {**metric, "metric": "fall_out", "value": 0.004, "low": 0.001, "high": 0.01, "worse": False,
            "evaluated": 0.01, "evaluated_low": None, "evaluated_high": None}  # fmt: skip
    kept.quality["1700000001"] = {"answers": 5000, "outcomes": 320, "odd": 20, "metrics": [metric, fine]}
    kept.started, kept.reason = AT + 5 * 3600, "drift: <b>Amount</b>"
    folder = paths.watch("card_fraud")
    state.save(folder, kept)
    record.record(builder.store, paths)
    kept.alarms.append({"version": 1700000001, "until": AT + 9 * 3600, **metric})
    state.save(folder, kept)
    return kept
