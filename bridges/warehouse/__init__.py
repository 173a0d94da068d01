"""Tables of a warehouse as Arrow batches, in one snapshot and in parts; and results written back, once each."""
