"""TFMA's EvalConfig from a project's card: what is measured, on which slices, against which bars.

The bar is absolute (the new model must reach it) and relative (it may not lose more than `max_loss` against the
last blessed model). Projects whose measure is no metric over rows use components/function_evaluator instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import ProjectError
from pipelines.base.project import Bar, Project
from pipelines.base.settings import Settings

if TYPE_CHECKING:
    import tensorflow_model_analysis as tfma

# What the dashboards draw: ROC, precision and recall by threshold, calibration, confusion. 7 % of the Evaluator's cost.
PLOTS = {
    "binary": ('ConfusionMatrixPlot:{"num_thresholds": 200}', "CalibrationPlot"),
    "multiclass": ("MultiClassConfusionMatrixPlot",),
}
LARGEST = sys.float_info.max


def eval_config(project: Project, settings: Settings) -> tfma.EvalConfig:
    """The EvalConfig of `project` under `settings`' profile and variant.

    Bars become TFMA thresholds on the metric of that name, counted over the whole evaluation split; two on one metric
    are the ends of a band. Raises ProjectError if a bar names a metric that the card does not measure, or two bars on
    one have a `max_loss`.
    """
    import tensorflow_model_analysis as tfma

    card = project.evaluation
    bars: dict[str, list[Bar]] = {}
    for bar in project.bars(settings.profile, settings.variant):
        bars.setdefault(bar.metric, []).append(bar)
    metrics = [_metric_config(text) for text in card.metrics]
    names = [_result_name(metric) for metric in metrics]
    missing = set(bars) - set(names)
    if missing:
        raise ProjectError(
            f"{project.name}: bars on {sorted(missing)}; the card measures only {sorted(names)}."
        )
    for metric, name in zip(metrics, names, strict=True):
        if name in bars:
            # On the overall slice only: TFMA checks a plain threshold on every slice, however few rows it has.
            metric.per_slice_thresholds.append(
                tfma.PerSliceMetricThreshold(
                    slicing_specs=[tfma.SlicingSpec()], threshold=_threshold(bars[name])
                )
            )
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name=card.signature,
                label_key=card.label_key,
                prediction_key=card.prediction_key,
                preprocessing_function_names=card.preprocessing,
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=keys) for keys in card.slices)],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[*map(_metric_config, ("ExampleCount", *PLOTS.get(card.task, ()))), *metrics]
            )
        ],
    )


def metric_names(config: tfma.EvalConfig) -> dict[str, Any]:
    """The metrics of an EvalConfig by the names that their results have."""
    found = [metric for spec in config.metrics_specs for metric in spec.metrics]
    return {_result_name(metric): metric for metric in found}


def _metric_config(text: str) -> Any:
    import tensorflow_model_analysis as tfma

    name, _, config = text.partition(":")
    if config:
        json.loads(config)
    return tfma.MetricConfig(class_name=name, config=config)


def _result_name(metric: Any) -> str:
    """The name a metric has in TFMA's results: its config's `name`, else its class's snake_case."""
    config = json.loads(metric.config or "{}")
    if "name" in config:
        return config["name"]
    import tensorflow_model_analysis as tfma
    import tf_keras as keras

    cls = getattr(tfma.metrics, metric.class_name, None) or getattr(keras.metrics, metric.class_name, None)
    if cls is None:
        raise ProjectError(f"Metric {metric.class_name!r} is neither in tfma.metrics nor in keras.metrics.")
    return cls(**config).name


def _threshold(bars: Sequence[Bar]) -> Any:
    """One threshold for all bars on a metric."""
    import tensorflow_model_analysis as tfma

    lows = [bar.bound - _slack(bar) for bar in bars if bar.at_least is not None]
    highs = [bar.bound + _slack(bar) for bar in bars if bar.at_most is not None]
    # A side without a bar is bounded by the largest number there is: an infinite metric meets no bar.
    value = tfma.GenericValueThreshold(
        lower_bound={"value": max(lows, default=-LARGEST)},
        upper_bound={"value": min(highs, default=LARGEST)},
    )
    threshold = tfma.MetricThreshold(value_threshold=value)
    losing = [bar for bar in bars if bar.max_loss is not None]
    if len(losing) > 1:
        raise ProjectError(
            f"max_loss is on {len(losing)} bars of {losing[0].metric!r}; expected one: it says which way is a loss."
        )
    for bar in losing:
        threshold.change_threshold.CopyFrom(_change(bar))
    return threshold


def _slack(bar: Bar) -> float:
    """TFMA's thresholds are strict; a bar is met by its own value."""
    return 1e-9 * max(1.0, abs(bar.bound))


def _change(bar: Bar) -> Any:
    import tensorflow_model_analysis as tfma

    higher, most = bar.at_least is not None, float(bar.max_loss or 0.0) + _slack(bar)
    direction = tfma.MetricDirection.HIGHER_IS_BETTER if higher else tfma.MetricDirection.LOWER_IS_BETTER
    return tfma.GenericChangeThreshold(direction=direction, absolute={"value": -most if higher else most})
