"""`viaduct play pacman`: one episode, every decision asked of a model server over gRPC, written as a GIF.

The server is one that runs, or one of its own that ends afterwards. It knows no TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipelines.base import answer
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths
from pipelines.pacman import film, plan
from pipelines.pacman.game import SHAPES, Start

# Starts that a person asks for by a number; no plan and no training has them.
PLAY_SEEDS = 1 << 60


def play(name: str, paths: Paths, options: argparse.Namespace) -> None:
    """Plays the model served as `name`; see pipelines.cli_play for the options. Prints what came of it."""
    from serving.client import Client
    from serving.errors import ServingError

    start = Start(PLAY_SEEDS + options.seed, plan.OTHER_NOOPS[options.seed % len(plan.OTHER_NOOPS)])
    with _server(name, paths, options.server) as address, Client(address) as client:
        try:
            client.wait_available(name, timeout=options.wait)
            kind, depth = _sees(client.metadata(name).signatures["serving_default"].inputs)

            def ask(seen: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
                return client.predict(name, seen)

            played = film.record(ask, kind, depth, start, options.steps)
        except ServingError as error:
            raise ProjectError(f"{name} at {address}: {error}") from error
    film.write_gif(played, options.output)
    print(
        f"{name} made {played.score:.0f} points in {len(played.actions)} steps, {sum(played.lost)} lives lost; "
        f"{options.output} shows it."
    )


@contextlib.contextmanager
def _server(name: str, paths: Paths, address: str) -> Iterator[str]:
    """The address of a server: the one given, or of one that lives as long as the block."""
    if address:
        yield address
        return
    with tempfile.TemporaryDirectory() as folder:
        process, addresses = answer.start_server(name, paths.served(name), Path(folder) / "serving.log")
        try:
            yield addresses["grpc"]
        finally:
            answer.end(process)


def _sees(inputs: Mapping[str, object]) -> tuple[str, int]:
    """What a served model wants to see, and how many looks."""
    kinds = [kind for kind in inputs if kind in SHAPES]
    if len(inputs) != 1 or not kinds:
        raise ProjectError(
            f"pacman: the served model takes {', '.join(inputs)}; expected one of {', '.join(SHAPES)}. Is it one of "
            "pacman's?"
        )
    return kinds[0], 1 if kinds[0] == "ram" else 4
