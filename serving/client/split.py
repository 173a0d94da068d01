"""A split in front of a server that has none: the original `tensorflow_model_server`, by its version labels.

The same keys go to the candidate as on our server for the same salt and share. What this does not do: it counts and
judges nothing, it keeps no shadow, and every caller has to be given the share; that is what our server is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import random

from serving.release.split import place


@dataclass(frozen=True)
class Split:
    """Sends `share` of the keys to the label `candidate`, the others to `baseline`; a growing share keeps those who
    were in. The server's configuration says which version a label is.

        split = Split(share=0.05, salt="digits:17")
        client.predict("digits", images, label=split.label("ann"))

    Raises ValueError for a share that is none.
    """

    share: float
    salt: str = ""
    baseline: str = "stable"
    candidate: str = "canary"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share!r}; expected a number of 0 to 1")

    def label(self, key: str | None = None) -> str:
        """The label for a key's request; by lot where there is no key."""
        drawn = random() if key is None else place(self.salt, key)
        return self.candidate if drawn < self.share else self.baseline
