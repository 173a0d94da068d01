"""Every card's evaluation becomes something that TFMA takes, with each bar on the whole split alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.base.paths import CHECKOUT

PROGRAM = """
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs
from pipelines.base import evaluation, registry
from pipelines.base.project import PROFILES, Settings

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
            assert len(gated) == len(card.bars(profile, variant.name)), name
            for metric in gated:
                (only,) = metric.per_slice_thresholds
                assert list(only.slicing_specs) == [tfma.SlicingSpec()], "a bar must not judge slices"
                assert not metric.HasField("threshold")
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
