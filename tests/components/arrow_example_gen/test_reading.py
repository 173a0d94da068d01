"""Rows of CSV text, without Beam: equal to what TFX's own CSV decoder makes of them, however the file is cut."""

from __future__ import annotations

import collections
import csv
import dataclasses
import gzip
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.arrow_example_gen import planning, unlabelled, work
from components.arrow_example_gen.options import Options
from components.arrow_example_gen.reading import kinds, pieces
from components.arrow_example_gen.reading.files import find_files
from components.arrow_example_gen.reading.kinds import Kind
from components.progress import Counter
from components.shards import InputError

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
        [find_files(str(folder), pattern, settings_.encoding)],
        settings_,
        schema or {},
        list(schema or {}),
        buckets,
        key,
        str(out),
    )
    facts = work.merge_facts(work.infer(task, plan) for task in plan.tasks)
    results = [work.write(task, plan, Counter("rows read", 100), facts) for task in plan.tasks]
    errors = [error for result in results for error in result["errors"]]
    if errors:
        raise InputError(errors[0][1])
    unlabelled.refuse(
        settings_.label, [r["unlabelled"] for r in results], sum(sum(r["rows"]) for r in results)
    )
    rows: list[list[dict[str, Any]]] = []
    for split in range(len(buckets)):
        shards = [result["shards"][split]["path"] for result in results if result["shards"][split]]
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
    """The same rows by tfx_bsl's type inference and Python's int() and float(), as CsvExampleGen does it.

    But for missing cells: it writes a list without values, where the row lacks the feature here.
    """
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
            if info.type == csv_decoder.ColumnType.UNKNOWN:
                row[info.name] = ("", ())
            elif not cell:
                continue
            elif info.type == csv_decoder.ColumnType.INT:
                row[info.name] = ("int64_list", (int(cell),))
            elif info.type == csv_decoder.ColumnType.FLOAT:
                with np.errstate(over="ignore"):
                    value = float(np.float32(float(cell)))
                row[info.name] = ("float_list", ("nan" if value != value else value,))
            else:
                row[info.name] = ("bytes_list", (cell,))
        rows.append(row)
    return rows


def flat(splits: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for split in splits for row in split]


def multiset(rows: list[dict[str, Any]]) -> collections.Counter:
    return collections.Counter(tuple(sorted(row.items())) for row in rows)


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
@given(text=csv_texts(), piece_bytes=st.integers(1, 200), batch_rows=st.integers(1, 5))
@example(text='a,b\n"x\n""y""\n",1\n\n2,2.5\n', piece_bytes=1, batch_rows=1)
@example(text="c0\n0.0\n9223372036854775808\n", piece_bytes=1, batch_rows=1)
@example(text="c0\n0\n0.0\n9223372036854775808", piece_bytes=1, batch_rows=1)
def test_rows_are_those_of_tfx_wherever_the_file_is_cut(tmp_path, text, piece_bytes, batch_rows):
    (tmp_path / "data.csv").write_text(text, encoding="utf-8", newline="")
    if not as_tfx_reads(text):
        return
    splits = ingest(tmp_path, piece_bytes=piece_bytes, batch_rows=batch_rows)
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
    assert pieces.last_row_end(block, ",") == ends[-1]


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
    plain = ingest(tmp_path, "a.csv", piece_bytes=1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert ingest(tmp_path, "a.csv.gz", piece_bytes=1000) == plain
    assert len(plain[0]) + len(plain[1]) == 500


def test_stray_quotes_in_plain_values_do_not_confuse_the_cuts(tmp_path):
    lines = [f'{n},5" pipe' if n % 3 else f'{n},"two\nlines, {n}"' for n in range(300)]
    (tmp_path / "a.csv").write_text("n,what\n" + "\n".join(lines) + "\n")
    whole = ingest(tmp_path)
    assert ingest(tmp_path, piece_bytes=100) == whole
    assert len(whole[0]) + len(whole[1]) == 300


def test_all_rows_of_a_key_go_to_one_split_and_the_key_need_not_be_written(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"user-{n % 40},{n}\n" for n in range(400)))
    train, evaluation = ingest(tmp_path, key="id", piece_bytes=64)
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
    assert ingest(tmp_path, "a.parquet", piece_bytes=500) == ingest(tmp_path, "a.csv")


def test_parquet_lists_become_features_of_many_values(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    lists = pa.array([[1.5, 2.0], [], None, [3.0]], pa.list_(pa.float64()))
    parquet.write_table(pa.table({"v": lists, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    rows = {row["n"][1][0]: row.get("v") for row in flat(ingest(tmp_path, "a.parquet"))}
    assert rows == {
        1: ("float_list", (1.5, 2.0)),
        2: ("float_list", ()),
        3: None,
        4: ("float_list", (3.0,)),
    }


PLAIN = "stadt,preis,anzahl,note\nKöln,1234.5,1000,a\nBonn,-2.25,,b\n,.5,12,1.5\nÖls,7e2,-1000000,c\n" * 3


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (
            "stadt;preis;anzahl;note\nKöln;1.234,5;1.000;a\nBonn;-2,25;;b\n;,5;12;1.5\nÖls;7e2;-1.000.000;c\n",
            {"delimiter": ";", "decimal": ",", "thousands": "."},
        ),
        (
            'stadt,preis,anzahl,note\nKöln,"1,234.50","1,000",a\nBonn,-2.25,,b\n,.5,12,1.5\nÖls,7e2,"-10,00,000",c\n',
            {"thousands": ","},
        ),
        (
            "stadt|preis|anzahl|note\nKöln|1 234,5|1\u00a0000|a\nBonn|-2,25| NA|b\n?|,5|12|1.5\nÖls|7e2|-1 000 000|c\n",
            {"delimiter": "|", "decimal": ",", "thousands": " ", "null_values": ("NA", "?")},
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-16-le", "cp1250"])
def test_numbers_and_texts_as_people_write_them_are_those_that_python_writes(
    tmp_path, text, options, encoding
):
    header, rows = text.split("\n", 1)
    (tmp_path / "people.csv").write_bytes((header + "\n" + rows * 3).encode(encoding))
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress((header + "\n" + rows * 3).encode(encoding)))
    plain_header, plain_rows = PLAIN.split("\n", 1)[0], PLAIN.replace("stadt,preis,anzahl,note\n", "")
    (tmp_path / "python.csv").write_text(plain_header + "\n" + plain_rows, encoding="utf-8")
    expected = ingest(tmp_path, "python.csv")
    for name in ("people.csv", "packed.csv.gz"):
        assert ingest(tmp_path, name, piece_bytes=40, encoding=encoding, **options) == expected


def test_a_number_in_the_signs_of_another_country_stays_text(tmp_path):
    (tmp_path / "a.csv").write_text("a;b\n1.5;1,5\n2,5;3\n")
    rows = flat(ingest(tmp_path, delimiter=";", decimal=","))
    assert [row["a"] for row in rows] == [("bytes_list", (b"1.5",)), ("bytes_list", (b"2,5",))]
    assert [row["b"] for row in rows] == [("float_list", (1.5,)), ("float_list", (3.0,))]


def test_a_schema_meets_numbers_as_the_file_writes_them_and_names_what_is_none(tmp_path):
    schema = {"a": Kind.INT, "b": Kind.FLOAT}
    (tmp_path / "a.csv").write_text('a,b\n"1,000",NA\n2,"2,000.5"\n')
    rows = flat(ingest(tmp_path, schema=schema, thousands=",", null_values=("NA",)))
    assert {row["a"][1] for row in rows} == {(1000,), (2,)}
    (tmp_path / "a.csv").write_text('a,b\n"1,000",NA\n"1,00",3\n')
    with pytest.raises(InputError, match=r"a.csv, line 3, column 'a': got '1,00', expected an integer"):
        ingest(tmp_path, schema=schema, thousands=",", null_values=("NA",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decimal": ";"}, "expected '.' or ','"),
        ({"thousands": ",,"}, "one sign"),
        ({"thousands": "."}, "the decimal sign too"),
        ({"encoding": "klingon"}, "'latin-1'"),
        ({"encoding": "base64"}, "is not known"),
        ({"null_values": "NA"}, "a list of words"),
        ({"columns": ["a"], "label": "b"}, "leaves out the label"),
    ],
)
def test_a_way_of_writing_that_makes_no_sense_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Options(**options)


def test_bytes_that_are_none_of_the_encoding_are_named_with_their_line(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,x\n2,\x81\n")
    with pytest.raises(InputError, match=r"a.csv, line 3: byte 0x81 .* is no text in 'cp1252'"):
        ingest(tmp_path, encoding="cp1252")


BAD_FILES = [
    ("too_wide", "a,b\n1,2\n1,2,3\n", ["a.csv, line 3", "3 values", "2 columns"]),
    ("too_narrow", 'a,b\n"x\ny",2\n\n7\n', ["a.csv, line 5", "1 value", "2 columns", "'7'"]),
    ("open_quote", 'a,b\n1,2\n3,"open\n4,5\n', ["a.csv, line 3", "never closed"]),
    ("not_utf8", b"a,b\n1,2\nx,\xff\n", ["a.csv, line 3", "0xff", "UTF-8"]),
    ("utf16 cut off", "a,b\n1,2\n".encode("utf-16")[:-1], ["a.csv, line 2", "utf-16", "encoding"]),
    ("empty", "", ["a.csv", "empty"]),
    ("blank", "\n\n", ["a.csv", "no header"]),
    ("twice", "a,b,a\n1,2,3\n", ["a.csv, line 1", "'a'", "twice"]),
    ("unnamed", "a,,b\n1,2,3\n", ["a.csv, line 1", "column 2", "no name"]),
    ("semicolons", "a;b\n1;2\n", ["a.csv, line 1", "one column 'a;b'", "is the separator ';'"]),
    ("decimal commas", "a;b\n1,5;2\n", ["a.csv, line 1", "is the separator ';'", "decimal=','"]),
    ("tabs", "a\tb\n1\t2\n", ["one column 'a\\tb'", "is the separator '\\t'"]),
]


@pytest.mark.parametrize(
    ("content", "words"), [bad[1:] for bad in BAD_FILES], ids=[bad[0] for bad in BAD_FILES]
)
def test_a_bad_file_is_refused_with_its_name_and_line(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        ingest(tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


def test_commas_in_a_file_of_tabs_are_asked_about(tmp_path):
    (tmp_path / "a.tsv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"one column 'a,b'; is the separator ','.*if the name is meant"):
        ingest(tmp_path, "a.tsv")


def test_parquet_types_that_no_feature_holds_are_refused_by_column(tmp_path):
    import datetime

    import pyarrow as pa
    from pyarrow import parquet

    for values in (
        pa.array([[[1]]]),
        pa.array([[{"a": 1}]]),
        pa.array([{"a": 1}]),
        pa.array([datetime.timedelta(seconds=1)]),
        pa.array([[datetime.timedelta(seconds=1)]]),
    ):
        parquet.write_table(pa.table({"bad": values}), tmp_path / "a.parquet")
        with pytest.raises(
            InputError, match=r"a.parquet, column 'bad': type .* has no place in a tf.Example"
        ):
            ingest(tmp_path, "a.parquet")


def test_the_line_is_right_in_a_later_piece_and_in_a_gzip_file(tmp_path):
    lines = [f'{n},"a\nb"' for n in range(1000)]
    lines[700] = "700,x,y"
    text = "n,t\n" + "\n".join(lines)
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    for pattern in ("a.csv", "b.csv.gz"):
        with pytest.raises(InputError, match=rf"{pattern}, line {2 + 2 * 700}: the row has 3 values"):
            ingest(tmp_path, pattern, piece_bytes=500)


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


def test_words_that_mean_a_missing_value_are_missing_in_columns_of_any_kind(tmp_path):
    (tmp_path / "a.csv").write_text("n,f,t\nNA,?,NA\n1,2.5,x\n+3,?,y\n")
    rows = flat(ingest(tmp_path, null_values=("NA", "?")))
    assert multiset(rows) == multiset(
        [
            {},
            {"n": ("int64_list", (1,)), "f": ("float_list", (2.5,)), "t": ("bytes_list", (b"x",))},
            {"n": ("int64_list", (3,)), "t": ("bytes_list", (b"y",))},
        ]
    )
    with pytest.raises(InputError, match=r"line 3, column 'f': got '2\.5', expected an integer"):
        ingest(tmp_path, null_values=("NA", "?"), schema={"f": Kind.INT})


def test_a_name_with_a_semicolon_is_read_where_the_separator_is_given(tmp_path):
    (tmp_path / "a.csv").write_text("a;b\n1\n2\n")
    assert len(flat(ingest(tmp_path, delimiter=","))) == 2
    (tmp_path / "a.csv").write_text("a;b\n1;5\n2;6\n")
    assert {tuple(sorted(row)) for row in flat(ingest(tmp_path, delimiter=";"))} == {("a", "b")}


def test_a_readme_beside_the_data_is_passed_over(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    for name in ("README.txt", "readme.md", "LICENSE"):
        (tmp_path / name).write_text("no, data\n")
    assert [file.path for file in find_files(str(tmp_path), "*")] == [str(tmp_path / "a.csv")]


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
    parquet.write_table(pa.table({"x": pa.array([2**63], pa.uint64())}), tmp_path / "a.parquet")
    with pytest.raises(
        InputError, match=r"column 'x': .*Expected values that fit an integer of 64 bits; write"
    ):
        ingest(tmp_path, "a.parquet")


@pytest.mark.parametrize(
    "bad",
    [{"gzip_level": 10}, {"delimiter": ";;"}, {"columns": ()}, {"columns": ("a", "a")}, {"piece_bytes": 0}],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Options(**bad)


def test_settings_travel_as_canonical_json():
    options = Options(columns=("b", "a"), gzip_level=6, delimiter=";")
    assert Options.from_json(options.to_json()) == options
    assert dataclasses.replace(options, columns=None, gzip_level=1, delimiter=None).to_json() == "{}"


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.csv", 'x,y\n1,0\n"a\nb",\n\n3,nan\n4,1\n', ["a.csv, line 3, line 6"]),
        ("a.csv", "y\n1\nNA\n2\nNA\n", ["a.csv, line 3, line 5"]),
        ("a.csv.gz", "x,y\n1,yes\n2,\n3,NA\n", ["a.csv.gz, line 3, line 4"]),
    ],
)
def test_rows_without_a_label_are_counted_and_named_by_line(tmp_path, name, content, where):
    (tmp_path / name).write_bytes(
        gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
    )
    with pytest.raises(InputError, match=r"label 'y' has no value in 2 of [34] rows") as caught:
        ingest(tmp_path, name, label="y", null_values=("NA",), piece_bytes=4)
    assert all(place in str(caught.value) for place in where), caught.value


def test_rows_without_a_label_are_named_by_their_row_in_a_parquet_file(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    labels = pa.array([0.0, 1.0, None, math.nan] * 3)
    parquet.write_table(pa.table({"x": range(12), "y": labels}), tmp_path / "a.parquet", row_group_size=5)
    with pytest.raises(
        InputError, match=r"in 6 of 12 rows: .*a.parquet, row 3, row 4, row 7, row 8, row 11 and 1 more"
    ):
        ingest(tmp_path, "a.parquet", label="y", piece_bytes=1)


def test_a_label_that_is_no_column_is_refused_with_a_close_name(tmp_path):
    (tmp_path / "a.csv").write_text("x,left\n1,0\n")
    with pytest.raises(InputError, match=r"'lfet' is missing, label asks for it. Did you mean 'left'\?"):
        ingest(tmp_path, label="lfet")


def test_what_lies_beside_data_is_passed_over_and_a_folder_of_nothing_else_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    for name in (
        "README.txt",
        "LICENSE",
        "a.csv.crc",
        "a.csv.sha256",
        "NOTES.md",
        "Thumbs.db",
        "_SUCCESS",
        ".DS_Store",
    ):
        (tmp_path / name).write_text("no data")
    assert [file.path for file in find_files(str(tmp_path), "*")] == [str(tmp_path / "a.csv")]
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InputError, match="is not a kind of file"):
        find_files(str(tmp_path), "*")
