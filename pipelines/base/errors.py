"""What users are told when something is wrong: one sentence with what, what was got, what was expected, what to do.

Standard library only. Whoever raises one of these has said all there is to say: the command prints the text alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ViaductError(Exception):
    """Something that a person can mend; its text is for them. Everything else that is raised is a fault of ours."""


class ProjectError(ViaductError):
    """A project, its data or what a user asked of it is wrong; the text says what was expected and what to do."""


def close_match(kind: str, got: str, known: Iterable[str]) -> str:
    """`Variant 'cnm' does not exist. Did you mean 'cnn'? Known: ...` for a name that is not among `known`."""
    names = sorted(known)
    close = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{kind} {got!r} does not exist.{hint} Known: {', '.join(names) or 'none'}."
