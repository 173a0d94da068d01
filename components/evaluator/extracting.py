"""TFMA's default extractors with two steps more: rows whose prediction is not finite are counted, and rows are kept.

What is kept is what resampling needs (see kept.py). It refuses nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.metrics import Metrics
from tensorflow_model_analysis.extractors import predictions_extractor

from components import finite
from components.evaluator import kept

NAMESPACE = "viaduct_predictions"
ROWS, BAD = "rows", "not_finite"


def custom_extractors(eval_shared_model: Any, eval_config: Any, tensor_adapter_config: Any) -> list[Any]:
    """TFX's callback of that name: the default extractors and, after the predictions, the count."""
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    stages = [extractor.stage_name for extractor in extractors]
    place = stages.index(predictions_extractor.PREDICTIONS_EXTRACTOR_STAGE_NAME) + 1
    counting = beam.Map(count, _judged(eval_config))
    keeping = []
    if kept.ROWS_FOLDER.get():
        keep = Keep(eval_config, kept.ROWS_FOLDER.get())
        keeping = [tfma.extractors.Extractor(stage_name="KeepRows", ptransform=keep)]
    return [
        *extractors[:place],
        tfma.extractors.Extractor(stage_name="CountFinitePredictions", ptransform=counting),
        *extractors[place:],
        *keeping,
    ]


class Keep(beam.PTransform):
    """Writes label, predictions, weight and slices of every row to Parquet files in `folder`; the rows go on.

    Rows of a form that TFMA itself cannot pair are left out.
    """

    def __init__(self, eval_config: Any, folder: str) -> None:
        super().__init__()
        self._config, self._folder = eval_config, folder

    def expand(self, extracts: Any) -> Any:
        import pyarrow as pa

        names = (
            [spec.name for spec in self._config.model_specs] if len(self._config.model_specs) > 1 else [""]
        )
        numbers = pa.list_(pa.float64())
        fields = [(kept.LABEL, numbers), (kept.WEIGHT, pa.float64()), (kept.SLICES, pa.string())]
        schema = pa.schema([*fields, *((f"{kept.PREDICTION}{name}", numbers) for name in names)])
        _ = (
            extracts
            | "Row" >> beam.FlatMap(row_of, self._config, names)
            | "Write"
            >> beam.io.WriteToParquet(os.path.join(self._folder, "rows"), schema, file_name_suffix=".parquet")
        )
        return extracts


def row_of(extracts: dict[str, Any], eval_config: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """One row as Keep writes it, paired by TFMA's own function."""
    from tensorflow_model_analysis.metrics import metric_types, metric_util

    row: dict[str, Any] = {
        kept.SLICES: json.dumps([list(map(list, key)) for key in extracts[tfma.SLICE_KEY_TYPES_KEY]])
    }
    try:
        for name in names:
            label, prediction, weight = next(
                metric_util.to_label_prediction_example_weight(
                    metric_types.StandardMetricInputs(extracts),
                    eval_config=eval_config,
                    model_name=name,
                    flatten=False,
                    example_weighted=True,
                )
            )
            row |= {
                kept.LABEL: np.asarray(label, np.float64).ravel().tolist(),
                kept.WEIGHT: float(np.asarray(weight).ravel()[0]),
                f"{kept.PREDICTION}{name}": np.asarray(prediction, np.float64).ravel().tolist(),
            }
    except (ValueError, TypeError, KeyError, IndexError):
        return
    yield row


def _judged(eval_config: Any) -> tuple[str, str]:
    """(model name, prediction key) of the candidate; TFMA leaves the name out where there is one model only."""
    (spec,) = [spec for spec in eval_config.model_specs if not spec.is_baseline]
    return ("" if len(eval_config.model_specs) == 1 else spec.name), spec.prediction_key


def count(extracts: dict[str, Any], judged: tuple[str, str]) -> dict[str, Any]:
    """A batch of extracts with zeros for predictions that are not finite; the candidate's are counted.

    With zeros the pipeline comes to its end, where the count is complete.
    """
    model, key = judged
    predictions = extracts[tfma.PREDICTIONS_KEY]
    mine = predictions[model] if model else predictions
    if isinstance(mine, Mapping):
        mine = mine.get(key)
    if isinstance(mine, np.ndarray):
        Metrics.counter(NAMESPACE, ROWS).inc(len(mine))
        Metrics.counter(NAMESPACE, BAD).inc(int(finite.bad_rows(mine).sum()))
    return {**extracts, tfma.PREDICTIONS_KEY: _with_zeros(predictions)}


def _with_zeros(predictions: Any) -> Any:
    if isinstance(predictions, Mapping):
        return {name: _with_zeros(value) for name, value in predictions.items()}
    if isinstance(predictions, np.ndarray) and predictions.dtype.kind == "f":
        return np.where(np.isfinite(predictions), predictions, predictions.dtype.type(0))
    return predictions
