"""The settings of one ImageExampleGen, checked once, carried as canonical JSON (no path in it)."""

from __future__ import annotations

import dataclasses
import json
import re

ENCODINGS = ("png", "raw", "as_found")


@dataclasses.dataclass(frozen=True)
class Options:
    """`encoding`: "png", "raw" (uint8, height x width x channels, all pictures of one shape) or "as_found".

    `key_pattern`: regular expression searched in a picture's name; what its group `key` matched decides the
    split. `classes`: class names in the order of their labels. `annotations`: file name of a CSV beside the
    pictures. `tune_one_in`: of the first input split's pictures one in so many goes to a split `tune`; 0: none.
    """

    encoding: str = "png"
    key_pattern: str | None = None
    classes: tuple[str, ...] | None = None
    annotations: str | None = None
    gzip_level: int = 1
    task_bytes: int = 32 << 20
    tune_one_in: int = 0

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding={self.encoding!r}: expected one of {ENCODINGS}")
        if self.key_pattern is not None:
            try:
                groups = re.compile(self.key_pattern).groupindex
            except re.error as error:
                raise ValueError(
                    f"key_pattern={self.key_pattern!r}: no regular expression ({error})"
                ) from error
            if "key" not in groups:
                raise ValueError(
                    f"key_pattern={self.key_pattern!r} has no group (?P<key>...); it names the key"
                )
        if self.classes is not None:
            if isinstance(self.classes, str) or len(set(self.classes)) != len(self.classes):
                raise ValueError(f"classes={self.classes!r}: expected a list of different names")
            object.__setattr__(self, "classes", tuple(self.classes))
        if not 0 <= self.gzip_level <= 9:
            raise ValueError(f"gzip_level={self.gzip_level!r}: expected 0 (none) to 9 (smallest)")
        if self.tune_one_in < 0 or self.tune_one_in == 1:
            raise ValueError(f"tune_one_in={self.tune_one_in!r}: expected 0 (none), or 2 and more")
        if self.task_bytes < 1:
            raise ValueError(f"task_bytes={self.task_bytes!r}: expected at least 1")

    def to_json(self) -> str:
        """Canonical: only what differs from the defaults, keys in order."""
        defaults = Options()
        fields = [field.name for field in dataclasses.fields(self)]
        return json.dumps(
            {n: getattr(self, n) for n in fields if getattr(self, n) != getattr(defaults, n)}, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str) -> Options:
        return cls(**json.loads(text))
