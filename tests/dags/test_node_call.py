"""A task's call: its log is streamed, its answer read, its end forwarded. No TFX needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dags.node_call import LARGEST_SAID, FollowedCall, caller_of, use_host
from pipelines.base.forkserver.client import CallError
from pipelines.base.paths import Paths
from pipelines.base.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(Paths.of("card_fraud", tmp_path), "card_fraud-x")


def call(run: RunFolder, function: str, **kwargs: object) -> FollowedCall:
    caller = caller_of(run, with_host=False)
    return FollowedCall(caller, run, "node", f"tests.base.calling:{function}", kwargs)


def test_the_log_is_said_in_whole_lines_and_the_answer_comes_after_it(run: RunFolder) -> None:
    said: list[str] = []
    assert call(run, "answer", rows=3).follow(said.append) == {"rows": 3}
    assert "\n".join(said).splitlines() == ["one {", "two"]


def test_a_log_that_is_longer_than_one_text_is_said_whole_and_a_line_without_end_in_parts(
    run: RunFolder,
) -> None:
    run.make()
    said: list[str] = []
    lines, endless = [f"line {number}" for number in range(20_000)], "x" * (LARGEST_SAID * 2)
    running = call(run, "answer")
    with run.log("node").open("a") as log:
        log.write("\n".join([*lines, endless, ""]))
    running.follow(said.append)
    assert "".join(said).count("x") == len(endless)
    assert set(lines) <= set("\n".join(said).splitlines())
    assert max(map(len, said)) <= 2 * LARGEST_SAID and len(said) < 30


def test_an_earlier_attempts_log_is_not_said_again(run: RunFolder) -> None:
    run.make()
    run.log("node").write_text("before\n")
    said: list[str] = []
    with pytest.raises(CallError, match="exit code 3"):
        call(run, "end", code=3).follow(said.append)
    assert said == []


def test_cancelling_ends_the_call(run: RunFolder, tmp_path: Path) -> None:
    told = tmp_path / "told"
    running = call(run, "sleep_with_a_child", told=str(told))
    running.cancel()
    with pytest.raises(CallError):
        running.follow(lambda line: None)


@pytest.mark.parametrize(
    ("variable", "executor", "expected"),
    [
        ("", "LocalExecutor", True),
        ("", "CeleryExecutor", False),
        ("", "KubernetesExecutor", False),
        ("1", "LocalExecutor", False),
        ("0", "CeleryExecutor", True),
    ],
)
def test_executors_of_other_machines_get_processes_unless_told_otherwise(
    monkeypatch, variable, executor, expected
):
    monkeypatch.setenv("VIADUCT_NODE_PROCESS", variable)
    assert use_host(executor) is expected
