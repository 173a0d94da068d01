"""An executor of ours under TFX's StatisticsGen: TFDV's own generators over column batches, without Beam."""
