"""Evaluator for models whose measure is no metric over rows: the project's own function measures."""
