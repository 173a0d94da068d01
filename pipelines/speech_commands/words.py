"""The classes: ten words that are told apart, one for every other word, one for no word. Standard library only."""

from __future__ import annotations

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LABELS = (*WORDS, "unknown", "silence")
UNKNOWN, SILENCE = len(WORDS), len(WORDS) + 1
