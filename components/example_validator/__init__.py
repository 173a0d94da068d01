"""An executor of ours under TFX's ExampleValidator: empty splits and empty columns are named before anything fails."""
