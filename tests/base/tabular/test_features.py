"""Steps of preprocessing_fn over missing values, dates and words, in TensorFlow."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def sparse(values: list[Any], dtype: Any) -> Any:
    """[n, 0 or 1] values, None where a row has none."""
    import tensorflow as tf

    rows = [[row, 0] for row, value in enumerate(values) if value is not None]
    there = tf.constant([value for value in values if value is not None], dtype)
    return tf.SparseTensor(tf.constant(rows, tf.int64, [len(rows), 2]), there, [len(values), 1])


def test_numbers_without_a_value_are_nan_and_then_zeros() -> None:
    import tensorflow as tf

    from pipelines.base.tabular import features

    found = features.number(sparse([3, None, 5], tf.int64))
    assert found.shape == (3, 1) and math.isnan(found[1, 0])
    assert features.without_nan(found).numpy().ravel().tolist() == [3, 0, 5]
    assert features.flattened(tf.constant([math.e - 1, 1 - math.e])).numpy() == pytest.approx([1, -1])


def test_categories_are_stripped_digits_are_text_and_a_missing_one_has_a_word() -> None:
    import tensorflow as tf

    from pipelines.base.tabular import features

    words = features.category(sparse([" Private", None, ""], tf.string)).numpy().ravel().tolist()
    assert words == [b"Private", features.MISSING_WORD.encode(), features.MISSING_WORD.encode()]
    codes = features.category(sparse([7, None], tf.int64)).numpy().ravel().tolist()
    assert codes == [b"7", features.MISSING_WORD.encode()]


@pytest.mark.parametrize(
    ("values", "classes", "ids"),
    [
        ([[b" b"], [b"a"], [b"?"]], ("a", "b"), [1, 0, -1]),
        ([[3], [1]], ("1", "3"), [1, 0]),
        ([[1.0], [0.0]], ("0", "1"), [1, 0]),
    ],
)
def test_a_class_is_its_place_among_the_classes(
    values: list[Any], classes: tuple[str, ...], ids: list[int]
) -> None:
    import tensorflow as tf

    from pipelines.base.tabular import features

    assert features.class_ids(tf.constant(values), classes).numpy().ravel().tolist() == ids


def test_dates_are_the_seconds_that_python_says() -> None:
    import tensorflow as tf

    from pipelines.base.tabular import features

    texts = [
        "1970-01-01",
        "2000-02-29",
        "2024-12-31 23:59",
        " 1999-03-01T06:30:15Z",
        "1900-01-01",
        "2100-03-01",
    ]
    found = features.seconds(sparse([*texts, "soon", None], tf.string)).numpy().ravel().tolist()
    moments = [datetime.datetime.fromisoformat(text.strip()[:16]) for text in texts]
    expected = [int(moment.replace(tzinfo=datetime.UTC).timestamp()) for moment in moments]
    assert found == [*expected, 0, 0]


def test_a_calendar_is_the_same_a_week_later_but_for_the_year() -> None:
    import tensorflow as tf

    from pipelines.base.tabular import features

    start = 1_700_000_000
    moments = tf.constant([[start], [start + 7 * features.DAY_S], [0]], tf.int64)
    one, later, none = features.calendar(moments).numpy()
    assert one.shape == (features.CALENDAR_WIDTH,)
    # Years, sines and cosines of year, week and day.
    assert one[[2, 3, 5, 6]] == pytest.approx(later[[2, 3, 5, 6]], abs=1e-3)
    assert not none.any() and one[[2, 5]].any()
    assert later[0] - one[0] == pytest.approx(7 / 365.2425, rel=1e-3)


def test_words_are_a_vector_of_length_one_whatever_their_case_and_marks() -> None:
    import tensorflow as tf

    from pipelines.base.tabular import features

    texts = tf.constant([["The LINE is down!"], ["the line... is down"], ["all is well"]])
    one, same, other = features.words(texts, 64).numpy()
    assert np.linalg.norm(one) == pytest.approx(1) and one == pytest.approx(same)
    assert one @ other < 0.9
