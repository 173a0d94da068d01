"""In process is as on Beam: vocabularies byte for byte, metadata, rows, over all analyzers and awkward values.

Beam's executor is TFX's own, with batches of a fixed size: left to itself it cuts them by how fast it is, and some of
TFT's analyzers (L-moments above all) give other numbers for other batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.components.transform.conftest import Made, Rows, same

pytestmark = pytest.mark.slow

WORDS = ("a", "b", "bb", "ca", "é", "日本", "new\nline", "two words", "", "re\rturn", "nul\0", "A")


def rows(count: int, seed: int) -> Rows:
    """Made-up rows with what data has: NaN, text of all kinds, lists of any length, missing ones."""
    chance = random.Random(seed)
    return [
        {
            "x": chance.choice([chance.gauss(0, 10), 0.0, float("nan")]),
            "n": chance.randrange(-5, 6),
            "s": chance.choice(WORDS),
            "label": chance.randrange(3),
            "vector": [chance.gauss(0, 1) for _ in range(3)],
            "tokens": [chance.choice(WORDS) for _ in range(chance.randrange(4))],
            "values": chance.choice([None, [chance.gauss(1, 1) for _ in range(chance.randrange(1, 3))]]),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("function", ["numbers", "per_key", "vocabularies", "shapes", "holes"])
def test_all_of_tfts_analyzers_are_as_on_beam(
    function: str, transform: Callable[..., Made], stock: Any
) -> None:
    splits = {"train": rows(200, 1), "eval": rows(20, 2), "empty": []}
    ours = transform(function, splits)
    theirs = transform(function, splits, by=stock)
    assert ours.engine == "in process (no Beam runner is named)"
    same(ours, theirs)


FLOATS = st.floats(width=32)
TEXT = st.text(max_size=3) | st.sampled_from(WORDS)
ROW = st.fixed_dictionaries(
    {
        "x": FLOATS,
        "n": st.integers(-3, 3) | st.integers(-(2**62), 2**62),
        "s": TEXT,
        "label": st.integers(0, 2),
        "vector": st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3),
        "tokens": st.none() | st.lists(TEXT, max_size=3),
        "values": st.none() | st.lists(FLOATS, min_size=1, max_size=2),
    }
)


@hypothesis.settings(
    max_examples=3,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(train=st.lists(ROW, min_size=1, max_size=20), other=st.lists(ROW, max_size=3))
def test_any_rows_give_what_beam_gives(
    train: Rows, other: Rows, transform: Callable[..., Made], stock: Any
) -> None:
    splits = {"train": train, "other": other}
    same(transform("some", splits), transform("some", splits, by=stock), rtol=1e-4)
