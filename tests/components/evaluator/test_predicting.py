"""What is read for an evaluation in process, and what is left to TFMA's Beam path because it is not proven equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.evaluator import predicting
from components.evaluator.measuring.rows import NotProven


def config(**spec: Any) -> Any:
    import tensorflow_model_analysis as tfma

    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="label", **spec)],
        slicing_specs=[tfma.SlicingSpec(feature_keys=["place"])],
    )


def schema(*, shape: bool = True) -> Any:
    from tensorflow_metadata.proto.v0 import schema_pb2

    made = schema_pb2.Schema()
    for name, kind in (("label", schema_pb2.INT), ("place", schema_pb2.BYTES), ("x", schema_pb2.FLOAT)):
        feature = made.feature.add(name=name, type=kind)
        if shape:
            feature.shape.dim.add(size=1)
    return made


def example(**values: Any) -> bytes:
    import tensorflow as tf

    features = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        else:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_the_prediction_is_chosen_as_tfma_chooses_it() -> None:
    score, other = np.array([[0.25], [0.5]], np.float32), np.zeros((2, 3))
    assert predicting.prediction({"score": score, "other": other}, "score").tolist() == [0.25, 0.5]
    assert predicting.prediction({"whatever": score}, "score").tolist() == [0.25, 0.5]
    assert predicting.prediction({"score": score, "other": other}, "other").shape == (2, 3)
    for outputs, told in (
        ({"score": score, "other": other}, "without 'none'"),
        ({"none": np.array([b"a", b"b"])}, "of shape"),
        ({"none": score, "all_classes": other}, "a vocabulary of classes"),
    ):
        with pytest.raises(NotProven, match=told):
            predicting.prediction(outputs, "none")


def test_only_the_features_that_are_asked_for_are_decoded() -> None:
    features = predicting.Features(config(), schema())
    raw = features.decode([example(label=[1], place=b"here", x=[5]), example(label=[0])])
    assert sorted(raw) == ["label", "place"] and not features.sparse_label
    assert features.label([], raw).tolist() == [1, 0]
    assert predicting.Features(config(), schema(shape=False)).sparse_label


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"place": b"here"}], "rows without 'label'"),
        ([{"label": [1]}, {"label": [1, 2]}], "rows with different numbers of values of 'label'"),
        ([{"label": []}], "rows with different numbers of values of 'label'"),
    ],
)
def test_labels_that_are_not_one_for_each_row_are_left_to_tfma(rows: list[dict[str, Any]], told: str) -> None:
    features = predicting.Features(config(), schema())
    with pytest.raises(NotProven, match=told):
        features.label([], features.decode([example(**row) for row in rows]))


def test_models_with_several_outputs_or_labels_are_left_to_tfma() -> None:
    import tensorflow_model_analysis as tfma

    with pytest.raises(NotProven, match="several outputs"):
        predicting.Features(config(label_keys={"a": "b"}), schema())
    two = tfma.EvalConfig(model_specs=[tfma.ModelSpec(name=n, label_key=n) for n in "ab"])
    with pytest.raises(NotProven, match="different labels"):
        predicting.Features(two, schema())


def test_what_the_schema_lacks_is_the_models_preprocessings_to_make() -> None:
    from tensorflow_metadata.proto.v0 import schema_pb2

    features = predicting.Features(config(), schema_pb2.Schema())
    raw = features.decode([b"", b""])
    assert raw == {}
    assert features.label([{"label": np.array([[1], [0]])}], raw).tolist() == [1, 0]
    with pytest.raises(NotProven, match="rows without 'label'"):
        features.label([{}], raw)


def test_a_label_that_two_models_make_alike_is_judged_here_and_one_that_they_make_otherwise_is_not() -> None:
    features = predicting.Features(config(), schema())
    first, other = {"label": np.array([1, 0])}, {"label": np.array([1, 1])}
    assert features.label([first, dict(first)], {}).tolist() == [1, 0] and not features.label_is_raw
    with pytest.raises(NotProven, match="made by two models, and not the same"):
        features.label([first, other], {})
    with pytest.raises(NotProven, match="made by one of two models"):
        features.label([first, {}], {})
    features.label([], features.decode([example(label=[1])]))
    assert features.label_is_raw
