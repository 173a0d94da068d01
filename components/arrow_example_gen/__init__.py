"""ExampleGen over CSV and Parquet in Arrow batches: same Examples artifact as TFX's own, a fraction of the
work."""
