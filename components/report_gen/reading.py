"""What reports and evaluation functions read: a SavedModel's signatures, and the Evaluator's numbers.

Nothing is kept between two calls, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

SliceKey = tuple[tuple[str, str], ...]


def saved_model(model: Path) -> Any:
    """The SavedModel in the folder `model` as an object with its variables and `signatures`."""
    import tensorflow as tf

    return tf.saved_model.load(str(model))


def signature(model: Path, name: str = "serving_default") -> Callable[..., dict[str, tf.Tensor]]:
    """The signature `name` of a SavedModel: tensors by keyword -> outputs by name. It keeps its model alive.

    Raises KeyError that names the signatures there are.
    """
    loaded = saved_model(model)
    if name not in loaded.signatures:
        raise KeyError(f"No signature {name!r} in {model}; there are {sorted(loaded.signatures)}.")
    function = loaded.signatures[name]

    def call(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return (loaded, function(**inputs))[1]

    return call


def evaluation(folder: Path) -> dict[SliceKey, dict[str, float]]:
    """The numbers of an evaluation by slice, `()` being the whole split; plots are passed over, intervals left out."""
    import tensorflow_model_analysis as tfma

    slices = tfma.load_eval_result(str(folder)).get_metrics_for_all_slices()
    return {
        key: {name: number for name, value in metrics.items() if (number := _number(value)) is not None}
        for key, metrics in slices.items()
    }


def _number(value: Any) -> float | None:
    """What TFMA shows of a metric: {'doubleValue': x}, or {'boundedValue': {'value': x, ...}} with an interval."""
    if not isinstance(value, dict):
        return None
    shown = value.get("boundedValue", {}).get("value", value.get("doubleValue"))
    return None if shown is None else float(shown)
