"""ExampleGen whose rows, and their splits, come from a function of the project."""
