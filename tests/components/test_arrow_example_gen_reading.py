"""Rows of CSV text, without Beam: equal to what TFX's own CSV decoder makes of them, however the file is cut."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.arrow_example_gen import kinds, planning, spans, work
from components.arrow_example_gen.errors import InputError
from components.arrow_example_gen.files import find_files
from components.arrow_example_gen.kinds import Kind
from components.arrow_example_gen.options import Options

SLOW_MACHINE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ingest(folder: Path, pattern: str = "*.csv", buckets=(2, 1), key=None, schema=None, **options: Any):
    """Rows per split as decoded features, by the worker's own functions."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    settings_ = Options(**options)
    plan = planning.make_plan(
        [find_files(str(folder), pattern)],
        settings_,
        schema or {},
        list(schema or {}),
        buckets,
        key,
        str(out),
    )
    facts = work.merge_facts(work.infer(task, plan) for task in plan.tasks)
    results = [work.write(task, plan, facts) for task in plan.tasks]
    errors = [error for result in results for error in result["errors"]]
    if errors:
        raise InputError(errors[0][1])
    rows: list[list[dict[str, Any]]] = []
    for split in range(len(buckets)):
        shards = [result["shards"][split] for result in results if result["shards"][split]]
        rows.append(
            [
                _features(record)
                for shard in shards
                for record in _records(gzip.decompress(Path(shard).read_bytes()))
            ]
        )
    return rows


def _records(data: bytes) -> Iterator[bytes]:
    """TFRecords without their checks (tests of the component read with TensorFlow, which checks)."""
    while data:
        size = int.from_bytes(data[:8], "little")
        yield data[12 : 12 + size]
        data = data[16 + size :]


def _features(record: bytes) -> dict[str, Any]:
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    result = {}
    for name, feature in features.items():
        kind = feature.WhichOneof("kind") or ""
        values = tuple(getattr(feature, kind).value) if kind else ()
        result[name] = (kind, tuple("nan" if isinstance(v, float) and math.isnan(v) else v for v in values))
    return result


def as_tfx_reads(text: str) -> list[dict[str, Any]]:
    """The same rows by tfx_bsl's type inference and Python's int() and float(), as CsvExampleGen does it."""
    import numpy as np
    from tfx_bsl.coders import csv_decoder

    header, *records = [r for r in csv.reader(io.StringIO(text, newline="")) if r]
    cells = [[cell.encode() for cell in record] for record in records]
    inferrer = csv_decoder.ColumnTypeInferrer(header, skip_blank_lines=True)
    seen = inferrer.create_accumulator()
    for record in cells:
        seen = inferrer.add_input(seen, record)
    rows = []
    for record in cells:
        row = {}
        for info, cell in zip(inferrer.extract_output(seen), record, strict=True):
            if info.type == csv_decoder.ColumnType.INT:
                row[info.name] = ("int64_list", (int(cell),) if cell else ())
            elif info.type == csv_decoder.ColumnType.FLOAT:
                with np.errstate(over="ignore"):
                    value = (float(np.float32(float(cell))),) if cell else ()
                row[info.name] = ("float_list", tuple("nan" if v != v else v for v in value))
            elif info.type == csv_decoder.ColumnType.STRING:
                row[info.name] = ("bytes_list", (cell,) if cell else ())
            else:
                row[info.name] = ("", ())
        rows.append(row)
    return rows


def flat(splits: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for split in splits for row in split]


def multiset(rows: list[dict[str, Any]]) -> Counter:
    return Counter(tuple(sorted(row.items())) for row in rows)


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=True, width=64).map(repr),
    st.sampled_from(
        ["+3", " 4", "5 ", "1_000", "0x10", "007", "-0", "1e5", ".5", "5.", "1e400", "Infinity", "NA"]
    ),
)
TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r"), max_size=8)
COLUMNS = st.sampled_from(
    [
        st.integers(-9, 9).map(str),
        NUMBERS,
        TEXTS,
        st.just(""),
        st.one_of(st.just(""), NUMBERS),
        st.booleans().map(str),
    ]
)


@st.composite
def csv_texts(draw: Any) -> str:
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    columns = [draw(st.lists(draw(COLUMNS), min_size=height, max_size=height)) for _ in range(width)]
    out = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerow([f"c{number}" for number in range(width)])
    writer.writerows(zip(*columns, strict=True))
    text = out.getvalue()
    return text[: -len(end)] if draw(st.booleans()) else text


@settings(SLOW_MACHINE, max_examples=25)
@given(text=csv_texts(), span_bytes=st.integers(1, 200), batch_rows=st.integers(1, 5))
@example(text='a,b\n"x\n""y""\n",1\n\n2,2.5\n', span_bytes=1, batch_rows=1)
@example(text="c0\n0.0\n9223372036854775808\n", span_bytes=1, batch_rows=1)
@example(text="c0\n0\n0.0\n9223372036854775808", span_bytes=1, batch_rows=1)
def test_rows_are_those_of_tfx_wherever_the_file_is_cut(tmp_path, text, span_bytes, batch_rows):
    (tmp_path / "data.csv").write_text(text, encoding="utf-8", newline="")
    if not as_tfx_reads(text):
        return
    splits = ingest(tmp_path, span_bytes=span_bytes, batch_rows=batch_rows)
    assert multiset(splits[0] + splits[1]) == multiset(as_tfx_reads(text))
    assert splits == ingest(tmp_path), "the cut moved rows between splits or out of order"


@SLOW_MACHINE
@given(st.text('a,"\n', max_size=60))
def test_a_cut_never_falls_inside_a_quoted_value(text):
    block = text.encode()
    ends, quoted, start = [0], False, True
    position = 0
    while position < len(block):
        byte = block[position : position + 1]
        if quoted:
            if byte == b'"' and block[position + 1 : position + 2] == b'"':
                position += 1
            elif byte == b'"':
                quoted = False
        elif byte == b'"' and start:
            quoted = True
        elif byte == b"\n":
            ends.append(position + 1)
        start = byte in (b",", b"\n") and not quoted
        position += 1
    assert spans.last_row_end(block, ",") == ends[-1]


@SLOW_MACHINE
@given(st.lists(st.one_of(NUMBERS, TEXTS, st.just("")), max_size=6))
def test_a_columns_kind_is_the_widest_of_its_values(values):
    import pyarrow as pa

    column = pa.array([value or None for value in values], pa.string())
    assert kinds.kind_of_column(column) == max(map(kinds.kind_of_value, values), default=Kind.UNKNOWN)


def test_an_integer_column_that_turns_into_floats_in_a_later_file_is_floats_everywhere(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,1\n2,2\n")
    (tmp_path / "b.csv").write_text("y,x\n3,3.5\n")
    rows = flat(ingest(tmp_path))
    assert sorted(row["x"] for row in rows) == [("float_list", (v,)) for v in (1.0, 2.0, 3.5)]
    assert {row["y"][0] for row in rows} == {"int64_list"}


def test_widening_a_column_moves_no_row_to_another_split(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{n},row {n}\n" for n in range(200)))
    before = [{row["y"] for row in split} for split in ingest(tmp_path)]
    (tmp_path / "b.csv").write_text("x,y\n0.5,last\n")
    after = [{row["y"] for row in split} for split in ingest(tmp_path)]
    assert all(old <= new for old, new in zip(before, after, strict=True))


def test_a_byte_order_mark_is_no_part_of_the_first_columns_name(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffx,y\n1,ä\n".encode())
    assert flat(ingest(tmp_path)) == [{"x": ("int64_list", (1,)), "y": ("bytes_list", ("ä".encode(),))}]


def test_gzip_files_and_plain_files_give_the_same_rows(tmp_path):
    text = "x,y\n" + "".join(f'{n},"line {n}\nand on"\n' for n in range(500))
    (tmp_path / "a.csv").write_text(text)
    plain = ingest(tmp_path, "a.csv", span_bytes=1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert ingest(tmp_path, "a.csv.gz", span_bytes=1000) == plain
    assert len(plain[0]) + len(plain[1]) == 500


def test_stray_quotes_in_plain_values_do_not_confuse_the_cuts(tmp_path):
    lines = [f'{n},5" pipe' if n % 3 else f'{n},"two\nlines, {n}"' for n in range(300)]
    (tmp_path / "a.csv").write_text("n,what\n" + "\n".join(lines) + "\n")
    whole = ingest(tmp_path)
    assert ingest(tmp_path, span_bytes=100) == whole
    assert len(whole[0]) + len(whole[1]) == 300


def test_all_rows_of_a_key_go_to_one_split_and_the_key_need_not_be_written(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"user-{n % 40},{n}\n" for n in range(400)))
    train, evaluation = ingest(tmp_path, key="id", span_bytes=64)
    assert train and evaluation
    assert not {row["id"] for row in train} & {row["id"] for row in evaluation}
    without = ingest(tmp_path, key="id", columns=("x",))
    assert [[row["x"] for row in split] for split in without] == [
        [r["x"] for r in s] for s in (train, evaluation)
    ]
    assert set(without[0][0]) == {"x"}


def test_splits_are_as_large_as_their_buckets_say(tmp_path):
    (tmp_path / "a.csv").write_text("x\n" + "".join(f"{n}\n" for n in range(9000)))
    counts = [len(split) for split in ingest(tmp_path, buckets=(7, 2, 1))]
    assert [round(count / 900) for count in counts] == [7, 2, 1]


def test_a_tab_separated_file_without_header_reads_with_given_names(tmp_path):
    (tmp_path / "a.txt").write_text('1\tan "odd" sentence\n0\t"another\n')
    rows = ingest(tmp_path, "a.txt", delimiter="\t", column_names=("label", "text"), quoting=False)
    assert {row["text"][1] for row in flat(rows)} == {(b'an "odd" sentence',), (b'"another',)}


def test_parquet_and_csv_of_the_same_table_give_the_same_rows_in_the_same_splits(tmp_path):
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    table = pa.table(
        {
            "i": pa.array([1, None, 3] * 50, pa.int32()),
            "f": [n / 8 for n in range(150)],
            "t": [f"text {n % 7}" for n in range(150)],
            "d": pa.array(range(150), pa.date32()),
            "c": pa.array(["a", "b", None] * 50).dictionary_encode(),
            "e": pa.nulls(150),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=40)
    arrow_csv.write_csv(table.set_column(4, "c", table["c"].cast(pa.string())), tmp_path / "a.csv")
    assert ingest(tmp_path, "a.parquet", span_bytes=500) == ingest(tmp_path, "a.csv")


def test_parquet_lists_become_features_of_many_values(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    lists = pa.array([[1.5, 2.0], [], None, [3.0]], pa.list_(pa.float64()))
    parquet.write_table(pa.table({"v": lists, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    rows = {row["n"][1][0]: row["v"] for row in flat(ingest(tmp_path, "a.parquet"))}
    assert rows == {
        1: ("float_list", (1.5, 2.0)),
        2: ("float_list", ()),
        3: ("float_list", ()),
        4: ("float_list", (3.0,)),
    }


BAD_FILES = [
    ("too_wide", "a,b\n1,2\n1,2,3\n", ["a.csv, line 3", "3 values", "2 columns"]),
    ("too_narrow", 'a,b\n"x\ny",2\n\n7\n', ["a.csv, line 5", "1 value", "2 columns", "'7'"]),
    ("open_quote", 'a,b\n1,2\n3,"open\n4,5\n', ["a.csv, line 3", "never closed"]),
    ("not_utf8", b"a,b\n1,2\nx,\xff\n", ["a.csv, line 3", "0xff", "UTF-8"]),
    ("utf16", "a,b\n1,2\n".encode("utf-16"), ["a.csv", "UTF-16"]),
    ("empty", "", ["a.csv", "empty"]),
    ("blank", "\n\n", ["a.csv", "no header"]),
    ("twice", "a,b,a\n1,2,3\n", ["a.csv, line 1", "'a'", "twice"]),
    ("unnamed", "a,,b\n1,2,3\n", ["a.csv, line 1", "column 2", "no name"]),
]


@pytest.mark.parametrize(
    ("content", "words"), [bad[1:] for bad in BAD_FILES], ids=[bad[0] for bad in BAD_FILES]
)
def test_a_bad_file_is_refused_with_its_name_and_line(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        ingest(tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_line_is_right_in_a_later_span_and_in_a_gzip_file(tmp_path):
    lines = [f'{n},"a\nb"' for n in range(1000)]
    lines[700] = "700,x,y"
    text = "n,t\n" + "\n".join(lines)
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    for pattern in ("a.csv", "b.csv.gz"):
        with pytest.raises(InputError, match=rf"{pattern}, line {2 + 2 * 700}: the row has 3 values"):
            ingest(tmp_path, pattern, span_bytes=500)


def test_a_text_in_a_number_column_of_the_schema_names_line_column_and_value(tmp_path):
    (tmp_path / "a.csv").write_text("amount,n\n1.5,1\n2,2\nabc,3\n")
    with pytest.raises(InputError, match=r"a\.csv, line 4, column 'amount': got 'abc', expected a number"):
        ingest(tmp_path, schema={"amount": Kind.FLOAT})
    with pytest.raises(InputError, match=r"a\.csv, line 2, column 'amount': got '1.5', expected an integer"):
        ingest(tmp_path, schema={"amount": Kind.INT, "n": Kind.INT})


def test_a_column_that_the_schema_demands_and_no_file_has_is_named_with_close_matches(tmp_path):
    (tmp_path / "a.csv").write_text("Amount,n\n1,1\n")
    with pytest.raises(InputError, match=r"a\.csv: column 'amount' is missing.*Did you mean 'Amount'"):
        ingest(tmp_path, schema={"amount": Kind.FLOAT})


def test_a_column_missing_in_one_of_several_files_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,1\n")
    (tmp_path / "b.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match=r"b\.csv: column 'y' is missing, .*a\.csv has it"):
        ingest(tmp_path)
    (tmp_path / "b.csv").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(InputError, match=r"b\.csv: column 'z' is not in .*a\.csv"):
        ingest(tmp_path)


def test_a_row_without_its_key_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\na,1\n,2\n")
    with pytest.raises(InputError, match=r"a\.csv: split key 'id' has no value in a row"):
        ingest(tmp_path, key="id")


def test_files_that_are_no_data_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "picture.png").write_text("")
    with pytest.raises(InputError, match=r"picture\.png.*CSV|picture\.png: '\.png' is not a kind"):
        find_files(str(tmp_path), "*")
    with pytest.raises(InputError, match="does not exist"):
        find_files(str(tmp_path / "nowhere"), "*")
    assert [file.path for file in find_files(str(tmp_path), "*.csv")] == [str(tmp_path / "a.csv")]


def test_a_cut_gzip_file_is_refused_by_name(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n" + b"123456789\n" * 9999)[:-20])
    with pytest.raises(InputError, match=r"a\.csv\.gz: not a whole gzip file"):
        ingest(tmp_path, "a.csv.gz")


def test_a_parquet_column_that_no_example_can_hold_is_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"x": [1], "s": [{"a": 1}]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, column 's': type struct"):
        ingest(tmp_path, "a.parquet")
    assert flat(ingest(tmp_path, "a.parquet", columns=("x",))) == [{"x": ("int64_list", (1,))}]


@pytest.mark.parametrize(
    "bad",
    [{"gzip_level": 10}, {"delimiter": ";;"}, {"columns": ()}, {"columns": ("a", "a")}, {"span_bytes": 0}],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Options(**bad)


def test_settings_travel_as_canonical_json():
    options = Options(columns=("b", "a"), gzip_level=6, delimiter=";")
    assert Options.from_json(options.to_json()) == options
    assert dataclasses.replace(options, columns=None, gzip_level=1, delimiter=None).to_json() == "{}"
