"""For the Evaluator's `module_path`: TFMA's own shared model, in a process that knows the ops of decision forests."""

from __future__ import annotations

from typing import Any


def custom_eval_shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: Any, **kwargs: Any
) -> Any:
    """TFX's callback of that name."""
    import tensorflow_decision_forests  # noqa: F401
    import tensorflow_model_analysis as tfma

    return tfma.default_eval_shared_model(
        eval_saved_model_path=eval_saved_model_path,
        model_name=model_name,
        eval_config=eval_config,
        add_metrics_callbacks=kwargs.get("add_metrics_callbacks"),
    )
