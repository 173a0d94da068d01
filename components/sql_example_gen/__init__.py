"""ExampleGen over a query in a warehouse: parts read side by side in one snapshot, as Arrow batches."""
