"""What every project shares: the card, the paths, the spine of a pipeline, training, evaluation, the runner."""
