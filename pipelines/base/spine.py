"""The middle of a pipeline in plain TFX components, in the order the data flows.

`spine()` returns a list of nodes that a project may take apart, extend or ignore: plain TFX is the way out. It
opens no file but the reviewed schema's presence, and knows no orchestrator.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.digest import source_digest
from pipelines.base.evaluation import eval_config
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.project import Project, Settings
from pipelines.base.training import PARAMETERS_KEY

if TYPE_CHECKING:
    from tfx import v1 as tfx

BEAM_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")
# TFX packs itself anew for every Beam node (2 CPU seconds, 49 MB left behind) unless an argument says where else its
# workers have it. In this process they have it anyway; with arguments of the user's own TFX does as it always does.
NOT_PACKED = ("--sdk_container_image=none",)


def spine(
    project: Project,
    paths: Paths,
    settings: Settings,
    example_gen: Any,
    *,
    eval_split: str = "eval",
    tune_split: str = "",
    evaluator_module: str = "",
) -> list[Any]:
    """The nodes from statistics to push for `example_gen`'s examples.

    The Trainer fits `train` and looks at `tune_split` (default: `eval_split`); the Evaluator judges on
    `eval_split`. A project that chooses anything on data, as a threshold, gives it a split of its own.
    `evaluator_module` is the import path of TFX's user module for the Evaluator (`custom_eval_shared_model`).
    """
    from tfx import v1 as tfx
    from tfx.dsl.components.base import executor_spec

    from components.model_pusher.executor import Executor as PusherExecutor
    from pipelines.base.last_blessed import LatestBlessedOfVariant

    examples = example_gen.outputs["examples"]

    # Counts, quantiles and top values of every feature of every split.
    statistics_gen = tfx.components.StatisticsGen(examples=examples)

    # The reviewed schema where a person has written one; else what the statistics suggest.
    if paths.schema.exists():
        schema_gen = tfx.components.ImportSchemaGen(schema_file=reviewed_schema(paths)).with_id("SchemaGen")
    else:
        schema_gen = tfx.components.SchemaGen(
            statistics=statistics_gen.outputs["statistics"], infer_feature_shape=True
        )
    schema = schema_gen.outputs["schema"]

    # Anomalies against the schema; the runner stops the run on them.
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema
    )

    # Features computed once for training and put into the served graph, so that both see the same numbers.
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=f"pipelines.{project.name}.features.preprocessing_fn",
        disable_statistics=True,
        custom_config={"code": source_digest(f"pipelines.{project.name}.features")},
    )

    # The project's own run_fn. It waits for the validator: no training on data that is known to be wrong.
    trainer = tfx.components.Trainer(
        run_fn=f"pipelines.{project.name}.model.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=[tune_split or eval_split]),
        custom_config=training_config(project, settings),
    )
    trainer.add_upstream_node(example_validator)

    # The last blessed model of the same variant is what the new one is compared with.
    resolver = tfx.dsl.Resolver(
        strategy_class=LatestBlessedOfVariant,
        config={"variant": settings.variant},
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")

    # Bars and slices from the card; the blessing is its answer.
    judged = {
        "examples": examples,
        "model": trainer.outputs["model"],
        "baseline_model": resolver.outputs["model"],
    }
    if project.evaluation.function:
        evaluator = own_evaluator(project, settings, judged, transform.outputs["transform_graph"], eval_split)
    else:
        evaluator = tfx.components.Evaluator(
            **judged,
            example_splits=[eval_split],
            eval_config=eval_config(project, settings),
            schema=schema,
            module_path=evaluator_module or None,
        )

    # Blessed models go where the model server looks; each push appears at once and whole.
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(paths.serving))
        ),
        custom_executor_spec=executor_spec.ExecutorClassSpec(PusherExecutor),
    )
    return [
        example_gen,
        statistics_gen,
        schema_gen,
        example_validator,
        transform,
        trainer,
        resolver,
        evaluator,
        pusher,
    ]


def own_evaluator(
    project: Project, settings: Settings, judged: dict[str, Any], transform_graph: Any, eval_split: str
) -> Any:
    """The Evaluator of a card with `Evaluation.function`: same inputs, artifacts and bars, the project's measure."""
    from components.function_evaluator.component import FunctionEvaluator

    card = project.evaluation
    return FunctionEvaluator(
        **judged,
        transform_graph=transform_graph,
        example_splits=[eval_split],
        function=card.function,
        code=source_digest(card.function.rpartition(".")[0]) + source_digest(FunctionEvaluator.__module__),
        bars=[dataclasses.asdict(bar) for bar in project.bars(settings.profile, settings.variant)],
        slices=card.slices,
        parameters=training_config(project, settings)[PARAMETERS_KEY],
    )


def training_config(project: Project, settings: Settings) -> dict[str, Any]:
    """The Trainer's custom_config: the run's parameters and the digest of the code that uses them."""
    return {
        PARAMETERS_KEY: {**settings.parameters, "variant": settings.variant, "profile": settings.profile},
        "code": source_digest(f"pipelines.{project.name}.model"),
    }


def assemble(project: Project, paths: Paths, settings: Settings, nodes: Sequence[Any]) -> tfx.dsl.Pipeline:
    """A TFX pipeline of `nodes` named after the project, cached, with its root and metadata under HOME."""
    from tfx import v1 as tfx

    from pipelines.base.metadata import connection_config

    return tfx.dsl.Pipeline(
        pipeline_name=project.name,
        pipeline_root=str(paths.pipeline_root),
        components=list(nodes),
        enable_cache=True,
        metadata_connection_config=connection_config(metadata_url(paths.home)),
        beam_pipeline_args=[*BEAM_ARGS, *(settings.beam_args or NOT_PACKED)],
    )


def reviewed_schema(paths: Paths) -> str:
    """A copy of the reviewed schema under a name that changes with its content.

    ImportSchemaGen's cache key holds the file's name, not its content: with this name an edit of the schema is
    seen, and nothing else is rerun while it stays the same.
    """
    content = paths.schema.read_bytes()
    copy = paths.pipeline_root / "schemas" / hashlib.sha256(content).hexdigest()[:16] / "schema.pbtxt"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        aside = copy.with_name(f".{os.getpid()}.tmp")
        aside.write_bytes(content)
        os.replace(aside, copy)
    return str(copy)


def input_base(paths: Paths, settings: Settings) -> str:
    """Where the ExampleGen reads: `--data`, or the project's folder of spans under HOME."""
    return settings.data or str(paths.data)


def input_config(paths: Paths, settings: Settings, pattern: str = "*") -> tfx.proto.Input:
    """TFX's Input for that folder: `span-{SPAN}/<pattern>` where it holds spans, else `<pattern>`.

    With no folder yet (compiling on a fresh machine) it is taken to hold spans, as HOME/data does.
    """
    from tfx import v1 as tfx

    base = Path(input_base(paths, settings))
    spans = not base.exists() or any(base.glob("span-*"))
    full = f"span-{{SPAN}}/{pattern}" if spans else pattern
    return tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern=full)])


def range_config(settings: Settings) -> tfx.proto.RangeConfig | None:
    """Exactly the span that was asked for, or None for the latest."""
    if settings.span is None:
        return None
    from tfx import v1 as tfx

    static = tfx.proto.StaticRange(start_span_number=settings.span, end_span_number=settings.span)
    return tfx.proto.RangeConfig(static_range=static)


def split_config(**buckets: int) -> tfx.proto.Output:
    """TFX's Output that hashes rows into splits, e.g. `split_config(train=4, eval=1)`."""
    from tfx import v1 as tfx

    splits = [tfx.proto.SplitConfig.Split(name=name, hash_buckets=n) for name, n in buckets.items()]
    return tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits))
