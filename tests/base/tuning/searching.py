"""A search over made-up trainings, which write down what they were given; also as a process that can be killed."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.base.forkserver.client import CallError, Request
from pipelines.base.search import Between, OneOf, Search
from pipelines.base.tuning import steps, tuner

DEFAULTS = {"rate": 0.5, "units": 8, "variant": "dense", "profile": "quick"}
SEARCH = Search("auc", {"rate": Between(0.0, 1.0), "units": OneOf((4, 8, 16))}, watch="val_auc")


def given(home: Path, trials: int = 9, search: Search = SEARCH, **more: Any) -> dict[str, Any]:
    """What the Tuner's executor would give, as far as the search reads it."""
    return {
        "project": "made_up", "home": str(home), "search": search.plain(), "trials": trials, "defaults": DEFAULTS,
        "variant": "dense", "profile": "quick", "served": "made_up.sample", "data": "rows", "code": "code", **more,
    }  # fmt: skip


def value_of(parameters: dict[str, Any]) -> float:
    """Best at a rate of 0.3; seeds differ a little."""
    return 1.0 - (parameters["rate"] - 0.3) ** 2 + 0.001 * (parameters.get("seed", 101) - 102)


class Made:
    """A training that ends at once, in a thread's time; `trained` has the parameters of every one that ended."""

    pid = 0

    def __init__(
        self, request: Request, trained: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]
    ) -> None:
        self._request, self._trained, self._value = request, trained, value

    def wait(self) -> dict[str, Any]:
        parameters, folder = self._request.kwargs["parameters"], Path(self._request.kwargs["folder"])
        try:
            result = {"state": "complete", "value": self._value(parameters), "seconds": 0.0}
        except ValueError as error:
            raise CallError(str(error), folder / "log.txt", 1, refused=True) from None
        except steps.Pruned:
            result = {"state": "pruned", "value": None, "seconds": 0.0}
        (folder / "result.json").write_text(json.dumps(result))
        self._trained.append(parameters)
        return result

    def cancel(self) -> None:
        return None


def trainer(
    trained: list[dict[str, Any]], value: Callable[[dict[str, Any]], float] = value_of
) -> Callable[[Request], Made]:
    return lambda request: Made(request, trained, value)


def main() -> None:
    """`python -m tests.base.tuning.searching HOME LOG STOP`: the training number STOP never ends."""
    home, log, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    begun = [0]
    lock = threading.Lock()

    def value(parameters: dict[str, Any]) -> float:
        with lock, log.open("a") as lines:
            begun[0] += 1
            lines.write(json.dumps(parameters) + "\n")
        if begun[0] == stop:
            time.sleep(60)
        return value_of(parameters)

    print(json.dumps(tuner.tune(given(home), trainer([], value))))


if __name__ == "__main__":
    main()
