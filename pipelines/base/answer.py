"""Asks a served model: with rows of the last evaluation split, or with inputs a person typed.

Uses the serving room's client only, over the wire, so it imports neither TensorFlow nor TFX.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.base import run_record
from pipelines.base.paths import CHECKOUT, Paths
from pipelines.base.project import Project, ProjectError
from pipelines.base.run_record import RunRecord

READY = "viaduct-serving ready"
START_TIMEOUT_S = 120.0
SHOWN_CHARACTERS = 160


def read_examples(folder: Path, count: int) -> list[bytes]:
    """The first `count` serialized tf.Examples below `folder` (gz TFRecord files; their checksums are not verified)."""
    found: list[bytes] = []
    for file in sorted(folder.glob("*.gz")):
        for record in _records(file):
            if len(found) == count:
                return found
            found.append(record)
    return found


def _records(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as stream:
        while len(header := stream.read(12)) == 12:
            (length,) = struct.unpack("<Q", header[:8])
            data = stream.read(length)
            stream.read(4)
            yield data


def sample_examples(paths: Paths, count: int, split: str = "eval") -> list[bytes]:
    """Rows of the newest run that has examples; ProjectError if no run has."""
    for record in run_record.read_all(paths):
        for node in record.nodes.values():
            raw = [
                o
                for o in node.summary.get("outputs", ())
                if o["type"] == "Examples" and o["key"] == "examples"
            ]
            for output in raw:
                rows = read_examples(Path(output["uri"]) / f"Split-{split}", count)
                if rows:
                    return rows
    raise ProjectError(
        f"{paths.project}: no run has examples to send. `viaduct run {paths.project}` makes some."
    )


def predict(card: Project, paths: Paths, options: argparse.Namespace) -> int:
    """`viaduct predict`: prints one line of JSON per row; exit code 1 if the server refused."""
    from serving.client import Client
    from serving.errors import ServingError, Unreachable

    if options.json_inputs is None and options.sample is None:
        raise ProjectError("predict needs --sample [N] or --json-inputs JSON.")
    inputs, signature = _inputs(paths, options)
    try:
        with Client(options.server) as client:
            for line in _ask(client, card.name, inputs, options.signature or signature, options.version):
                print(line)
    except Unreachable as error:
        print(f"viaduct: {error}\nStart one: viaduct serve {card.name}", file=sys.stderr)
        return 1
    except ServingError as error:
        print(f"viaduct: {options.server}: {error}", file=sys.stderr)
        return 1
    return 0


def _inputs(paths: Paths, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    import numpy as np

    if options.sample is not None:
        return {"examples": np.array(sample_examples(paths, options.sample), dtype=object)}, "serve_examples"
    try:
        given = json.loads(options.json_inputs)
    except ValueError as error:
        raise ProjectError(f"--json-inputs is no JSON: {error}; got {options.json_inputs!r}") from error
    if not isinstance(given, dict):
        raise ProjectError(
            f"--json-inputs is {options.json_inputs!r}; expected an object of input names and values."
        )
    return given, "serving_default"


def _ask(
    client: Any, model: str, inputs: dict[str, Any], signature: str, version: int | None
) -> Iterator[str]:
    outputs = client.predict(model, inputs, signature=signature, version=version)
    rows = len(next(iter(outputs.values())))
    for row in range(rows):
        yield json.dumps(
            {name: _plain(values[row]) for name, values in outputs.items() if len(values) == rows}
        )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return [_plain(item) for item in value] if isinstance(value, list) else value


def start_server(
    model: str, base: Path, log: Path, *flags: str
) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A model server on free loopback ports; returns it and {'grpc': 'host:port', 'rest': ...}.

    Raises ProjectError with its last words if it does not become ready.
    """
    command = [sys.executable, "-m", "serving.main", f"--model_name={model}", f"--model_base_path={base}"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--port=0", "--rest_api_port=0", *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=CHECKOUT,
        )
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    for line in process.stdout:
        if line.startswith(READY):
            return process, dict(
                part.split("=", 1) for part in line.removeprefix(READY).split() if "=" in part
            )
        if time.monotonic() > deadline:
            break
    process.kill()
    raise ProjectError(f"The model server did not become ready; its log: {log}")


def serve_once(card: Project, paths: Paths, record: RunRecord, say: Callable[..., None]) -> int:
    """Serves the pushed model, sends it three rows over gRPC, prints answer and version, ends the server."""
    from serving.client import Client

    log = paths.runs / record.run_id / "logs" / "serving.log"
    started = time.monotonic()
    process, addresses = start_server(card.name, paths.serving, log)
    try:
        rows = sample_examples(paths, 3)
        with Client(addresses["grpc"]) as client:
            import numpy as np

            inputs = {"examples": np.array(rows, dtype=object)}
            lines = list(_ask(client, card.name, inputs, "serve_examples", None))
            version = max(state.version for state in client.status(card.name) if state.state == "AVAILABLE")
        say(f"\ngRPC Predict at {addresses['grpc']}, {card.name} version {version}:", highlight=False)
        for line in lines:
            shown = line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + " ..."
            say(f"  {shown}", highlight=False, markup=False, soft_wrap=True)
        say(f"(server ready after {time.monotonic() - started:.1f} s, now stopped)", highlight=False)
    finally:
        process.terminate()
        process.wait(timeout=30)
    say("\nNext:", highlight=False)
    for command in (
        f"viaduct serve {card.name}",
        f"viaduct predict {card.name} --sample",
        f"viaduct lineage {card.name}",
    ):
        say(f"  .venv/bin/{command}", highlight=False)
    return 0
