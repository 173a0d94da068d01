"""TFMA's own reckoning for rows made up in a test: its combiners fed row by row, as Beam would feed them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as tfma_evaluator
from tensorflow_model_analysis.metrics import metric_specs

from components.evaluator.measuring.rows import Rows
from components.evaluator.measuring.slicing import Slices

LABEL, PREDICTION = "label", "score"


def config(*metrics: str, baseline: bool = False, weight: str = "", **spec: Any) -> Any:
    """An EvalConfig over `metrics`, class names with a JSON config after a colon; `spec` is for the MetricsSpec."""
    configs = []
    for text in metrics:
        name, _, given = text.partition(":")
        json.loads(given or "{}")
        configs.append(tfma.MetricConfig(class_name=name, config=given))
    made = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key=LABEL, prediction_key=PREDICTION, example_weight_key=weight)],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["place"])],
        metrics_specs=[tfma.MetricsSpec(metrics=configs, **spec)],
    )
    return tfma.utils.update_eval_config_with_defaults(made, has_baseline=baseline, rubber_stamp=True)


def rows(
    labels: Sequence[float],
    predictions: dict[str, Any],
    places: Sequence[int],
    weights: Sequence[float] | None = None,
) -> Rows:
    """Rows with the slice of all and those of `places` (-1: in none)."""
    place = np.asarray(places, np.int32)
    keys: list[Any] = [(), *((("place", int(number)),) for number in sorted({*places} - {-1}))]
    numbers = {key[0][1]: number for number, key in enumerate(keys) if key}
    layer = np.array([numbers.get(int(one), -1) for one in place], np.int32)
    return Rows(
        np.asarray(labels),
        {name: np.asarray(values, np.float32) for name, values in predictions.items()},
        Slices(keys, [np.zeros(len(place), np.int32), layer]),
        None if weights is None else np.asarray(weights, np.float32),
    )


def by_row(given: Rows, eval_config: Any) -> dict[Any, dict[Any, Any]]:
    """Every metric and plot of every slice, by TFMA's preprocessors, combiners and derived computations."""
    sorted_out = tfma_evaluator._filter_and_separate_computations(
        metric_specs.to_computations(eval_config.metrics_specs, eval_config=eval_config)
    )
    prepare = tfma_evaluator._PreprocessorDoFn(sorted_out.non_derived_computations)
    prepare.setup()
    combine = tfma_evaluator._ComputationsCombineFn(sorted_out.non_derived_computations)
    combine.setup()
    totals = [combine.create_accumulator() for _ in given.slices.keys]
    for number in range(len(given)):
        (prepared,) = prepare.process(_extracts(given, number, eval_config))
        for layer in given.slices.layers:
            if layer[number] >= 0:
                totals[layer[number]] = combine.add_input(totals[layer[number]], prepared)
    found = {}
    for key, total in zip(given.slices.keys, totals, strict=True):
        metrics = dict(combine.extract_output(total))
        with np.errstate(all="ignore"):
            for derived in sorted_out.derived_computations:
                metrics.update(derived.result(metrics))
        found[key] = {k: v for k, v in metrics.items() if not tfma_evaluator._is_private_metrics(k)}
    return found


def _extracts(given: Rows, number: int, eval_config: Any) -> dict[str, Any]:
    several = len(eval_config.model_specs) > 1
    label = np.array(given.labels[number]).reshape(-1)
    predicted: Any = {name: values[number].reshape(-1).copy() for name, values in given.predictions.items()}
    weight = None if given.weights is None else given.weights[number].reshape(-1)
    names = list(predicted)
    return {
        tfma.LABELS_KEY: dict.fromkeys(names, label) if several else label,
        tfma.PREDICTIONS_KEY: predicted if several else predicted[""],
        tfma.EXAMPLE_WEIGHTS_KEY: (dict.fromkeys(names, weight) if several else weight),
        tfma.FEATURES_KEY: {},
        tfma.SLICE_KEY_TYPES_KEY: np.array([], object),
    }
