"""`viaduct predict` (against a running server) and `viaduct status`: the client for people and scripts.

Both print JSON lines or a table on stdout and explain errors on stderr. Exit status: 0; 1 where the server
refused or could not be reached; 2 for wrong arguments. Nothing here knows projects; the caller may pass a
default address and model.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving.client import Client, Tls
from serving.client.protocol import DEFAULT_ADDRESS, DEFAULT_SIGNATURE
from serving.errors import ServingError
from serving.wire.arrays import Array


def _parser(prog: str, description: str, model: str | None) -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if model is None:
        p.add_argument("model", help="the served model's name")
    p.add_argument(
        "--server",
        dest="address",
        metavar="ADDRESS",
        default=DEFAULT_ADDRESS,
        help=f"host:port (gRPC) or http://... (REST); default {DEFAULT_ADDRESS}",
    )
    # What it was called before.
    p.add_argument("--address", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    p.add_argument("--version", type=int, help="a version instead of the newest")
    p.add_argument("--label", help="a version label instead of the newest")
    p.add_argument("--timeout", type=float, default=10.0, help="seconds the whole call may take (default 10)")
    p.add_argument(
        "--tls-root", type=Path, help="PEM file that checks the server's certificate; encrypts gRPC"
    )
    p.add_argument("--tls-certificate", type=Path, help="our certificate, for mutual TLS")
    p.add_argument("--tls-key", type=Path, help="its key")
    p.add_argument("--json", action="store_true", help="JSON for machines")
    return p


def _client(options: argparse.Namespace) -> Client:
    tls = None
    if options.tls_root or options.tls_certificate or options.tls_key:
        tls = Tls(options.tls_root, options.tls_certificate, options.tls_key)
    return Client(options.address, timeout=options.timeout, tls=tls)


def _guarded(prog: str, call: Callable[[], int]) -> int:
    try:
        return call()
    except ServingError as error:
        print(f"{prog}: {error.code}: {error.message}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2


def main_predict(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    """`viaduct predict MODEL --inputs ... | --rows ...`: asks a running server and prints the outputs.

    model: where given, the command line names none.
    """
    prog = "viaduct predict"
    p = _parser(
        prog,
        "Ask a running model server.\n\n"
        "  viaduct predict digits --inputs '{\"image\": [[0, 0, 1]]}'\n"
        "  viaduct predict card_fraud --rows rows.jsonl        one tf.Example's features a line; - is stdin",
        model,
    )
    p.add_argument("--signature", default=DEFAULT_SIGNATURE)
    p.add_argument("--output", action="append", default=[], help="print only this output; may be repeated")
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--inputs", help="JSON: an object of arrays by input name, or one array; @FILE reads a file"
    )
    what.add_argument("--rows", help="file of JSON lines, each the features of a tf.Example; - is stdin")
    options = p.parse_args(argv)

    def call() -> int:
        name = model or options.model
        asked = {"version": options.version, "label": options.label, "signature": options.signature}
        with _client(options) as client:
            if options.rows:
                rows = _rows(options.rows)
                outputs = client.predict_examples(name, rows, output_filter=options.output, **asked)
            else:
                outputs = client.predict(name, _inputs(options.inputs), output_filter=options.output, **asked)
        _print_outputs(outputs, options.json)
        return 0

    return _guarded(prog, call)


def _inputs(text: str) -> Any:
    where = "--inputs"
    if text.startswith("@"):
        where, text = text[1:], Path(text[1:]).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}; got {text[:80]!r}") from error


def _rows(path: str) -> list[dict[str, Any]]:
    text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: expected an object of features, got {line[:80]!r}")
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return rows


def _plain(value: Any) -> Any:
    """What JSON can hold: text where bytes are text, else {"b64": ...}."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, complex):
        return [value.real, value.imag]
    return value


def _print_outputs(outputs: Mapping[str, Array], as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: _plain(array.tolist()) for name, array in sorted(outputs.items())}))
        return
    for name, array in sorted(outputs.items()):
        print(f"{name}  {array.dtype.name.replace('object', 'text')} {list(array.shape)}")
        with np.printoptions(threshold=200, edgeitems=3, linewidth=110, suppress=True):
            text = np.array2string(
                np.array(_plain(array.tolist()), dtype=object) if array.dtype == object else array
            )
        print("  " + text.replace("\n", "\n  "))


def main_status(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    """`viaduct status MODEL`: the versions a server knows, their states, and the newest one's signatures.

    Exit status 1 also where no version is AVAILABLE, so that scripts can wait for one.
    """
    prog = "viaduct status"
    p = _parser(prog, "The versions of a served model, their states and signatures.", model)
    p.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait until one is AVAILABLE")
    options = p.parse_args(argv)

    def call() -> int:
        name = model or options.model
        with _client(options) as client:
            if options.wait > 0:
                client.wait_available(name, version=options.version, timeout=options.wait)
            states = client.status(name, version=options.version, label=options.label)
            available = any(state.state == "AVAILABLE" for state in states)
            metadata = (
                client.metadata(name, version=options.version, label=options.label) if available else None
            )
        if options.json:
            signatures = (
                {} if metadata is None else {k: _signature_json(s) for k, s in metadata.signatures.items()}
            )
            versions = [state.__dict__ for state in states]
            print(json.dumps({"model": name, "versions": versions, "signatures": signatures}))
        else:
            _print_status(name, options.address, states, metadata)
        return 0 if available else 1

    return _guarded(prog, call)


def _signature_json(signature: Any) -> dict[str, Any]:
    return {
        "method": signature.method,
        **{
            side: {name: {"dtype": t.dtype, "shape": t.shape} for name, t in getattr(signature, side).items()}
            for side in ("inputs", "outputs")
        },
    }


def _print_status(name: str, address: str, states: Sequence[Any], metadata: Any) -> None:
    print(f"{name} at {address}")
    for state in states:
        error = f"  {state.error_code}: {state.error}" if state.error else ""
        print(f"  version {state.version:<12} {state.state}{error}")
    if metadata is None:
        return
    print(f"  signatures of version {metadata.version}")
    for signature in metadata.signatures.values():
        sides = [
            ", ".join(f"{t.name} {t.dtype.replace('object', 'text')}{_shape(t.shape)}" for t in side.values())
            for side in (signature.inputs, signature.outputs)
        ]
        print(f"    {signature.name} ({signature.method}): {sides[0]} -> {sides[1]}")


def _shape(shape: tuple[int | None, ...] | None) -> str:
    return (
        " of any shape"
        if shape is None
        else "[" + ", ".join("?" if s is None else str(s) for s in shape) + "]"
    )
