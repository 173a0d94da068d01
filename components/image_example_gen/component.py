"""The node ImageExampleGen: pictures become tf.Examples with `image`, `label`, `name`, in an Examples
artifact.

Configs, spans, versions and cache behave as in TFX's file-based ExampleGens. It does not resize or augment:
that is Transform's and the model's.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfx import types
from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.image_example_gen import driver, executor
from components.image_example_gen.options import Options


class ImageExampleGenSpec(component_spec.ComponentSpec):
    """FileBasedExampleGen's parameters and the reader's options."""

    PARAMETERS = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = standard_component_specs.FileBasedExampleGenSpec.OUTPUTS


def idx_splits(prefix: str = "") -> example_gen_pb2.Input:
    """Input config that keeps MNIST's own splits: train-* is `train`, t10k-* is `eval`.

    `prefix` goes before the patterns, e.g. "span-{SPAN}/".
    """
    split = example_gen_pb2.Input.Split
    return example_gen_pb2.Input(
        splits=[
            split(name="train", pattern=f"{prefix}train-*"),
            split(name="eval", pattern=f"{prefix}t10k-*"),
        ]
    )


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Reads idx(.gz) pairs, class folders of pictures, or zips of such, into splits of tf.Examples.

    Features: `image` bytes, `label` int64, `name` bytes (`<class>/<file>`, or `<pair>/<row>` for idx), and
    the columns of the annotations. Labels are the class names where these are numbers, else their place in
    `classes` (default: all class names, sorted). `outputs["examples"]` has the properties that `executor`
    lists.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        input_base: str | data_types.RuntimeParameter,
        input_config: example_gen_pb2.Input | data_types.RuntimeParameter | None = None,
        output_config: example_gen_pb2.Output | data_types.RuntimeParameter | None = None,
        range_config: range_config_pb2.RangeConfig | data_types.RuntimeParameter | None = None,
        encoding: str = "png",
        key_pattern: str | None = None,
        classes: Sequence[str] | None = None,
        annotations: str | None = None,
        gzip_level: int = 1,
        tune_one_in: int = 0,
        custom_config: example_gen_pb2.CustomConfig | None = None,
    ) -> None:
        """Everything but `input_base` has the meaning it has in TFX, or a default.

        Args:
          input_base: folder that the patterns of `input_config` start from (default `*`: all in it).
          input_config: input splits; `idx_splits()` keeps MNIST's. With one split, `output_config` hashes.
          output_config: hash buckets per split; default train 2, eval 1. Equal pictures never straddle splits.
          range_config: which span to take; default the latest.
          encoding: "png" (default: lossless, knows its own shape, is what a client of the served model
            sends, and costs no more than raw because the shard is gzip anyway), "raw" (uint8 for
            tf.io.decode_raw, no decoding in training, pictures of one shape only), "as_found" (file bytes
            unchanged: JPEGs stay small).
          key_pattern: regular expression with a group `key`, searched in `name`; pictures of one key stay
            together, e.g. r"(?P<key>\\d+/\\d+_\\d+)_" for the frames of a track.
          classes: class names in the order of their labels; needed where spans may lack a class.
          annotations: name of a CSV beside the pictures whose columns become features.
          gzip_level: 0 to 9.
          tune_one_in: of the first input split's pictures one in so many goes to a further split `tune`, for input
            configs that keep splits as they are and have none to choose by. Equal pictures stay together.
          custom_config: passed through; not read here, but part of the cache key.

        Raises:
          ValueError: an option out of its range, or `tune_one_in` beside an output config with splits of its own.
        """
        if tune_one_in and output_config is not None:
            raise ValueError("tune_one_in is for inputs that keep their splits; output_config has its own.")
        options = Options(
            encoding=encoding,
            key_pattern=key_pattern,
            classes=classes,  # type: ignore[arg-type]
            annotations=annotations,
            gzip_level=gzip_level,
            tune_one_in=tune_one_in,
        )
        input_config = input_config or utils.make_default_input_config()
        spec = ImageExampleGenSpec(
            input_base=input_base,
            input_config=input_config,
            output_config=output_config or utils.make_default_output_config(input_config),
            range_config=range_config,
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
            output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
            custom_config=custom_config,
            options=options.to_json(),
            examples=types.Channel(type=standard_artifacts.Examples),
        )
        super().__init__(spec=spec)
