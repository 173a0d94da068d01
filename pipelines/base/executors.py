"""Executors of ours under components of TFX's, and what flags tell them: a label, a plan of releases, a cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipelines.base.project import Project
from pipelines.base.settings import Settings


def run_by(component: Any, spec: Any, flags: Sequence[str] = ()) -> None:
    """Puts an executor of ours under a component of TFX's. `flags` reach it, and are a part of the cache key."""
    spec.add_extra_flags(flags)
    component.executor_spec = spec


def label_flags(project: Project) -> list[str]:
    """What the ExampleValidator is told of the label, as a flag; nothing where the card has none."""
    from components.example_validator.executor import LABEL_FLAG
    from components.example_validator.label import Label

    card = project.evaluation
    if not card.label_key:
        return []
    made = bool(card.raw_label_key or card.preprocessing)
    label = Label(card.raw_label_key or card.label_key, card.task, card.classes, direct=not made)
    return [f"{LABEL_FLAG}{label.to_json()}"]


def release_flags(project: Project) -> list[str]:
    """What the Pusher is told of the card's plan of releases, as a flag; nothing where it has none."""
    from components.model_pusher.executor import RELEASE_FLAG

    return [] if project.release is None else [f"{RELEASE_FLAG}{json.dumps(project.release.plan())}"]


def train_on_spark(nodes: Sequence[Any], settings: Settings) -> None:
    """Several workers of a cluster run the Trainer's run_fn together."""
    from tfx.dsl.components.base.executor_spec import ExecutorClassSpec

    from components.spark_trainer.executor import Executor, spark_flags

    (trainer,) = (node for node in nodes if node is not None and node.id == "Trainer")
    run_by(trainer, ExecutorClassSpec(Executor), spark_flags(settings.spark, settings.workers))
