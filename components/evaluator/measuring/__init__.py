"""Metrics, plots and their intervals from whole columns: TFMA's computations without a step per row."""
