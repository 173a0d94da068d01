"""TFMA's EvalConfig from a project's card: what is measured, on which slices, against which bars.

The bar is absolute (the new model must reach it) and relative (it may not lose more than `max_loss` against the
last blessed model). Projects whose measure is no metric over rows use components/function_evaluator instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipelines.base.project import Bar, Project, ProjectError, Settings

if TYPE_CHECKING:
    import tensorflow_model_analysis as tfma

# What the dashboards draw: ROC, precision and recall by threshold, calibration, confusion. 7 % of the Evaluator's cost.
PLOTS = {
    "binary": ('ConfusionMatrixPlot:{"num_thresholds": 200}', "CalibrationPlot"),
    "multiclass": ("MultiClassConfusionMatrixPlot",),
}


def eval_config(project: Project, settings: Settings) -> tfma.EvalConfig:
    """The EvalConfig of `project` under `settings`' profile and variant.

    Bars become TFMA thresholds on the metric of that name, counted over the whole evaluation split. Raises
    ProjectError if a bar names a metric that the card does not measure.
    """
    import tensorflow_model_analysis as tfma

    card = project.evaluation
    bars = {bar.metric: bar for bar in project.bars(settings.profile, settings.variant)}
    metrics = [_metric_config(text) for text in card.metrics]
    names = [_result_name(metric) for metric in metrics]
    if len(bars) < len(project.bars(settings.profile, settings.variant)):
        raise ProjectError(f"{project.name}: two bars on one metric; TFMA's gate takes one for each.")
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


def _threshold(bar: Bar) -> Any:
    import tensorflow_model_analysis as tfma

    higher = bar.at_least is not None
    # TFMA's thresholds are strict; a bar is met by its own value.
    slack = 1e-9 * max(1.0, abs(bar.bound))
    value = (
        tfma.GenericValueThreshold(lower_bound={"value": bar.bound - slack})
        if higher
        else tfma.GenericValueThreshold(upper_bound={"value": bar.bound + slack})
    )
    threshold = tfma.MetricThreshold(value_threshold=value)
    if bar.max_loss is not None:
        direction = tfma.MetricDirection.HIGHER_IS_BETTER if higher else tfma.MetricDirection.LOWER_IS_BETTER
        threshold.change_threshold.CopyFrom(
            tfma.GenericChangeThreshold(
                direction=direction,
                absolute={"value": -bar.max_loss - slack if higher else bar.max_loss + slack},
            )
        )
    return threshold
