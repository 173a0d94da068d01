"""Measures of a project's own that can be taken of resampled units get intervals and verdicts; plain numbers none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.function_evaluator import sampling
from components.function_evaluator.measuring import Measured, Sampled


def of_errors(errors: np.ndarray, groups: np.ndarray) -> Sampled:
    """The mean error of all rows, and of those of group 0."""

    def measure(drawn: np.ndarray) -> Measured:
        often = drawn[groups]
        measured = {
            (): {"loss": float(np.average(errors, weights=often)), "example_count": float(often.sum())}
        }
        if drawn[0]:
            measured[("group", "0"),] = {"loss": float(errors[groups == 0].mean())}
        return measured

    return Sampled(int(groups.max()) + 1, measure, "groups")


def test_the_spread_of_groups_that_belong_together_is_that_of_their_means() -> None:
    random = np.random.default_rng(2)
    level = random.normal(size=40)
    groups = np.repeat(np.arange(40), 25)
    drawn = sampling.draw(of_errors(level[groups], groups))
    found = sampling.of_values(drawn)[()]["loss"]
    assert found.value == pytest.approx(level.mean())
    # Taken row by row the spread would be a fifth of it.
    assert found.high - found.low == pytest.approx(2 * 1.96 * level.std() / np.sqrt(40), rel=0.25)
    assert "example_count" not in sampling.of_values(drawn)[()]
    assert drawn.method == "paired bootstrap over 40 groups, 200 resamples"


def test_differences_are_paired_so_that_what_both_models_find_hard_does_not_count() -> None:
    random = np.random.default_rng(4)
    hard, groups = random.normal(size=300), np.arange(300)
    old, new = (sampling.draw(of_errors(hard + gain, groups)) for gain in (0.0, -0.05))
    change = sampling.of_differences(new, old)[()]["loss"]
    own = sampling.of_values(new)[()]["loss"]
    assert change.value == pytest.approx(-0.05)
    assert change.high - change.low < 0.05 < own.high - own.low
    other = sampling.draw(of_errors(hard[:200], groups[:200]))
    assert sampling.of_differences(new, other) == {}


def test_a_unit_that_few_resamples_draw_leaves_its_slice_without_an_interval_or_with_a_wide_one() -> None:
    groups = np.array([0, 1, 1, 2, 2])
    found = sampling.of_values(sampling.draw(of_errors(np.array([9.0, 1, 2, 3, 4]), groups)))
    one = found[("group", "0"),]["loss"]
    assert one.value == 9.0 and one.low < 9.0 < one.high


def test_plain_numbers_have_no_intervals_and_the_record_says_so(tmp_path: Path) -> None:
    from components.confidence.judging import Terms
    from components.function_evaluator import results
    from pipelines.base.project import Bar

    bar = {"metric": "loss", "at_most": 2.0, "max_loss": 0.5}
    config = results.eval_config([bar], [])

    def write(folder: Path, *losses: Any) -> tuple[bool, dict[str, Any]]:
        new, old = (sampling.draw(one) for one in losses)
        blessed = results.write(folder, config, new, old, {}, "", Terms((Bar(**bar),)))
        return blessed, json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))

    for name in ("plain", "sampled"):
        (tmp_path / name).mkdir()
    blessed, told = write(tmp_path / "plain", {(): {"loss": 1.6}}, {(): {"loss": 1.0}})
    assert not blessed and [v["verdict"] for v in told["verdicts"]] == ["", ""]
    assert told["method"].startswith("none: the evaluation function gives numbers")

    # The same loss of the mean, but of forty units that differ widely: not shown to be more than is allowed.
    random = np.random.default_rng(6)
    units, groups = random.normal(1.0, 3.0, 40), np.arange(40)
    units += 1.0 - units.mean()
    shift = random.normal(0.0, 3.0, 40)
    shift += 0.6 - shift.mean()
    blessed, told = write(tmp_path / "sampled", of_errors(units + shift, groups), of_errors(units, groups))
    overall = [v for v in told["verdicts"] if not v["slice"]]
    assert blessed and [v["verdict"] for v in overall] == ["not enough data"] * 2
    assert overall[1]["value"] == pytest.approx(0.6)
