"""In process or on Beam: who named a runner, and what else makes the choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.engine import choose, names_runner
from components.shards import LOCAL_RUNNER
from pipelines.base.errors import ProjectError


@pytest.mark.parametrize(
    ("arguments", "runner"),
    [
        (None, ""),
        (LOCAL_RUNNER, ""),
        ([*LOCAL_RUNNER, "--sdk_container_image=none"], ""),
        ([*LOCAL_RUNNER, "--runner=PortableRunner", "--job_endpoint=localhost:1"], "PortableRunner"),
        (["--runner=DirectRunner"], "DirectRunner"),
        (["--temp_location=x", *LOCAL_RUNNER], ""),
        (["--runner", "FlinkRunner"], "FlinkRunner"),
        ([*LOCAL_RUNNER, "--runner=DirectRunner"], "DirectRunner"),
    ],
)
def test_a_runner_is_named_by_people_and_not_by_the_houses_own_arguments(
    arguments: list[str] | None, runner: str
) -> None:
    assert names_runner(arguments) == runner
    assert choose(arguments).is_beam is bool(runner)


def test_what_cannot_be_done_in_process_goes_to_beam_and_says_why() -> None:
    from tfx.types import standard_artifacts

    assert choose(LOCAL_RUNNER).name == "in process"
    choice = choose(LOCAL_RUNNER, "a ptransform analyzer of somebody else's")
    assert choice.is_beam
    made = standard_artifacts.ExampleStatistics()
    choice.note("StatisticsGen", [made])
    assert made.get_string_custom_property("engine") == "Beam (a ptransform analyzer of somebody else's)"


def test_examples_of_other_formats_are_not_read_in_process() -> None:
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts

    from components.engine import unreadable

    artifact = standard_artifacts.Examples()
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
    assert unreadable([artifact]) == ""
    examples_utils.set_file_format(artifact, "parquet")
    assert unreadable([artifact]) == "the examples are files of format 'parquet'"
    examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_PROTO)
    assert unreadable([artifact]) == "the examples are FORMAT_PROTO, not tf.Examples"


def halved(function: int) -> float:
    if function % 2:
        raise ProjectError(f"{function} is odd")
    return function / 2


def test_a_function_runs_on_a_worker_and_what_it_tells_a_person_comes_back(tmp_path: Path) -> None:
    import apache_beam as beam

    from components.engine import WorkerError, on_worker

    def pipeline() -> beam.Pipeline:
        return beam.Pipeline(argv=LOCAL_RUNNER)

    assert on_worker(pipeline, str(tmp_path), halved, function=6) == 3.0
    with pytest.raises(WorkerError, match=r"^7 is odd$"):
        on_worker(pipeline, str(tmp_path), halved, function=7)
