"""A program: TFMA itself evaluates two tables into FOLDER, a regression and a classification with intervals.

Run in a process of its own, because TFMA takes seconds to import and stays. Prints, as its last line, JSON with
the summary that a run's record would hold of each.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import pandas as pd
import tensorflow_model_analysis as tfma

from pipelines.base.summary import overall_metrics

ROWS = 600


def regression(random: np.random.Generator) -> pd.DataFrame:
    """Labels in [50, 500]; above 350 the prediction falls short by a tenth of the excess."""
    size = random.uniform(50, 500, ROWS)
    short = np.where(size > 350, 0.1 * (size - 350), 0.0)
    return pd.DataFrame({"label": size + random.normal(0, 5, ROWS), "prediction": size - short})


def binary(random: np.random.Generator) -> pd.DataFrame:
    """A calibrated score."""
    score = random.uniform(0, 1, ROWS)
    return pd.DataFrame({"label": (random.uniform(0, 1, ROWS) < score) * 1.0, "prediction": score})


def evaluate(folder: Path, rows: pd.DataFrame, intervals: bool, metrics: dict[str, Any]) -> dict[str, float]:
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="label", prediction_key="prediction")],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[tfma.MetricConfig(class_name=n, config=json.dumps(c)) for n, c in metrics.items()]
            )
        ],
    )
    config.options.compute_confidence_intervals.value = intervals
    tfma.analyze_raw_data(rows, config, output_path=str(folder))
    return overall_metrics(str(folder))


def main() -> None:
    folder, random = Path(sys.argv[1]), np.random.default_rng(1)
    numbers: dict[str, Any] = {
        "ExampleCount": {},
        "MeanAbsoluteError": {},
        "CalibrationPlot": {"left": 0, "right": 600},
    }
    shares: dict[str, Any] = {"ExampleCount": {}, "Recall": {}, "AUC": {}}
    summaries = {
        "regression": evaluate(folder / "regression", regression(random), False, numbers),
        "binary": evaluate(folder / "binary", binary(random), True, shares),
    }
    print(json.dumps(summaries))


if __name__ == "__main__":
    main()
