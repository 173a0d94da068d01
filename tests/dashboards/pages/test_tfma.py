"""Evaluations that TFMA itself wrote, on the page: residuals of a regression, resampled confidence intervals."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.paths import CHECKOUT
from tests.dashboards.tags import charts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def summaries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    """The folder with TFMA's two evaluations, and what a run's record would say of them."""
    folder = tmp_path_factory.mktemp("tfma")
    program = Path(__file__).with_name("evaluate.py")
    done = subprocess.run(
        [sys.executable, str(program), str(folder)], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(CHECKOUT), "HOME": str(folder), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def page_of(
    summaries: tuple[Path, Any], synthetic: Any, make_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """`page_of(name)`: the evaluation page of a run whose Evaluator wrote that evaluation."""
    home = tmp_path_factory.mktemp("home")
    builder = synthetic.Builder(home)
    runs = {}
    for number, name in enumerate(("regression", "binary"), 1):
        record = builder.run("of_elsewhere", number)
        target = home / "pipelines" / "of_elsewhere" / "Evaluator" / "modelevaluation" / str(number)
        shutil.rmtree(target)
        shutil.copytree(summaries[0] / name, target)
        runs[name] = record.run_id
    client = make_client(home)
    return lambda name: client.get(f"/evaluation?run={runs[name]}").text


def test_a_regression_is_drawn_with_its_residuals(page_of: Any) -> None:
    drawn = charts(page_of("regression"))
    assert set(drawn) == {"Calibration", "Residuals"}
    bars = drawn["Residuals"]["data"][0]
    low = [y for x, y in zip(bars["x"], bars["y"], strict=True) if x < 330]
    high = [y for x, y in zip(bars["x"], bars["y"], strict=True) if x > 450]
    # Noise of 5 in buckets of 30 rows has a standard error of 0.9; at 460 predicted, 12 to 15 are missing.
    assert low and max(map(abs, low)) < 4
    assert high and max(high) < -8
    assert sum(bars["customdata"]) == 600


def test_intervals_of_tfma_are_shown_and_named(page_of: Any) -> None:
    page = page_of("binary")
    assert "resampled by TFMA (jackknife)" in page and "Wilson" not in page
    figures = page[page.index("Metrics over all rows") :]
    for name in ("recall", "auc"):
        shown = figures[figures.index(f"<dt>{name}</dt>") :]
        value, low, high = (
            float(x)
            for pattern in (r'class="n" title="([\d.]+)"', r'small" title="([\d.]+) … ([\d.]+)"')
            for x in re.search(pattern, shown).groups()  # type: ignore[union-attr]
        )
        assert low < value < high and high - low < 0.15


def test_a_run_keeps_the_values_of_metrics_that_have_intervals(
    summaries: tuple[Path, dict[str, dict[str, float]]],
) -> None:
    """TFMA moves nothing elsewhere when it resamples: the record's metrics are those of all rows."""
    from dashboards.readers.evaluation import read_evaluation

    folder, recorded = summaries
    for name in ("regression", "binary"):
        shown = {k: v.value for k, v in read_evaluation(folder / name).overall.metrics.items()}
        assert recorded[name] == shown and len(shown) >= 2
