"""Every card's evaluation becomes something that TFMA takes, with each bar on the whole split alone, two as a band."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.base.paths import CHECKOUT

PROGRAM = """
import dataclasses

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs
from pipelines.base import evaluation, registry
from pipelines.base.errors import ProjectError
from pipelines.base.project import Bar, PROFILES
from pipelines.base.settings import Settings

for name in registry.names():
    card = registry.get(name)
    if card.evaluation.function:
        continue
    for profile in PROFILES:
        for variant in card.variants:
            config = evaluation.eval_config(card, Settings.of(card, variant.name, profile))
            config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=True, rubber_stamp=True)
            assert metric_specs.to_computations(config.metrics_specs, eval_config=config)
            gated = [m for m in config.metrics_specs[0].metrics if m.per_slice_thresholds]
            assert len(gated) == len({bar.metric for bar in card.bars(profile, variant.name)}), name
            for metric in gated:
                (only,) = metric.per_slice_thresholds
                assert list(only.slicing_specs) == [tfma.SlicingSpec()], "a bar must not judge slices"
                assert not metric.HasField("threshold")

card = registry.get("digits")
settings = Settings.of(card)
METRIC = "sparse_categorical_accuracy"


def accuracy(*bars):
    profile = dataclasses.replace(card.quick, bars=bars, variant_bars={})
    config = evaluation.eval_config(dataclasses.replace(card, quick=profile), settings)
    (metric,) = [m for m in config.metrics_specs[0].metrics if m.per_slice_thresholds]
    return metric.per_slice_thresholds[0].threshold


band = accuracy(Bar(METRIC, at_least=0.7, max_loss=0.01), Bar(METRIC, at_most=0.999))
ends = band.value_threshold.lower_bound.value, band.value_threshold.upper_bound.value
assert abs(ends[0] - 0.7) < 1e-8 and abs(ends[1] - 0.999) < 1e-8, ends
assert abs(band.change_threshold.absolute.value + 0.01) < 1e-8
try:
    accuracy(Bar(METRIC, at_least=0.7, max_loss=0.01), Bar(METRIC, at_most=0.999, max_loss=0.01))
    raise SystemExit("a loss in both directions was taken")
except ProjectError as error:
    assert "max_loss is on 2 bars of 'sparse_categorical_accuracy'" in str(error)
print("all cards")
"""


@pytest.mark.slow
@pytest.mark.xdist_group("golden")
def test_the_evaluation_of_every_card_is_one_that_tfma_takes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "all cards" in done.stdout
