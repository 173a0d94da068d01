"""Tuning in a pipeline: the Tuner that `viaduct tune` asks for, and what was tuned, which `viaduct run --tuned` does.

A run for tuning is the pipeline up to Transform and the Tuner: the rest has nothing to do with a choice, and the rows
that judge stay unread. Compiled pipelines without either are as they were.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.digest import source_digest
from pipelines.base.errors import ProjectError
from pipelines.base.search import Search
from pipelines.base.settings import Settings

if TYPE_CHECKING:
    from pipelines.base.project import Project

TUNER, TUNED, RESULTS = "Tuner", "Tuned", "TunerResults"
PACKAGE = "pipelines.base.tuning"
TUNE_FN = f"{PACKAGE}.tuner.tune"


def asked(search: Search, trials: int) -> str:
    """`Settings.search` for so many trials of `search`."""
    return json.dumps({"trials": trials, "search": search.plain()}, sort_keys=True)


def tuned(settings: Settings) -> Any:
    """The node that brings the tuned parameters' artifact into the run, so that lineage knows; None without any."""
    return _importer(settings.tuned, TUNED, "HyperParameters") if settings.tuned else None


def results(settings: Settings) -> Any:
    """The node that brings what the search found, for the report; None without any."""
    if not settings.tuned:
        return None
    # TFX's own layout: <node>/<output>/<execution>.
    best = Path(settings.tuned)
    return _importer(str(best.parents[1] / "tuner_results" / best.name), RESULTS, "TunerResults")


def _importer(uri: str, name: str, kind: str) -> Any:
    from tfx import v1 as tfx
    from tfx.types import standard_artifacts

    return tfx.dsl.Importer(source_uri=uri, artifact_type=getattr(standard_artifacts, kind)).with_id(name)


def tuner(project: Project, settings: Settings, served: str, trainer: Any, evaluator: Any, raw: Any) -> Any:
    """The Tuner for what `trainer` trains; None where nothing is searched.

    Raises ProjectError where the Trainer looks at the rows that the Evaluator judges by: nothing is chosen on those.
    """
    if not settings.search:
        return None
    from components.tuner.component import Tuner

    task = json.loads(settings.search)
    tune_splits = _splits(trainer, "eval_args")
    judged = json.loads(evaluator.exec_properties["example_splits"])
    if set(tune_splits) & set(judged):
        raise ProjectError(
            f"{project.name} has no tune split: its Trainer looks at {tune_splits[0]!r}, by which models are judged, "
            "and nothing may be chosen there. Give the ExampleGen a split 'tune', and spine(...) tune_split=\"tune\"."
        )
    config = json.loads(trainer.exec_properties["custom_config"])
    function = project.evaluation.function
    measuring = source_digest(f"{PACKAGE}.trial", *filter(None, [function.rpartition(".")[0]]))
    given = {
        **task,
        "project": project.name,
        "served": served,
        "variant": settings.variant,
        "profile": settings.profile,
        "defaults": config["parameters"],
        # Of what trains and measures a trial; of what chooses, which makes no trial another one.
        "code": config["code"] + measuring,
        "choosing": source_digest(f"{PACKAGE}.tuner"),
        "run_fn": trainer.exec_properties["run_fn"],
        "train_splits": _splits(trainer, "train_args"),
        "tune_splits": tune_splits,
        "function": function,
        "evaluation": "" if function else _one_metric(project, settings, task["search"]["metric"]),
    }
    return Tuner(
        tune_fn=TUNE_FN,
        examples=trainer.inputs["examples"],
        raw_examples=raw,
        transform_graph=trainer.inputs["transform_graph"],
        schema=trainer.inputs["schema"],
        task=given,
        custom_config=config,
    )


def _splits(trainer: Any, key: str) -> list[str]:
    told: list[str] = json.loads(trainer.exec_properties[key])["splits"]
    return told


def _one_metric(project: Project, settings: Settings, metric: str) -> str:
    """The card's EvalConfig as JSON, with one metric of all rows and without bars. Raises ProjectError without it."""
    from google.protobuf import json_format

    from pipelines.base.evaluation import eval_config, metric_names

    config = eval_config(project, settings)
    names = metric_names(config)
    if metric not in names:
        raise ProjectError(
            f"{project.name}: the search is by {metric!r}; the card measures only {sorted(names)}."
        )
    one = names[metric]
    one.ClearField("per_slice_thresholds")
    del config.slicing_specs[1:]
    del config.metrics_specs[0].metrics[:]
    config.metrics_specs[0].metrics.append(one)
    return json_format.MessageToJson(config, preserving_proto_field_name=True, indent=0)


def up_to_tuner(nodes: Sequence[Any]) -> list[Any]:
    """The nodes that the Tuner needs, and itself; all of them where there is none."""
    by_id = {node.id: node for node in nodes if node is not None}
    if TUNER not in by_id:
        return list(by_id.values())
    needed, waiting = set[str](), [TUNER]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            node = by_id[name]
            waiting += [channel.producer_component_id for channel in node.inputs.values()]
            waiting += [up.id for up in node.upstream_nodes]
    return [node for name, node in by_id.items() if name in needed]
