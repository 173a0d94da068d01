"""Plays MsPacman: an agent that makes its own data. See README.md."""
