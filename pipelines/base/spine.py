"""The middle of a pipeline in plain TFX components, in the order the data flows.

`spine()` returns the nodes by name; a project may extend or ignore them: plain TFX is the way out. No file is
opened here but the reviewed schema, and no orchestrator is known.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.base import whole
from pipelines.base.digest import source_digest
from pipelines.base.errors import ProjectError
from pipelines.base.evaluation import eval_config
from pipelines.base.executors import label_flags, release_flags, run_by, train_on_spark
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.production import push_folder, served_name
from pipelines.base.project import QUICK, Project
from pipelines.base.settings import Settings
from pipelines.base.training import PARAMETERS_KEY, SERVED_KEY
from pipelines.base.tuning import nodes as tuning

if TYPE_CHECKING:
    from tfx import v1 as tfx

BEAM_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")
# TFX packs itself anew for every Beam node (2 CPU seconds, 49 MB left behind) unless an argument says where else its
# workers have it. With arguments of the user's own TFX does as it always does, but where its workers have our image.
NOT_PACKED = ("--sdk_container_image=none",)


class Spine(NamedTuple):
    """The nodes from the ExampleGen to the Pusher, in the order the data flows; then those that not every run has."""

    example_gen: Any
    statistics_gen: Any
    schema_gen: Any
    example_validator: Any
    transform: Any
    trainer: Any
    resolver: Any
    evaluator: Any
    pusher: Any
    rehearsal: Any = None
    tuner: Any = None
    tuned: Any = None
    tuner_results: Any = None


def spine(
    project: Project,
    paths: Paths,
    settings: Settings,
    example_gen: Any,
    *,
    eval_split: str = "eval",
    tune_split: str = "",
    evaluator_module: str = "",
) -> Spine:
    """`example_gen` and the nodes from statistics to push for its examples.

    The Trainer fits `train` and looks at `tune_split` (default: `eval_split`); the Evaluator judges on
    `eval_split`. A project that chooses anything on data, as a threshold, gives it a split of its own.
    `evaluator_module` is the import path of TFX's user module for the Evaluator (`custom_eval_shared_model`).
    """
    from tfx import v1 as tfx
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec

    from components.example_validator.executor import PREPROCESSING_FLAG
    from components.example_validator.executor import Executor as ValidatorExecutor
    from components.model_pusher.executor import Executor as PusherExecutor
    from components.schema_gen.executor import Executor as SchemaExecutor
    from components.statistics_gen.executor import Executor as StatisticsExecutor
    from components.transform.executor import Executor as TransformExecutor
    from pipelines.base.last_blessed import LatestBlessedOfName

    examples = example_gen.outputs["examples"]

    # Counts, quantiles and top values of every feature of every split, in process unless a Beam runner is named.
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    run_by(statistics_gen, BeamExecutorSpec(StatisticsExecutor))
    statistics = statistics_gen.outputs["statistics"]

    # The reviewed schema where a person has written one; else what the statistics suggest, without shapes: whether a
    # feature is dense would depend on whether this delivery happens to have a hole in it.
    if paths.schema.exists():
        schema_gen = tfx.components.ImportSchemaGen(schema_file=reviewed_schema(paths)).with_id("SchemaGen")
    else:
        schema_gen = tfx.components.SchemaGen(statistics=statistics, infer_feature_shape=False)
        run_by(schema_gen, ExecutorClassSpec(SchemaExecutor))
    schema = schema_gen.outputs["schema"]

    # Anomalies against the schema, empty splits, a label that cannot be learnt, and empty columns where no person has
    # written a schema; the runner stops the run on them.
    example_validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema)
    preprocessing_fn = f"pipelines.{project.name}.features.preprocessing_fn"
    read = [] if paths.schema.exists() else [f"{PREPROCESSING_FLAG}{preprocessing_fn}"]
    run_by(example_validator, ExecutorClassSpec(ValidatorExecutor), [*read, *label_flags(project)])

    # Features computed once for training and put into the served graph, so that both see the same numbers. It waits
    # for the validator: data that is known to be wrong fails there, where it is said what is wrong with it.
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=preprocessing_fn,
        disable_statistics=True,
        custom_config={"code": source_digest(f"pipelines.{project.name}.features")},
    )
    run_by(transform, BeamExecutorSpec(TransformExecutor))
    transform.add_upstream_node(example_validator)

    # The project's own run_fn. Under which name its model is served is what it will be found by (last_blessed.py).
    served, tuned = served_name(project, paths, settings), tuning.tuned(settings)
    trainer = tfx.components.Trainer(
        run_fn=f"pipelines.{project.name}.model.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=[tune_split or eval_split]),
        custom_config={**training_config(project, settings), SERVED_KEY: served},
        hyperparameters=tuned.outputs["result"] if tuned else None,
    )

    # The last blessed model of the same name, other than the new one, is what the new one is compared with.
    resolver = tfx.dsl.Resolver(
        strategy_class=LatestBlessedOfName,
        config={"served": served},
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
        candidate=trainer.outputs["model"],
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
        evaluator = rows_evaluator(project, settings, judged, schema, eval_split, evaluator_module)

    # Blessed models go where the model server looks, each under the name of its kind; whole or not at all. Where the
    # card asks for it they first answer requests on a server of their own, and wait for the server's plan afterwards.
    rehearsal = rehearse(project, paths, settings, judged, evaluator.outputs["blessing"], eval_split)
    folder = tfx.proto.PushDestination.Filesystem(base_directory=str(push_folder(project, paths, settings)))
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=rehearsal and rehearsal.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=folder),
    )
    run_by(pusher, ExecutorClassSpec(PusherExecutor), release_flags(project))
    usual = example_gen, statistics_gen, schema_gen, example_validator, transform, trainer, resolver
    tuner = tuning.tuner(project, settings, served, trainer, evaluator, examples)
    return Spine(*usual, evaluator, pusher, rehearsal, tuner, tuned, tuning.results(settings))


def rows_evaluator(
    project: Project, settings: Settings, judged: dict[str, Any], schema: Any, eval_split: str, module: str
) -> Any:
    """TFX's Evaluator, for metrics over rows, with an executor of ours: in process, with intervals and their verdicts.

    It has no custom_config, so the gate's terms and the digest of the executor's code and the user `module` are flags.
    """
    from tfx import v1 as tfx
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

    from components.evaluator.executor import Executor, gate_flag

    evaluator = tfx.components.Evaluator(
        **judged,
        example_splits=[eval_split],
        eval_config=eval_config(project, settings),
        schema=schema,
        module_path=module or None,
    )
    code = source_digest(Executor.__module__, *filter(None, [module]))
    bars = [dataclasses.asdict(bar) for bar in project.bars(settings.profile, settings.variant)]
    terms = gate_flag(bars, project.evaluation.slice_rows)
    run_by(evaluator, BeamExecutorSpec(Executor), [terms, f"--code={code}"])
    return evaluator


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
        slice_rows=card.slice_rows,
        parameters=training_config(project, settings)[PARAMETERS_KEY],
    )


def rehearse(
    project: Project, paths: Paths, settings: Settings, judged: dict[str, Any], blessing: Any, eval_split: str
) -> Any:
    """The Rehearsal of a card with `rehearsal`; None without. It asks what was recorded of the served model."""
    if project.rehearsal is None:
        return None
    from components.rehearsal.component import Rehearsal

    terms = {
        **project.rehearsal.terms(quick=settings.profile == QUICK),
        "model": served_name(project, paths, settings),
        "served": str(push_folder(project, paths, settings)),
        "logs": str(paths.request_logs),
        "signature": project.evaluation.signature,
    }
    return Rehearsal(
        model=judged["model"],
        model_blessing=blessing,
        examples=judged["examples"],
        terms=terms,
        split=eval_split,
        code=source_digest(f"{Rehearsal.__module__.rpartition('.')[0]}.executor"),
    )


def report(project: Project, settings: Settings, nodes: Spine, *, evaluation: bool = False) -> Any:
    """The ReportGen of the project's report.py, beside the spine: a push does not wait for pictures.

    They are of the raw examples and the Trainer's model and logs; with `evaluation` of the Evaluator's numbers too.
    A run with tuned parameters has the picture of their search besides.
    """
    from components.report_gen.component import ReportGen

    return ReportGen(
        report_fn=f"pipelines.{project.name}.report.report",
        model=nodes.trainer.outputs["model"],
        examples=nodes.example_gen.outputs["examples"],
        evaluation=nodes.evaluator.outputs["evaluation"] if evaluation else None,
        model_run=nodes.trainer.outputs["model_run"],
        tuner_results=nodes.tuner_results.outputs["result"] if nodes.tuner_results else None,
        custom_config={
            "code": source_digest(f"pipelines.{project.name}.report"),
            "parameters": training_config(project, settings)[PARAMETERS_KEY],
        },
    )


def tflite(project: Project, nodes: Spine, inputs: str = "signature_inputs", **told: Any) -> Any:
    """The TFLiteExporter of a blessed model, beside the spine; `told` are its own arguments.

    `inputs` is the function of the project's features.py that makes a signature's inputs of examples.
    """
    from components.tflite_exporter.component import TFLiteExporter

    features = f"pipelines.{project.name}.features"
    return TFLiteExporter(
        model=nodes.trainer.outputs["model"],
        examples=nodes.example_gen.outputs["examples"],
        model_blessing=nodes.evaluator.outputs["blessing"],
        inputs_fn=f"{features}.{inputs}",
        custom_config={"code": source_digest(features)},
        **told,
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

    if settings.spark:
        train_on_spark(nodes, settings)
    return tfx.dsl.Pipeline(
        pipeline_name=project.name,
        pipeline_root=str(paths.pipeline_root),
        components=tuning.up_to_tuner(nodes),
        enable_cache=True,
        metadata_connection_config=connection_config(metadata_url(paths.home)),
        beam_pipeline_args=[
            *BEAM_ARGS,
            *settings.beam_args,
            *(NOT_PACKED if _code_is_there(settings) else ()),
        ],
    )


def _code_is_there(settings: Settings) -> bool:
    """Whether workers have TFX and our code: in this process, and in an EXTERNAL environment, which has our image."""
    image = any(argument.startswith("--sdk_container_image") for argument in settings.beam_args)
    return not settings.beam_args or ("--environment_type=EXTERNAL" in settings.beam_args and not image)


def reviewed_schema(paths: Paths) -> str:
    """A copy of the reviewed schema under a name that changes with its content.

    ImportSchemaGen's cache key holds the file's name, not its content: with this name an edit of the schema is
    seen, and nothing else is rerun while it stays the same.
    """
    content = paths.schema.read_bytes()
    copy = paths.pipeline_root / "schemas" / hashlib.sha256(content).hexdigest()[:16] / "schema.pbtxt"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        whole.write(copy, content)
    return str(copy)


def raw(paths: Paths, settings: Settings, pattern: str = "*") -> dict[str, Any]:
    """What every ExampleGen is told of its input, by keyword: `input_base`, `input_config`, `range_config`.

    The base is `--data`, or the project's folder of spans under HOME. The config reads `span-{SPAN}/<pattern>` where
    the base holds spans, else `<pattern>`; with no folder yet (compiling on a fresh machine) it is taken to hold
    spans, as HOME/data does. The range is exactly the span that was asked for, or None for the latest.
    """
    from tfx import v1 as tfx

    base = Path(settings.data or paths.data)
    _check_kind(paths.project, base, pattern)
    spans = not base.exists() or any(base.glob("span-*"))
    split = tfx.proto.Input.Split(name="all", pattern=f"span-{{SPAN}}/{pattern}" if spans else pattern)
    span = None
    if settings.span is not None:
        static = tfx.proto.StaticRange(start_span_number=settings.span, end_span_number=settings.span)
        span = tfx.proto.RangeConfig(static_range=static)
    return {
        "input_base": settings.data or str(paths.data),
        "input_config": tfx.proto.Input(splits=[split]),
        "range_config": span,
    }


def csv_options(settings: Settings) -> dict[str, Any]:
    """What ArrowExampleGen is told of how CSV files are written, by keyword: what is not as usual."""
    return settings.csv.changed()


def _check_kind(project: str, base: Path, pattern: str) -> None:
    """Raises ProjectError where the data is a query and the project's ExampleGen reads files."""
    from bridges.warehouse import pointer

    if pattern != pointer.NAME and pointer.is_pointer(base):
        raise ProjectError(
            f"{project} reads files, and --data is a query. A pipeline whose rows are a table takes both, with "
            "`table_example_gen`; for this one write the query's rows to files."
        )


def table_example_gen(
    paths: Paths,
    settings: Settings,
    output_config: tfx.proto.Output,
    *,
    pattern: str = "*",
    query: bool = False,
    **options: Any,
) -> Any:
    """The ExampleGen of a project whose rows are a table: ArrowExampleGen for files, SqlExampleGen where `--data`
    named a warehouse, or where it named nothing and `query` says that the project's own rows are there.

    `pattern` is of files. `options` are those that both have: `schema_path`, `columns`, `split_key`, `split_time`, and
    `label`, the column that no row may lack.
    """
    from bridges.warehouse import pointer
    from components.arrow_example_gen.component import ArrowExampleGen
    from components.sql_example_gen.component import SqlExampleGen

    if pointer.is_pointer(Path(settings.data)) if settings.data else query:
        return SqlExampleGen(**raw(paths, settings, pointer.NAME), output_config=output_config, **options)
    return ArrowExampleGen(
        **raw(paths, settings, pattern), **csv_options(settings), output_config=output_config, **options
    )


def split_config(**buckets: int) -> tfx.proto.Output:
    """TFX's Output that hashes rows into splits, e.g. `split_config(train=4, eval=1)`."""
    from tfx import v1 as tfx

    splits = [tfx.proto.SplitConfig.Split(name=name, hash_buckets=n) for name, n in buckets.items()]
    return tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits))
