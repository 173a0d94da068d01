"""The process of a TensorBoard that the dashboard started: on loopback, behind the dashboard's guard, over chosen runs.

TensorBoard itself answers under any name, so that a page elsewhere could read it through a name that resolves to
127.0.0.1. Its standard input closes with the dashboard, however that ends; it then ends too. Reads event files only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dashboards.security import LOOPBACK, refusal

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def guarded(app: Wsgi) -> Wsgi:
    """`app` for those whom the dashboard would answer: TensorBoard's own pages post to it, nobody else may."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            key.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        refused = refusal(environ["REQUEST_METHOD"], headers, LOOPBACK, may_post=True)
        if refused is None:
            return app(environ, start_response)
        status, reason = refused
        start_response(f"{status} Refused", [("Content-Type", "text/plain; charset=utf-8")])
        return [reason.encode("utf-8", "replace")]

    return answer


def linked(runs: Mapping[str, str], folder: Path) -> None:
    """Links each run's event files into `folder` under the run's name, which is what TensorBoard will call it."""
    for name, events in runs.items():
        (folder / name.replace("/", "_")).symlink_to(events, target_is_directory=True)


def main() -> None:
    """Serves the runs of the JSON {"port": ..., "runs": {name: folder}} in the first argument until the input ends."""
    given = json.loads(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="viaduct-tensorboard-"))

    def end() -> None:
        with contextlib.suppress(OSError):
            sys.stdin.buffer.read()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    linked(given["runs"], folder)
    from tensorboard import default, program
    from tensorboard.main_lib import global_init

    class Guarded(program.WerkzeugServer):  # type: ignore[misc, unused-ignore]
        def __init__(self, app: Wsgi, flags: Any) -> None:
            super().__init__(guarded(app), flags)

    global_init()
    board = program.TensorBoard(plugins=default.get_plugins(), server_class=Guarded)
    flags = ["--logdir", str(folder), "--host", "127.0.0.1", "--port", str(given["port"])]
    board.configure(["tensorboard", *flags])
    board.main()


if __name__ == "__main__":
    main()
