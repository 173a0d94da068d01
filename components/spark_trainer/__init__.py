"""TFX's Trainer by the workers of a Spark cluster, all of one model."""
