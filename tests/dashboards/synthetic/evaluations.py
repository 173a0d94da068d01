"""What an Evaluator leaves: TFMA's metrics, plots, gate and config, with a last blessed model beside the new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards.readers.protos import message
from tests.dashboards.synthetic.records import EVIL, tfrecord

TFMA = "tensorflow_model_analysis."

BAR = 0.8


def evaluation(
    target: Path, number: int, *, value: float = 0.9, metric: str = "recall", task: str = "binary"
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    metrics, plots, validations = [], [], message(TFMA + "ValidationResult")()
    validations.validation_ok = value - 0.2 >= BAR
    for key in ("", "de", EVIL):
        one = message(TFMA + "MetricsForSlice")()
        if key:
            one.slice_key.single_slice_keys.add(column="country", bytes_value=key.encode())
        given = value - (0.2 if key == EVIL else 0.0)
        # With a last blessed model TFMA writes its metrics too, after the new one's.
        for model, name, number_ in (
            ("candidate", metric, given),
            ("baseline", metric, given - 0.02),
            ("candidate", "fall_out", 0.01),
            ("baseline", "fall_out", 0.02),
            ("candidate", "example_count", 400.0),
            ("baseline", "example_count", 400.0),
        ):
            item = one.metric_keys_and_values.add()
            item.key.name, item.key.model_name, item.value.double_value.value = name, model, number_
            if name == metric:
                item.confidence_interval.lower_bound.double_value.value = number_ - 0.05
                item.confidence_interval.upper_bound.double_value.value = number_ + 0.05
        difference = one.metric_keys_and_values.add()
        difference.key.name, difference.key.is_diff, difference.value.double_value.value = metric, True, 0.02
        difference.key.model_name = "candidate"
        metrics.append(one.SerializeToString())
        if given < BAR:
            failed = validations.metric_validations_per_slice.add(slice_key=one.slice_key).failures.add()
            failed.metric_key.name, failed.metric_value.double_value.value = metric, given
            failed.metric_threshold.value_threshold.lower_bound.value = BAR
        plots.append(_plots(one.slice_key, task).SerializeToString())
    config = {
        "metricsSpecs": [
            {
                "metrics": [
                    {
                        "className": metric.title().replace("_", ""),
                        "threshold": {
                            "valueThreshold": {"lowerBound": BAR},
                            "changeThreshold": {"direction": "HIGHER_IS_BETTER", "absolute": -0.1},
                        },
                    }
                ]
            }
        ]
    }
    (target / "eval_config.json").write_text(json.dumps({"evalConfig": config}), encoding="utf-8")
    (target / "metrics-00000-of-00001.tfrecord").write_bytes(tfrecord(metrics))
    (target / "plots-00000-of-00001.tfrecord").write_bytes(tfrecord(plots))
    (target / "validations.tfrecord").write_bytes(tfrecord([validations.SerializeToString()]))


def _plots(slice_key: Any, task: str) -> Any:
    found = message(TFMA + "PlotsForSlice")()
    found.slice_key.CopyFrom(slice_key)
    data = found.plot_keys_and_values.add().value
    if task == "binary":
        for i in range(101):
            t = i / 100
            data.confusion_matrix_at_thresholds.matrices.add(
                threshold=t, true_positives=100 * (1 - t**3), false_negatives=100 * t**3,
                false_positives=900 * (1 - t) ** 2, true_negatives=900 * (1 - (1 - t) ** 2),
            )  # fmt: skip
    if task == "multiclass":
        matrix = data.multi_class_confusion_matrix_at_thresholds.matrices.add(threshold=0.5)
        for a in range(10):
            for p in range(10):
                matrix.entries.add(
                    actual_class_id=a, predicted_class_id=p, num_weighted_examples=90 if a == p else 1
                )
        return found
    for i in range(20):
        bucket = data.calibration_histogram_buckets.buckets.add(
            lower_threshold_inclusive=i / 20, upper_threshold_exclusive=(i + 1) / 20
        )
        bucket.num_weighted_examples.value = 50
        bucket.total_weighted_label.value = 50 * i / 20
        bucket.total_weighted_refined_prediction.value = 50 * (i + 0.5) / 20
    return found


def write_metrics(folder: Path, slices: dict[str, dict[str, float]]) -> None:
    """Puts metrics as a FunctionEvaluator writes them in the place of `folder`'s: no plots, no gates, any names.

    `slices` has the metrics by the value of the column `kind`, '' for all rows.
    """
    rows = []
    for key, metrics in slices.items():
        one = message(TFMA + "MetricsForSlice")()
        if key:
            one.slice_key.single_slice_keys.add(column="kind", bytes_value=key.encode())
        for name, value in metrics.items():
            item = one.metric_keys_and_values.add()
            item.key.name, item.value.double_value.value = name, value
        rows.append(one.SerializeToString())
    (folder / "metrics-00000-of-00001.tfrecord").write_bytes(tfrecord(rows))
    for name in ("plots-00000-of-00001.tfrecord", "validations.tfrecord", "eval_config.json"):
        (folder / name).unlink(missing_ok=True)
