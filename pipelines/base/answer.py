"""Asks a served model: with rows of the last evaluation split, or with inputs a person typed.

Uses the serving room's client only, over the wire, so it imports neither TensorFlow nor TFX.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.base import production, raw_rows, run_record
from pipelines.base.errors import ViaductError, close_match
from pipelines.base.paths import INSTALLED, Paths, python_path, working_folder
from pipelines.base.project import Project
from pipelines.base.run_record import RunRecord
from pipelines.base.settings import Settings

READY = "viaduct-serving ready"
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 30.0
SHOWN_CHARACTERS = 160


def read_examples(folder: Path, count: int) -> list[bytes]:
    """The first `count` serialized tf.Examples below `folder` (gz TFRecord files; their checksums are not verified)."""
    examples: list[bytes] = []
    for file in sorted(folder.glob("*.gz")):
        for record in _records(file):
            if len(examples) == count:
                return examples
            examples.append(record)
    return examples


def _records(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as stream:
        while len(header := stream.read(12)) == 12:
            (length,) = struct.unpack("<Q", header[:8])
            data = stream.read(length)
            stream.read(4)
            yield data


def sample_examples(paths: Paths, count: int, split: str = "eval", served: str = "") -> list[bytes]:
    """Rows of the newest run that has examples, of those that pushed to `served` first; ViaductError if none has."""
    newest = list(run_record.read_all(paths))
    newest.sort(key=lambda record: Path(record.pushed).parent.name != served)
    for record in newest:
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
    raise ViaductError(
        f"{paths.project}: no run has examples to send. `viaduct run {paths.project}` makes some."
    )


def predict(card: Project, name: str, paths: Paths, options: argparse.Namespace) -> int:
    """`viaduct predict` of the model served as `name`: a line of JSON per row; exit code 1 if the server refused."""
    from serving.client import Client
    from serving.errors import ServingError, Unreachable

    rows = _rows(card, options)
    if rows is None and options.json_inputs is None and options.sample is None:
        raise ViaductError("predict needs --row JSON, --rows FILE, --sample [N] or --json-inputs JSON.")
    inputs, signature = ({}, raw_rows.SIGNATURE) if rows else _inputs(name, paths, options)
    try:
        with Client(options.server) as client:
            if options.wait:
                client.wait_available(name, version=options.version, timeout=options.wait)
            if rows:
                inputs = _row_inputs(client, card, name, rows, options)
            for answer in _ask(client, name, inputs, options.signature or signature, options.version):
                print(json.dumps(raw_rows.named(answer, card.evaluation.classes) if rows else answer))
    except Unreachable as error:
        print(f"viaduct: {error}\nStart one: viaduct serve {name}", file=sys.stderr)
        return 1
    except ServingError as error:
        there = [other for other in production.pushed_names(paths) if other != name]
        print(f"viaduct: {options.server}: {error}", file=sys.stderr)
        if there:
            print(f"Models of {paths.project} have these names, too: {', '.join(there)}", file=sys.stderr)
        return 1
    return 0


def _rows(card: Project, options: argparse.Namespace) -> list[raw_rows.Row] | None:
    """The rows of --row or --rows; None for neither."""
    if options.row is not None:
        return raw_rows.of_text(options.row)
    return None if options.rows is None else raw_rows.of_file(Path(options.rows), card.csv)


def _row_inputs(
    client: Any, card: Project, name: str, rows: list[raw_rows.Row], options: argparse.Namespace
) -> dict[str, Any]:
    """The rows as inputs of the signature that the served model has for them."""
    signatures = client.metadata(name, version=options.version).signatures
    signature = signatures.get(options.signature or raw_rows.SIGNATURE)
    if signature is None:
        raise ViaductError(
            f"{name} is served without a signature {options.signature or raw_rows.SIGNATURE!r} for rows of "
            f"features; it has {', '.join(sorted(signatures))}. --sample and --json-inputs work with those."
        )
    unknown: list[str] = []
    if options.rows:
        # A file has its label and what was left out as well; a typed row has what somebody means.
        unknown = _besides(Path(options.rows), rows, signature)
    reading = card.csv if options.rows else raw_rows.USUAL
    return raw_rows.inputs(rows, signature.inputs, signature.optional, unknown, reading)


def _besides(file: Path, rows: list[raw_rows.Row], signature: Any) -> list[str]:
    """The columns of a file that the model does not know; they are told, and which of its own the file lacks."""
    there = {name: None for row in rows for name in row}
    unknown = [name for name in there if name not in signature.inputs]
    lacking = [name for name in signature.inputs if name not in there]
    if len(lacking) == len(signature.inputs):
        raise ViaductError(f"{file}: " + close_match("Feature", unknown[0], signature.inputs))
    if unknown or lacking:
        parts = [f"the model does not know {', '.join(map(repr, unknown))}"] if unknown else []
        parts += [f"the file lacks {', '.join(map(repr, lacking))}"] if lacking else []
        print(f"viaduct: {file}: {'; '.join(parts)}", file=sys.stderr)
    return unknown


def _inputs(name: str, paths: Paths, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    import numpy as np

    if options.sample is not None:
        rows = sample_examples(paths, options.sample, served=name)
        return {"examples": np.array(rows, dtype=object)}, "serve_examples"
    try:
        given = json.loads(options.json_inputs)
    except ValueError as error:
        raise ViaductError(f"--json-inputs is no JSON: {error}; got {options.json_inputs!r}") from error
    if not isinstance(given, dict):
        raise ViaductError(
            f"--json-inputs is {options.json_inputs!r}; expected an object of input names and values."
        )
    return given, "serving_default"


def _ask(
    client: Any, model: str, inputs: dict[str, Any], signature: str, version: int | None
) -> Iterator[dict[str, Any]]:
    outputs = client.predict(model, inputs, signature=signature, version=version)
    rows = len(next(iter(outputs.values())))
    for row in range(rows):
        yield {name: _plain(values[row]) for name, values in outputs.items() if len(values) == rows}


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

    Raises ViaductError that names its log if it does not become ready in time.
    """
    process = _begin_server(model, base, log, *flags)
    try:
        return process, _addresses(process, log)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _begin_server(model: str, base: Path, log: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "serving.main", f"--model_name={model}", f"--model_base_path={base}"]
    with log.open("w") as errors:
        return subprocess.Popen(
            [*command, "--port=0", "--rest_api_port=0", *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            cwd=working_folder(),
            env={**os.environ, "PYTHONPATH": python_path()},
        )


def _addresses(process: subprocess.Popen[str], log: Path) -> dict[str, str]:
    """What the server says when it is ready. A thread reads, so that a silent server cannot hold up the time limit
    and a talkative one is never held up itself."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(READY):
                lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        ready = lines.get(timeout=START_TIMEOUT_S)
    except queue.Empty:
        raise ViaductError(
            f"The model server did not become ready within {START_TIMEOUT_S:g} s; its log: {log}"
        ) from None
    if not ready:
        raise ViaductError(f"The model server ended before it was ready; its log: {log}")
    return dict(part.split("=", 1) for part in ready.removeprefix(READY).split() if "=" in part)


def end(process: subprocess.Popen[str]) -> None:
    """Ends a server, by force if it takes more than half a minute to end by itself."""
    process.terminate()
    try:
        process.wait(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class EarlyServer:
    """A model server of the folder that a run pushes to, started before the run; `with` ends it.

    It starts on a core that the run leaves idle while it imports TFX, and has its own imports behind it when the
    version comes.
    """

    def __init__(self, card: Project, paths: Paths, settings: Settings) -> None:
        paths.runs.mkdir(parents=True, exist_ok=True)
        self._runs = paths.runs
        self._folder = production.push_folder(card, paths, settings)
        self._log = paths.runs / f".serving-{os.getpid()}.log"
        self._process = _begin_server(
            self._folder.name, self._folder, self._log, "--file_system_poll_wait_seconds=0.2"
        )

    def __enter__(self) -> EarlyServer:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._log.unlink(missing_ok=True)

    def ask(self, paths: Paths, record: RunRecord, say: Callable[..., None]) -> int:
        """Sends the pushed model three rows over gRPC, prints its answers and version; the exit code 0.

        Raises ViaductError, ServingError where there is no answer.
        """
        import numpy as np

        from serving.client import Client

        name = self._folder.name
        log = self._runs / record.run_id / "logs" / "serving.log"
        self._log.replace(log)
        address = _addresses(self._process, log)["grpc"]
        version = int(Path(record.pushed).name) if record.pushed else None
        rows = sample_examples(paths, 3, served=name)
        with Client(address) as client:
            states = client.wait_available(name, version=version, timeout=START_TIMEOUT_S)
            inputs = {"examples": np.array(rows, dtype=object)}
            lines = list(map(json.dumps, _ask(client, name, inputs, "serve_examples", version)))
        version = max(state.version for state in states if state.state == "AVAILABLE")
        say(f"\ngRPC Predict at {address}, {name} version {version}:", highlight=False)
        for line in lines:
            shown = line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + " ..."
            say(f"  {shown}", highlight=False, markup=False, emoji=False, soft_wrap=True)
        say("\nNext:", highlight=False)
        for command in (
            f"viaduct serve {name}",
            f"viaduct predict {name} --sample",
            f"viaduct lineage {name}",
        ):
            say(f"  {'' if INSTALLED else '.venv/bin/'}{command}", highlight=False)
        return 0
