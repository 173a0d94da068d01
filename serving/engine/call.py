"""One prepared call of a session: fixed tensors in, fixed tensors out, in the caller's thread or with a deadline.

Without a deadline it is a session callable that runs in the calling thread, the cheapest way there is. With one, the
session's own threads run the ops while the caller waits, and the session cancels the run when its time is over; that
way costs some 50 us more, so quick calls are made without. It knows no signatures and translates no errors.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from serving.engine.tf_runtime import runtime
from serving.errors import DeadlineExceeded
from serving.wire.arrays import Array

TIMED_OUT = "Timed out waiting for notification"


class Call:
    """Feeds all of `feeds` (name -> tensor) and fetches `fetches`, in their order. Thread-safe."""

    def __init__(self, session: Any, feeds: Mapping[str, str], fetches: Sequence[str]) -> None:
        self._session = session
        self._feeds = feeds
        fed = {tensor: alias for alias, tensor in feeds.items()}
        # A tensor that is fed cannot be fetched; it is handed back.
        self._fetches = list(dict.fromkeys(name for name in fetches if name not in fed))
        self._places = [(self._fetches.index(n), "") if n not in fed else (-1, fed[n]) for n in fetches]
        self._plain = list(fetches) == self._fetches
        options = runtime().CallableOptions(feed=list(feeds.values()), fetch=self._fetches)
        # -1: run in the calling thread; handing work to the pool costs more than a small model does.
        options.run_options.inter_op_thread_pool = -1
        self._callable = session._make_callable_from_options(options)
        self._handles: tuple[list[Any], list[Any]] | None = None

    def __call__(self, inputs: Mapping[str, Array]) -> list[Any]:
        got = self._callable(*[inputs[alias] for alias in self._feeds]) if self._fetches else []
        return self._arranged(got, inputs)

    def until(self, inputs: Mapping[str, Array], deadline: float) -> list[Any]:
        """The same; raises DeadlineExceeded, of TensorFlow or ours, when `deadline` (time.monotonic) is over."""
        left_ms = int((deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise DeadlineExceeded(TIMED_OUT)
        if not self._fetches:
            return self._arranged([], inputs)
        got = runtime().run_until(self._session, self._fed(inputs), self._fetched(), min(left_ms, 2**31))
        return self._arranged(got, inputs)

    def _arranged(self, got: list[Any], inputs: Mapping[str, Array]) -> list[Any]:
        if self._plain:
            return got
        return [got[place] if place >= 0 else inputs[alias] for place, alias in self._places]

    def _fed(self, inputs: Mapping[str, Array]) -> dict[Any, Array]:
        feeds, _ = self._outputs()
        return {feed: inputs[alias] for feed, alias in zip(feeds, self._feeds, strict=True)}

    def _fetched(self) -> list[Any]:
        return self._outputs()[1]

    def _outputs(self) -> tuple[list[Any], list[Any]]:
        """The graph's handles of what is fed and fetched, looked up once."""
        if self._handles is None:
            tensor = self._session.graph.get_tensor_by_name
            feeds, fetches = (
                [tensor(name)._as_tf_output() for name in names]
                for names in (self._feeds.values(), self._fetches)
            )
            self._handles = feeds, fetches
        return self._handles
