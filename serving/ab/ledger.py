"""What a server keeps for those who ask later what users did: who was asked by which version, and outcomes.

Both are in `.feedback` below the model's served folder, beside its releases: `seen-*.log`, a line for each request with
a key while an A/B test runs, and `outcomes-*.log`. An outcome is on the disk before its sender hears so. Keys are kept
as digests. It joins and judges nothing; `serving.ab.units` does.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from serving.ab.lines import Lines
from serving.ab.outcomes import Outcome
from serving.errors import FailedPrecondition, NotFound, Unavailable
from serving.release.split import Split

FOLDER = ".feedback"
SEEN, OUTCOMES = "seen", "outcomes"


def fresh_id() -> str:
    """An id that no other request of any server has, and that nobody guesses."""
    return secrets.token_hex(12)


def unit(key: str) -> str:
    """Whose request it is, without saying so: a digest of the key."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def written(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    """Outcomes as lines."""
    now = round(time.time(), 3)
    return [{"t": now, "id": one.request_id, "v": dict(one.values)} for one in outcomes]


class Ledger:
    """Of one server process. `configure` and `seen` may be called from any thread, `give` on the event loop."""

    def __init__(self) -> None:
        self._lines = Lines()
        # Replaced whole: requests read it without a lock.
        self._folders: dict[str, Path] = {}

    def configure(self, base_paths: Mapping[str, str]) -> None:
        """The served folder of each model."""
        self._folders = {name: Path(base) / FOLDER for name, base in base_paths.items()}

    def seen(self, name: str, split: Split, candidate: bool, key: str | None, request_id: str) -> None:
        """Keeps that a request was given to an arm. Who has no key is nobody that could be followed."""
        folder = self._folders.get(name)
        if key is None or folder is None or not split.record:
            return
        value = {
            "t": round(time.time(), 3), "id": request_id, "u": unit(key), "r": split.release, "b": int(candidate),
        }  # fmt: skip
        self._lines.put(folder, SEEN, [value], durable=False)

    async def give(self, name: str, outcomes: Iterable[Outcome]) -> int:
        """Keeps outcomes and returns how many there are, when they are on the disk. Raises ServingError."""
        folder = self._folders.get(name)
        if folder is None:
            raise NotFound(f"Model {name} is not served here; outcomes are kept beside a model that is")
        lines = written(outcomes)
        try:
            await asyncio.wrap_future(self._lines.put(folder, OUTCOMES, lines, durable=True))
        except PermissionError as error:
            raise FailedPrecondition(f"Outcomes cannot be kept in {folder}: {error.strerror}") from None
        except OSError as error:
            raise Unavailable(f"Outcomes cannot be kept in {folder} now: {error}") from None
        return len(lines)

    def close(self) -> None:
        self._lines.close()
