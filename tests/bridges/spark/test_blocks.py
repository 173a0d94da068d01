"""Blocks through models and functions on a real cluster; what is wrong is said by the driver before a job starts."""

from __future__ import annotations

import pickle
import shutil

import pytest

from bridges.errors import BridgeError
from bridges.spark import blocks, folding, models, steps
from bridges.spark.session import told

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.xdist_group("spark")]


@pytest.fixture(scope="module")
def frame(spark):
    """Ten rows in two partitions: id, a and b floats, v [a, b], ragged lists, text, gap with a missing value."""
    return spark.range(0, 10, 1, 2).selectExpr(
        "id",
        "cast(id as float) a",
        "cast(id * 2 as float) b",
        "array(cast(id as float), cast(id * 2 as float)) v",
        "cast(sequence(0, id) as array<long>) ragged",
        "concat('n', id) text",
        "if(id = 7, null, cast(id as float)) gap",
    )


def test_a_model_is_fed_a_list_column_or_columns_side_by_side_and_answers_are_its_own(frame, models_folder):
    scaled = models_folder / "scaled"
    by_list = blocks.map_blocks(scaled, frame.select("id", "v"), feed={"x": "v"}, block_rows=3)
    by_columns = blocks.map_blocks(scaled, frame.select("id", "a", "b"), feed={"x": ["a", "b"]})
    assert by_list.columns == ["id", "v", "y"]
    rows = {row.id: row.y for row in by_list.collect()}
    assert rows == {n: [2.0 * n + 1, 4.0 * n + 1] for n in range(10)}
    assert rows == {row.id: row.y for row in by_columns.collect()}


def test_functions_rows_trim_and_texts(frame, models_folder):
    def work(block):
        assert len(block["a"]) <= 2
        return {"total": block["a"] + block["b"], "matrix": block["v"] * 2}

    out = blocks.map_blocks(work, frame.select("a", "b", "v"), block_rows=2).collect()
    assert sorted((row.a, row.total, row.matrix) for row in out) == [
        (n, 3.0 * n, [2.0 * n, 4.0 * n]) for n in range(10)
    ]
    largest = blocks.map_blocks(
        lambda block: {"most": block["id"].max(keepdims=True)}, frame, {"id": "id"}, trim=True
    )
    assert sorted(row.most for row in largest.collect()) == [4, 9]
    by_row = blocks.map_rows(
        lambda row: {"n": len(row["ragged"]), "up": row["text"].decode().upper()},
        frame.select("ragged", "text"),
    )
    assert sorted((row.n, row.up) for row in by_row.collect()) == sorted((n + 1, f"N{n}") for n in range(10))
    texts = models.find(models_folder / "pair", signature="text")
    named = blocks.map_blocks(
        texts, frame.select("text"), feed={"name": "text"}, outputs="length int"
    ).collect()
    assert {row.length for row in named} == {2}


def test_a_fold_is_a_mean_whatever_the_partitions_and_empty_ones_add_nothing(spark, frame):
    def mean(rows):
        return folding.reduce_blocks(
            lambda: (0.0, 0),
            lambda state, block: (state[0] + float(block["a"].sum()), state[1] + len(block["a"])),
            lambda one, other: (one[0] + other[0], one[1] + other[1]),
            lambda state: state[0] / state[1] if state[1] else None,
            rows,
            columns=["a"],
        )

    assert mean(frame) == 4.5
    # Eleven partitions, most of them empty: a tree of two rounds.
    assert mean(frame.where("id in (2, 9)").repartition(11)) == 5.5
    assert mean(frame.where("id < 0")) is None


def test_an_aggregate_gives_a_row_a_key_and_a_missing_key_is_one(frame):
    keyed = frame.selectExpr("if(id = 9, null, id % 2) k", "text like '%3' q", "a")
    result = folding.aggregate(
        keyed,
        ["k", "q"],
        lambda: [0.0, 0],
        lambda state, block: [state[0] + float(block["a"].sum()), state[1] + len(block["a"])],
        lambda one, other: [one[0] + other[0], one[1] + other[1]],
        lambda state: {"mean": state[0] / state[1], "n": state[1]},
        outputs="mean double, n long",
        block_rows=3,
    )
    assert result.columns == ["k", "q", "mean", "n"]
    expected = {(0, False, 4.0, 5), (1, False, 13 / 3, 3), (1, True, 3.0, 1), (None, False, 9.0, 1)}
    assert {tuple(row) for row in result.collect()} == expected


@pytest.mark.parametrize(
    ("columns", "feed", "says"),
    [
        (["id"], {}, "Column 'x' does not exist.*input 'x' of scaled"),
        (["v"], {"z": "v"}, "Input 'z' does not exist"),
        (["ragged"], {"x": "ragged"}, "Column 'ragged' is array<bigint>, and input 'x' wants float"),
        (["text"], {"x": "text"}, "Column 'text' is string"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_models_columns_is_said_before_a_job(frame, models_folder, columns, feed, says):
    with pytest.raises(BridgeError, match=says):
        blocks.map_blocks(models_folder / "scaled", frame.select(*columns), feed=feed)


def test_what_else_is_wrong_is_said_before_a_job_too(frame, models_folder, tmp_path):
    scaled = models_folder / "scaled"
    with pytest.raises(BridgeError, match="'y' would overwrite the column of that name"):
        blocks.map_blocks(scaled, frame.withColumnRenamed("a", "y"), feed={"x": "v"})
    with pytest.raises(BridgeError, match="neither a model nor a project"):
        blocks.map_blocks(tmp_path / "nothing", frame)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(BridgeError, match="no SavedModel"):
        blocks.map_blocks(tmp_path, frame)
    with pytest.raises(BridgeError, match=r"has no version 9; there are 2\."):
        models.find(scaled, 9)
    with pytest.raises(BridgeError, match="block_rows=0"):
        blocks.map_blocks(scaled, frame, feed={"x": "v"}, block_rows=0)
    with pytest.raises(BridgeError, match="is not understood"):
        blocks.map_blocks(lambda block: block, frame, outputs="score flaot")
    with pytest.raises(BridgeError, match="'d' is date, which is no array"):
        blocks.map_blocks(lambda block: block, frame.selectExpr("current_date() d"))


def test_missing_values_and_ragged_lists_end_the_job_in_one_sentence(frame, models_folder):
    with pytest.raises(BridgeError, match="Column 'gap' has 1 missing values in a block"), told():
        blocks.map_blocks(models_folder / "scaled", frame, feed={"x": ["a", "gap"]}).collect()
    with pytest.raises(BridgeError, match="Column 'r' is ragged"), told():
        ragged = frame.selectExpr("cast(ragged as array<float>) r")
        blocks.map_blocks(models_folder / "scaled", ragged, feed={"x": "r"}).collect()


def test_steps_are_pickled_with_a_models_path_and_not_its_weights(spark, models_folder):
    schema = spark.range(1).selectExpr("array(1f, 2f) v").schema
    step = steps.step_of(models_folder / "scaled", schema, {"x": "v"}, None)
    assert len(pickle.dumps(step)) < 2000


def test_a_model_is_found_by_the_name_it_is_served_under(models_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VIADUCT_HOME", str(tmp_path))
    served = tmp_path / "serving" / "card_fraud.sample"
    shutil.copytree(models_folder / "scaled", served)
    assert models.find("card_fraud.sample").version == models.find(served).version
    with pytest.raises(BridgeError, match=r"holds no pushed model\. There is: card_fraud\.sample\."):
        models.find("card_fraud")
    with pytest.raises(BridgeError, match=r"holds no pushed model\. `viaduct run digits` makes one"):
        models.find("digits")
