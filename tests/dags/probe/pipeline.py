"""ExampleGen, Train, Pusher: enough for data, work and publication."""

from pipelines.probe.project import PROJECT

from pipelines.base.paths import Paths
from pipelines.base.project import Settings
from pipelines.base.spine import assemble, input_base, input_config, range_config, split_config


def create_pipeline(paths: Paths, settings: Settings):
    from pipelines.probe.steps import Train
    from tfx import v1 as tfx
    from tfx.dsl.components.base import executor_spec

    from components.arrow_example_gen.component import ArrowExampleGen
    from components.model_pusher.executor import Executor as PusherExecutor

    example_gen = ArrowExampleGen(
        input_base=input_base(paths, settings),
        input_config=input_config(paths, settings),
        output_config=split_config(train=1),
        range_config=range_config(settings),
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
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(paths.serving))
        ),
        custom_executor_spec=executor_spec.ExecutorClassSpec(PusherExecutor),
    )
    return assemble(PROJECT, paths, settings, [example_gen, train, pusher])
