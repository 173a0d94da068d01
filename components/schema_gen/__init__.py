"""The work of TFX's SchemaGen, and what it leaves open: how much of a column may be missing."""
