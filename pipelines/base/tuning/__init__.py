"""Tuning: trials of a variant in processes of their own, chosen on the tune split, kept so that none is repeated."""
