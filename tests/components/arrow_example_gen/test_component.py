"""The component ArrowExampleGen in TFX: its artifact, spans, cache, IR, and rows beside stock CsvExampleGen's."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from pipelines.base.paths import CHECKOUT

DATA = Path(os.environ.get("VIADUCT_REAL_DATA", CHECKOUT.parent / "shared" / "data"))
TABLE = "i,f,t,m,e\n" + "".join(
    f'{n},{n / 8},"text, {n % 5}\nand more",{"" if n % 3 else n},\n' for n in range(300)
)


def counted(rows):
    return Counter(tuple(sorted(row.items())) for row in rows)


def everything(splits):
    return counted([row for rows in splits.values() for row in rows])


def split_config(**buckets):
    from tfx.proto import example_gen_pb2

    splits = [example_gen_pb2.SplitConfig.Split(name=n, hash_buckets=b) for n, b in buckets.items()]
    return example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=splits))


def arrow_gen(**arguments):
    from components.arrow_example_gen.component import ArrowExampleGen

    return ArrowExampleGen(**arguments)


def test_rows_and_feature_types_equal_those_of_stock_csv_example_gen(tmp_path, execute, rows_of):
    from tfx.components import CsvExampleGen

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text(TABLE)
    (tmp_path / "data" / "b.csv").write_text("i,f,t,m,e\n7,1e+05,NA,x,\n")
    ours = execute(arrow_gen(input_base=str(tmp_path / "data"), piece_bytes=500))
    stock = execute(CsvExampleGen(input_base=str(tmp_path / "data")))
    # Stock writes a list without values for a missing cell, which TFDV counts as present; ours writes nothing.
    theirs = {n: [_without_empty(row) for row in rows] for n, rows in rows_of(stock.uri).items()}
    assert everything(rows_of(ours.uri)) == everything(theirs)
    assert ours.split_names == stock.split_names
    told = dict(stock.mlmd_artifact.custom_properties)
    assert {name: ours.mlmd_artifact.custom_properties[name] for name in told} == told


def _without_empty(row):
    return {name: (kind, values) for name, (kind, values) in row.items() if values or not kind}


def test_the_artifact_holds_only_whole_numbered_shards_and_says_how_many_rows(tmp_path, execute, rows_of):
    (tmp_path / "a.csv").write_text(TABLE)
    artifact = execute(arrow_gen(input_base=str(tmp_path), input_config=pattern("a.csv"), piece_bytes=2000))
    splits = rows_of(artifact.uri)
    for name, rows in splits.items():
        assert artifact.get_int_custom_property(f"num_rows_{name}") == len(rows)
        shards = sorted(path.name for path in Path(artifact.uri, f"Split-{name}").iterdir())
        assert shards == [f"data_tfrecord-{n:05d}-of-{len(shards):05d}.gz" for n in range(len(shards))]
        assert len(shards) > 1
    assert artifact.get_int_custom_property("num_rows") == 300
    assert artifact.get_int_custom_property("num_input_bytes") == len(TABLE.encode())
    assert {path.name for path in Path(artifact.uri).iterdir()} == {"Split-eval", "Split-train", "columns"}


def pattern(text, name="single_split"):
    from tfx.proto import example_gen_pb2

    return example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name=name, pattern=text)])


def test_bad_input_is_one_clear_error_and_leaves_no_shard(tmp_path, execute):
    from components.shards import InputError

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text(TABLE)
    (tmp_path / "data" / "b.csv").write_text("i,f,t,m,e\n1,2,3\n")
    with pytest.raises(
        InputError, match=r"^.*b\.csv, line 2: the row has 3 values, the header has 5 columns"
    ):
        execute(arrow_gen(input_base=str(tmp_path / "data")))
    assert not list(tmp_path.glob("examples-*/**/*"))


def test_a_pipe_beside_the_data_is_refused_by_name_and_a_folder_called_like_a_file_passed_over(
    tmp_path, execute, rows_of
):
    from components.shards import InputError

    data = tmp_path / "day[1]"
    (data / "folder.csv").mkdir(parents=True)
    (data / "a.csv").write_text("x\n1\n")
    gen = arrow_gen(input_base=str(data), output_config=split_config(all=1))
    assert sum(len(rows) for rows in rows_of(execute(gen).uri).values()) == 1
    os.mkfifo(data / "b.csv")
    with pytest.raises(InputError, match=r"b\.csv is a named pipe, expected a file"):
        execute(gen)


def test_headers_without_a_row_are_refused(tmp_path, execute):
    from components.shards import InputError

    (tmp_path / "a.csv").write_text("x,y\n")
    with pytest.raises(InputError, match="not one row"):
        execute(arrow_gen(input_base=str(tmp_path)))


def test_a_split_that_no_row_falls_into_is_named(tmp_path, execute):
    from components.shards import InputError

    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(
        InputError, match=r"Split '(train|eval)' has no rows \(1 in (train|eval)\)\. 35 different rows"
    ):
        execute(arrow_gen(input_base=str(tmp_path), input_config=pattern("a.csv")))


def test_input_splits_keep_their_files_and_share_their_types(tmp_path, execute, rows_of):
    from tfx.proto import example_gen_pb2

    (tmp_path / "train.csv").write_text("x,y\n1,a\n2,b\n")
    (tmp_path / "test.csv").write_text("x\n0.5\n")
    split = example_gen_pb2.Input.Split
    config = example_gen_pb2.Input(
        splits=[split(name="train", pattern="train.csv"), split(name="eval", pattern="test.csv")]
    )
    rows = rows_of(execute(arrow_gen(input_base=str(tmp_path), input_config=config)).uri)
    assert [row["x"] for row in rows["train"]] == [("float_list", (1.0,)), ("float_list", (2.0,))]
    assert rows["eval"] == [{"x": ("float_list", (0.5,))}]


def test_a_partition_feature_keeps_its_rows_together(tmp_path, execute, rows_of):
    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"{n % 30},{n}\n" for n in range(300)))
    config = split_config(train=1, eval=1)
    config.split_config.partition_feature_name = "id"
    rows = rows_of(execute(arrow_gen(input_base=str(tmp_path), output_config=config)).uri)
    ids = {name: {row["id"] for row in split} for name, split in rows.items()}
    assert ids["train"] and ids["eval"] and not ids["train"] & ids["eval"]


def test_a_schema_file_fixes_types_and_refuses_texts_in_number_columns(tmp_path, execute, rows_of):
    from components.shards import InputError

    schema = tmp_path / "schema.pbtxt"
    schema.write_text('feature { name: "x" type: FLOAT } feature { name: "t" type: BYTES }')
    (tmp_path / "a.csv").write_text("x,t,new\n1,2,3\n")
    gen = arrow_gen(
        input_base=str(tmp_path),
        input_config=pattern("a.csv"),
        output_config=split_config(all=1),
        schema_path=str(schema),
    )
    (row,) = [row for rows in rows_of(execute(gen).uri).values() for row in rows]
    assert row == {"x": ("float_list", (1.0,)), "t": ("bytes_list", (b"2",)), "new": ("int64_list", (3,))}
    (tmp_path / "a.csv").write_text("x,t,new\nn/a,2,3\n")
    with pytest.raises(InputError, match=r"a\.csv, line 2, column 'x': got 'n/a', expected a number"):
        execute(gen)


def test_what_a_person_should_know_stands_on_the_artifact(tmp_path, execute):
    rows = "".join(f"{n:03d},{n},{'NA' if n % 10 == 3 else n},y\n" for n in range(40))
    (tmp_path / "a.csv").write_text("zip,i,months,t\n" + rows)
    (tmp_path / "README.txt").write_text("These are, as you see, my customers;\n")
    artifact = execute(arrow_gen(input_base=str(tmp_path)))
    assert json.loads(artifact.get_string_custom_property("warnings")) == [
        "months: 36 numbers and 4 'NA': read as text. Say null_values=['NA'] (--csv-null=NA) if that means a missing "
        "value.",
        "zip: read as numbers, so values such as '000' lose their leading zeros. If it is a code and no quantity, "
        "give it the type BYTES in the schema.",
    ]
    artifact = execute(arrow_gen(input_base=str(tmp_path), columns=["i", "months"], null_values=["NA"]))
    assert not artifact.has_custom_property("warnings")


@pytest.fixture(scope="module")
def spans_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    for span, version, value in [(1, 1, 11), (2, 1, 21), (2, 3, 23)]:
        where = folder / f"span-{span}" / f"v{version}"
        where.mkdir(parents=True)
        (where / "data.csv").write_text("x\n" + f"{value}\n" * 10)
    return folder


def test_the_launcher_takes_the_latest_span_and_version_and_caches_them(
    tmp_path, spans_folder, launch, rows_of
):
    """One store, five runs: latest, same again (cached), an edit of the file, a static range, dates."""
    from tfx.proto import range_config_pb2

    config, dates = pattern("span-{SPAN}/v{VERSION}/*"), pattern("{YYYY}-{MM}-{DD}/*")
    one = split_config(all=1)
    latest = {"input_base": str(spans_folder), "input_config": config, "output_config": one}
    (first,) = launch(
        tmp_path,
        [arrow_gen(**latest)],
        cache=True,
    )
    properties = first.custom_properties
    assert (properties["span"].int_value, properties["version"].int_value) == (2, 3)
    assert properties["num_rows"].int_value == 10
    assert "num_files:1" in properties["input_fingerprint"].string_value
    assert {row["x"][1] for rows in rows_of(first.uri).values() for row in rows} == {(23,)}

    again = launch(
        tmp_path,
        [arrow_gen(**latest)],
        cache=True,
    )
    assert [artifact.id for artifact in again] == [first.id]

    file = spans_folder / "span-2" / "v3" / "data.csv"
    times = file.stat()
    file.write_text("x\n" + "24\n" * 10)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = launch(
        tmp_path,
        [arrow_gen(**latest)],
        cache=True,
    )
    assert changed[-1].id != first.id, "other content under the old time"
    assert {row["x"][1] for rows in rows_of(changed[-1].uri).values() for row in rows} == {(24,)}

    static = range_config_pb2.RangeConfig(
        static_range=range_config_pb2.StaticRange(start_span_number=1, end_span_number=1)
    )
    gen = arrow_gen(input_base=str(spans_folder), input_config=config, output_config=one, range_config=static)
    old = launch(tmp_path, [gen])[-1]
    assert old.custom_properties["span"].int_value == 1

    day = tmp_path / "data" / "1970-01-05"
    day.mkdir(parents=True)
    (day / "a.csv").write_text("x\n1\n2\n")
    gen = arrow_gen(input_base=str(tmp_path / "data"), input_config=dates, output_config=one)
    assert launch(tmp_path, [gen])[-1].custom_properties["span"].int_value == 4


def test_a_single_file_is_an_input_base_too_and_statistics_read_the_output(tmp_path, launch):
    """Also compiles with a runtime parameter: no path of the machine is in the IR."""
    import tensorflow_data_validation as tfdv
    from tfx.components import StatisticsGen

    (tmp_path / "cards.csv").write_text(TABLE)
    (tmp_path / "unrelated.bin").write_text("")
    gen = arrow_gen(input_base=str(tmp_path / "cards.csv"))
    statistics = StatisticsGen(examples=gen.outputs["examples"])
    launch(tmp_path, [gen, statistics])
    (folder,) = tmp_path.glob("root/StatisticsGen/statistics/*")
    counts = {}
    for split in ("train", "eval"):
        data = tfdv.load_stats_binary(str(folder / f"Split-{split}" / "FeatureStats.pb")).datasets[0]
        counts[split] = data.num_examples
        kinds = {feature.path.step[0]: feature.type for feature in data.features}
        assert (kinds["i"], kinds["f"], kinds["t"], kinds["m"]) == (0, 1, 2, 0)
    assert sum(counts.values()) == 300


def test_the_compiled_node_holds_a_runtime_parameter_and_no_path_of_this_machine(tmp_path):
    from tfx.dsl.compiler import compiler
    from tfx.orchestration import data_types, pipeline

    gen = arrow_gen(
        input_base=data_types.RuntimeParameter(name="input-base", ptype=str),
        schema_path=data_types.RuntimeParameter(name="schema-path", ptype=str),
        split_key="id",
        columns=["id", "x"],
    )
    compiled = compiler.Compiler().compile(
        pipeline.Pipeline(pipeline_name="p", pipeline_root="ROOT", components=[gen])
    )
    text = str(compiled)
    assert "input-base" in text and "schema-path" in text
    assert str(tmp_path.anchor + "work") not in text and os.getcwd() not in text
    assert "components.arrow_example_gen.driver.Driver" in str(compiled.deployment_config.value)


def test_two_workers_write_the_same_rows_to_the_same_splits(tmp_path, rows_of):
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    from components.arrow_example_gen import executor

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text(TABLE)
    gen = arrow_gen(input_base=str(tmp_path / "data"), piece_bytes=2000)
    results = []
    for number, arguments in enumerate(
        [[], ["--runner=DirectRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=2"]]
    ):
        artifact = standard_artifacts.Examples()
        artifact.uri = str(tmp_path / f"out-{number}")
        properties = {
            name: proto_utils.proto_to_json(value) if hasattr(value, "DESCRIPTOR") else value
            for name, value in gen.exec_properties.items()
            if value is not None
        }
        context = executor.Executor.Context(beam_pipeline_args=arguments, unique_id="1")
        executor.Executor(context).Do({}, {"examples": [artifact]}, properties)
        results.append(rows_of(artifact.uri))
    assert results[0] == results[1]


@pytest.mark.real_data
def test_real_card_transactions_are_read_whole(execute, tensorflow):
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    path = DATA / "card_fraud" / "creditcard_subset.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing; set VIADUCT_REAL_DATA")
    artifact = execute(arrow_gen(input_base=str(path.parent), input_config=pattern("*.csv.gz")))
    files = [str(file) for file in Path(artifact.uri).glob("Split-*/*")]
    records = list(tensorflow.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    table = ExamplesToRecordBatchDecoder().DecodeBatch(records)
    assert table.num_rows == 21_787
    assert table.column(table.schema.get_field_index("Class")).flatten().to_numpy().sum() == 381


def test_later_rows_go_to_the_later_split_whatever_file_and_piece_they_lie_in(tmp_path, execute, rows_of):
    (tmp_path / "data").mkdir()
    days = [f"2024-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(300)]
    for name, part in (("b", days[:200]), ("a", days[200:])):
        lines = "".join(f"{n},{day}\n" for n, day in enumerate(part))
        (tmp_path / "data" / f"{name}.csv").write_text("i,day\n" + lines)
    gen = arrow_gen(
        input_base=str(tmp_path / "data"),
        split_time="day",
        columns=["i"],
        piece_bytes=700,
        output_config=split_config(train=4, eval=1),
    )
    rows = rows_of(execute(gen).uri)
    assert {name: len(of) for name, of in rows.items()} == {"train": 240, "eval": 60}
    assert {row["i"][1][0] for row in rows["eval"]} == set(range(40, 100))
    assert all(set(row) == {"i"} for row in rows["train"])


def test_a_key_and_a_time_cannot_both_split(tmp_path):
    with pytest.raises(ValueError, match=r"split_key='i' and split_time='day': expected one"):
        arrow_gen(input_base=str(tmp_path), split_key="i", split_time="day")
