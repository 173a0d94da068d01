"""`tune_one_in`: a split to choose by, taken from the first one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.image_example_gen import work
from components.image_example_gen.options import Options


def _splits(pictures: list[bytes], split: int) -> list[int]:
    import pyarrow as pa

    plan = work.Plan(Options(encoding="raw", tune_one_in=10), None, {}, (), 3, None, str(Path.cwd()))
    items = [work.Item(image, 0, "name", {}, (1, 1, 1), "file") for image in pictures]
    batch = pa.RecordBatch.from_arrays([pa.array(pictures, pa.large_binary())], ["image"])
    return work._splits(batch, items, work.Task(0, split), plan)


def test_a_tenth_of_the_first_split_is_kept_for_tuning_and_equal_pictures_stay_together() -> None:
    random = np.random.default_rng(1)
    pictures = [random.bytes(16) for _ in range(2_000)]
    splits = _splits([*pictures, *pictures], 0)
    assert set(splits) == {0, 2} and splits[:2_000] == splits[2_000:]
    assert 140 < splits[:2_000].count(2) < 260


def test_pictures_of_other_splits_stay_where_they_are() -> None:
    assert set(_splits([bytes([number]) for number in range(200)], 1)) == {1}


@pytest.mark.parametrize("wrong", [1, -2])
def test_a_share_that_is_none_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="tune_one_in"):
        Options(tune_one_in=wrong)
