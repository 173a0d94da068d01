"""Spark on both sides of a model: blocks of rows through it, whole tables scored, streams, and local clusters."""
