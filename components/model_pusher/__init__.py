"""Pushes a blessed model so that it appears in the serving folder at once and whole."""
