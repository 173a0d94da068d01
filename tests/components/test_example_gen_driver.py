"""The driver of our ExampleGens: names are names, spans are found and named, the key sees every change of the data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.shards import InputError


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The properties that the driver of ArrowExampleGen makes of a base, patterns and a span."""
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path / "home"))

    def run(base: Path, *patterns: str, span: int | None = None) -> dict[str, Any]:
        from tfx.orchestration import data_types
        from tfx.proto import example_gen_pb2, range_config_pb2
        from tfx.utils import proto_utils

        from components.arrow_example_gen.driver import Driver

        split = example_gen_pb2.Input.Split
        config = example_gen_pb2.Input(
            splits=[split(name=f"s{n}", pattern=text) for n, text in enumerate(patterns or ("*",))]
        )
        properties = {"input_base": str(base), "input_config": proto_utils.proto_to_json(config)}
        if span is not None:
            static = range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
            ranges = range_config_pb2.RangeConfig(static_range=static)
            properties["range_config"] = proto_utils.proto_to_json(ranges)
        info = data_types.PipelineInfo("", "")
        resolved = Driver(None).resolve_exec_properties(
            properties, info, data_types.ComponentInfo("", "", info)
        )
        made = example_gen_pb2.Input()
        proto_utils.json_to_proto(resolved["input_config"], made)
        return {**resolved, "patterns": [split.pattern for split in made.splits]}

    return run


def key(resolved: dict[str, Any]) -> str:
    return resolved["input_fingerprint"]


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_other_content_under_the_old_time_and_a_renamed_file_change_the_key(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    file = write(tmp_path / "data" / "a.csv", "x\n1\n")
    before = key(resolve(tmp_path / "data"))
    assert before.startswith("split:s0,num_files:1,total_bytes:4,content:")
    assert key(resolve(tmp_path / "data")) == before
    times = file.stat()
    write(file, "x\n2\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    edited = key(resolve(tmp_path / "data"))
    os.rename(file, file.with_name("b.csv"))
    assert len({before, edited, key(resolve(tmp_path / "data"))}) == 3


def test_the_data_that_the_run_has_looked_at_is_not_read_again(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.base import data_state

    write(tmp_path / "data" / "span-3" / "a.csv", "x\n1\n")
    data_state.of(tmp_path / "data", tmp_path / "home" / data_state.MEMO)
    monkeypatch.setattr(data_state, "_hashed", None)
    assert resolve(tmp_path / "data", "span-{SPAN}/*")["span"] == 3


@pytest.mark.parametrize("name", ["h[1]", "h*", "{SPAN}", "h (1)+", "h#?"])
def test_spans_are_found_in_a_folder_whose_name_looks_like_a_pattern(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]], name: str
) -> None:
    for folder in (name, "h1", "7"):
        write(tmp_path / folder / "span-1" / "a.csv", "x\n1\n")
        write(tmp_path / folder / "span-10" / "a.csv", f"x\n{folder}\n")
    resolved = resolve(tmp_path / name, "span-{SPAN}/*")
    assert (resolved["span"], resolved["patterns"]) == (10, ["span-10/*"])
    assert f"total_bytes:{len(name) + 3}," in key(resolved)


@pytest.mark.parametrize("name", ["day[1].csv", "{SPAN}.csv", "a*.csv", "-x.csv"])
def test_a_single_file_is_that_file_whatever_its_name(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]], name: str
) -> None:
    write(tmp_path / "day1.csv", "another")
    write(tmp_path / "ab.csv", "another")
    resolved = resolve(write(tmp_path / name, "x\n1\n"))
    assert "num_files:1,total_bytes:4" in key(resolved)
    assert resolved["input_base"] == str(tmp_path) and resolved["span"] == 0


@pytest.mark.parametrize("pattern", ["*.txt", "*/*", "events*.csv*"])
def test_a_single_file_is_taken_whatever_the_project_looks_for_in_a_folder(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]], pattern: str
) -> None:
    resolved = resolve(write(tmp_path / "book", "It was night.\n"), pattern)
    assert resolved["patterns"] == ["book"] and "num_files:1,total_bytes:14" in key(resolved)


def test_a_single_file_for_several_splits_is_refused_with_what_is_looked_for(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    file = write(tmp_path / "train.gz", "")
    with pytest.raises(
        InputError, match=r"train.gz' is a file; expected the folder that holds train\*, t10k\*\."
    ):
        resolve(file, "train*", "t10k*")


def test_versions_dates_and_widths_mean_what_they_mean_in_tfx(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    for name in ("s-007/v1", "s-007/v3", "s-002/v9", "1970-01-05", "1970-02-01", "[a]b.c-4"):
        write(tmp_path / name / "x.csv", "x\n1\n")
    versions = resolve(tmp_path, "s-{SPAN:3}/v{VERSION}/*")
    assert (versions["span"], versions["version"], versions["patterns"]) == (7, 3, ["s-007/v3/*"])
    assert resolve(tmp_path, "{YYYY}-{MM}-{DD}/*.csv")["span"] == 31
    assert resolve(tmp_path, "{YYYY}-{MM}-{DD}/*.csv", span=4)["patterns"] == ["1970-01-05/*.csv"]
    assert resolve(tmp_path, "[[]a]?[!x]c-{SPAN}/*")["span"] == 4


def test_files_at_any_depth_of_a_span_are_found(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    write(tmp_path / "span-3" / "a.wav", "a")
    write(tmp_path / "span-4" / "deep" / "er" / "b.wav", "b")
    resolved = resolve(tmp_path, "span-{SPAN}/**/*")
    assert (resolved["span"], resolved["patterns"]) == (4, ["span-4/**/*"])
    assert "num_files:1,total_bytes:1" in key(resolved)
    assert resolve(tmp_path, "span-{SPAN}/**/*.wav", span=3)["span"] == 3


def test_a_span_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    for span in (0, 2):
        write(tmp_path / f"span-{span}" / "a.csv", "x\n1\n")
    with pytest.raises(InputError, match=r"no file of span 99 matches .*Spans there: 0, 2\."):
        resolve(tmp_path, "span-{SPAN}/*", span=99)
    with pytest.raises(InputError, match=r"Spans there: none\."):
        resolve(tmp_path / "empty", "span-{SPAN}/*")
    write(tmp_path / "span-old" / "a.csv", "x\n1\n")
    with pytest.raises(InputError, match=r"span-old/a\.csv: .*expects the number of a span"):
        resolve(tmp_path, "span-{SPAN}/*")


def test_splits_of_different_spans_are_refused(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    write(tmp_path / "span-1" / "train.csv", "x\n1\n")
    write(tmp_path / "span-1" / "test.csv", "x\n1\n")
    write(tmp_path / "span-2" / "train.csv", "x\n1\n")
    with pytest.raises(InputError, match="latest span differs between splits: s0 2, s1 1"):
        resolve(tmp_path, "span-{SPAN}/train*", "span-{SPAN}/test*")


def test_a_pipe_in_the_data_does_not_hold_the_driver_up(
    tmp_path: Path, resolve: Callable[..., dict[str, Any]]
) -> None:
    write(tmp_path / "a.csv", "x\n1\n")
    os.mkfifo(tmp_path / "b.csv")
    assert "num_files:2" in key(resolve(tmp_path))
    assert "num_files:1" in key(resolve(tmp_path / "b.csv"))
