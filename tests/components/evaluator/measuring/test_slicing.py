"""Slices found once per distinct combination are those that TFMA's slicer finds row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.slicer import slicer_lib

from components.evaluator.measuring.slicing import Slicer, Slices

SPECS = [
    tfma.SlicingSpec(),
    tfma.SlicingSpec(feature_keys=["tag"]),
    tfma.SlicingSpec(feature_keys=["hour", "made"]),
    tfma.SlicingSpec(feature_keys=["hour"], feature_values={"made": "low"}),
    tfma.SlicingSpec(feature_keys=["nowhere"]),
]


def of_row(found: Slices, number: int) -> set[Any]:
    return {found.keys[layer[number]] for layer in found.layers if layer[number] >= 0}


def by_tfma(transformed: list[dict[str, Any]], raw: dict[str, Any]) -> set[Any]:
    specs = [slicer_lib.SingleSliceSpec(spec=spec) for spec in SPECS]
    return set(slicer_lib.get_slices_for_features_dicts(transformed, raw, specs))


def test_rows_with_many_no_and_equal_values_are_in_tfmas_slices_over_several_batches() -> None:
    tags = [[b"a", b"b"], [b"a"], [], None, [b"b", b"a"], ["größer".encode()]]
    hours = [[7], [7], [23], [23], [], [7]]
    made = np.array([b"low", b"high", b"low", b"low", b"high", b"low"], object)
    slicer = Slicer(SPECS)
    for rows in (slice(0, 4), slice(4, 6)):
        raw = {
            "tag": pa.array(tags[rows], pa.large_list(pa.large_binary())),
            "hour": pa.array(hours[rows], pa.large_list(pa.int64())),
        }
        slicer.add(rows.stop - rows.start, [{"made": made[rows].reshape(-1, 1)}], raw)
    found = slicer.finish()
    for number in range(6):
        raw_row = {
            "tag": np.array(tags[number] or [], object),
            "hour": np.array(hours[number], np.int64),
        }
        assert of_row(found, number) == by_tfma([{"made": made[number : number + 1]}], raw_row), number
    assert found.keys[0] == () and (found.layers[0] == 0).all()
    assert found.rows().tolist() == [sum(key in of_row(found, n) for n in range(6)) for key in found.keys]


def test_two_models_that_see_a_row_differently_put_it_into_both_slices() -> None:
    slicer = Slicer([tfma.SlicingSpec(feature_keys=["made"])])
    one, other = np.array([b"low", b"low"], object), np.array([b"low", b"high"], object)
    slicer.add(2, [{"made": one}, {"made": other}], {})
    found = slicer.finish()
    assert of_row(found, 0) == {(("made", "low"),)}
    assert of_row(found, 1) == {(("made", "low"),), (("made", "high"),)}
    assert found.rows().tolist() == [1, 2]


def test_numbers_and_texts_are_told_apart() -> None:
    slicer = Slicer([tfma.SlicingSpec(feature_keys=["x"])])
    slicer.add(2, [], {"x": pa.array([[1], [2]], pa.large_list(pa.int64()))})
    slicer.add(1, [], {"x": pa.array([[0.5]], pa.large_list(pa.float32()))})
    assert slicer.finish().keys == [(("x", 0.5),), (("x", 1),), (("x", 2),)]
