"""ExampleGen, Train, Pusher: enough for data, work and publication; beside the Pusher a report."""

from pipelines.probe.project import PROJECT

from pipelines.base.paths import Paths
from pipelines.base.production import push_folder
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, split_config


def create_pipeline(paths: Paths, settings: Settings):
    from pipelines.probe.steps import Report, Train
    from tfx import v1 as tfx
    from tfx.dsl.components.base import executor_spec

    from components.arrow_example_gen.component import ArrowExampleGen
    from components.model_pusher.executor import Executor as PusherExecutor

    example_gen = ArrowExampleGen(
        **raw(paths, settings),
        output_config=split_config(train=1),
    )
    parameters = settings.parameters
    train = Train(
        examples=example_gen.outputs["examples"],
        seconds=float(parameters["seconds"]),
        fail=int(parameters["fail"]),
    )
    pusher = tfx.components.Pusher(
        model=train.outputs["model"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=str(push_folder(PROJECT, paths, settings))
            )
        ),
        custom_executor_spec=executor_spec.ExecutorClassSpec(PusherExecutor),
    )
    report = Report(model=train.outputs["model"], fail=int(parameters["fail_report"]))
    return assemble(PROJECT, paths, settings, [example_gen, train, pusher, report])
