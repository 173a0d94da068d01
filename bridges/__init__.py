"""Where models meet data that lives elsewhere: Spark's DataFrames, streams and warehouses. Never TFX."""
