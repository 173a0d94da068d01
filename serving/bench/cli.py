"""`viaduct bench-serving`: loads a model server and prints rate, latencies, errors and the versions seen.

gRPC is asked by a client of our own (`serving.bench.http2`), REST by wrk where it is installed. Live progress (not of
wrk) goes to stderr, the report to stdout (`--json`: one line for machines). Exit status: 0, 1 where requests failed, 2
for wrong arguments. The load itself is in `serving.bench.load`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import selectors
import sys
from pathlib import Path
from typing import Any

from serving.bench import wrk
from serving.bench.load import Load, Result, run
from serving.bench.payload import grpc_payload, inputs_for, rest_payload
from serving.client import Client
from serving.client.protocol import DEFAULT_ADDRESS, DEFAULT_SIGNATURE, Address, Spec, parse_address
from serving.errors import ServingError


def parser(prog: str = "viaduct bench-serving") -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=prog, description="Load a model server with closed-loop clients and report what they saw."
    )
    # An address before the model's name is what this command took before it had --server.
    p.add_argument("names", nargs="*", metavar="MODEL", help="the model's name (not needed with --payload)")
    p.add_argument(
        "--server",
        default="",
        metavar="ADDRESS",
        help=f"host:port or grpc:// for gRPC, http:// for REST (default {DEFAULT_ADDRESS})",
    )
    p.add_argument("--clients", type=int, default=8, help="requests in flight at once (default 8)")
    p.add_argument(
        "--connections",
        type=int,
        default=0,
        help="connections that gRPC clients share (default four at most)",
    )
    p.add_argument("--seconds", type=float, default=10.0, help="length of the run (default 10)")
    p.add_argument("--warm-up", type=float, default=0.5, help="uncounted seconds before (default 0.5)")
    p.add_argument(
        "--rate", type=float, default=0.0, help="requests per second in all; default as many as go"
    )
    p.add_argument("--timeout", type=float, default=10.0, help="seconds a request may take (default 10)")
    p.add_argument("--signature", default=DEFAULT_SIGNATURE)
    p.add_argument("--version", type=int, help="a version instead of the newest")
    p.add_argument("--label", help="a version label instead of the newest")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--batch", type=int, default=1, help="rows of random values per request (default 1)")
    what.add_argument("--inputs", type=Path, help="JSON file: an object of arrays by input name")
    what.add_argument("--rows", type=Path, help="JSON lines: each a tf.Example's features")
    what.add_argument(
        "--payload", type=Path, help="file with the bytes to send (PredictRequest or HTTP request)"
    )
    p.add_argument(
        "--client",
        choices=("auto", "wrk", "own"),
        default="auto",
        help="who asks over REST: wrk (a Debian package) or our own, which knows --rate; auto: wrk where it can",
    )
    p.add_argument("--json", action="store_true", help="one line of JSON instead of the report, no progress")
    return p


def main(argv: list[str] | None = None) -> int:
    p = parser()
    options = p.parse_intermixed_args(argv)
    options.address, options.model = _server_and_model(p, options)
    if options.clients < 1 or options.seconds <= 0:
        p.error(f"--clients {options.clients} and --seconds {options.seconds:g} must be positive")
    try:
        address = parse_address(options.address)
        payload = _payload(options, address)
    except (ServingError, ValueError, OSError) as error:
        print(f"viaduct bench-serving: {error}", file=sys.stderr)
        return 2
    load = Load(
        address, payload, options.clients, options.seconds, options.warm_up, options.rate, options.timeout,
        options.connections,
    )  # fmt: skip
    by_wrk = _by_wrk(load, options.client)
    if isinstance(by_wrk, str):
        print(f"viaduct bench-serving: {by_wrk}", file=sys.stderr)
        return 2
    result = wrk.run_wrk(load) if by_wrk else _run(load, None if options.json else _Progress())
    if options.json:
        print(json.dumps(result.as_json()))
    else:
        print(report(load, result))
    return 1 if result.errors or not result.requests else 0


def _server_and_model(p: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[str, str]:
    """(address, model or '') of `[ADDRESS] [MODEL] [--server ADDRESS]`; only addresses have a colon."""
    names = list(options.names)
    addresses = [options.server] if options.server else []
    if names and ":" in names[0]:
        addresses.append(names.pop(0))
    if len(addresses) > 1 or len(names) > 1:
        p.error(f"expected one model and one --server, got {' '.join([*addresses, *names])}")
    return (addresses or [DEFAULT_ADDRESS])[0], (names or [""])[0]


def _by_wrk(load: Load, client: str) -> bool | str:
    """Whether wrk makes the load; a text where it was asked for and cannot."""
    if client == "own" or (client == "auto" and not (load.address.rest and wrk.usable(load))):
        return False
    if not load.address.rest or not wrk.usable(load):
        return "--client wrk is for http:// without --rate; leave it away"
    if wrk.installed():
        return True
    if client == "wrk":
        return "--client wrk: wrk is not installed (Debian: apt-get install wrk; here: make system-packages)"
    print(f"viaduct bench-serving: {wrk.MISSING}", file=sys.stderr)
    return False


def _run(load: Load, progress: Any) -> Result:
    asyncio.set_event_loop_policy(_Policy(fine_timers=bool(load.rate)))
    try:
        return asyncio.run(run(load, progress))
    finally:
        if progress is not None:
            progress.end()


class _Policy(asyncio.DefaultEventLoopPolicy):
    """uvloop where it is installed; but requests due at given times need timers finer than its milliseconds."""

    def __init__(self, fine_timers: bool) -> None:
        super().__init__()
        self._fine_timers = fine_timers

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        if self._fine_timers:
            return asyncio.SelectorEventLoop(selectors.SelectSelector())
        with contextlib.suppress(ImportError):
            import uvloop

            return uvloop.new_event_loop()
        return super().new_event_loop()


def _payload(options: argparse.Namespace, address: Address) -> bytes:
    if options.payload:
        payload: Path = options.payload
        return payload.read_bytes()
    if not options.model:
        raise ValueError("Which model? Give its name (or --payload).")
    spec = Spec(options.model, options.version, options.label).check()
    inputs = json.loads(options.inputs.read_text(encoding="utf-8")) if options.inputs else None
    rows = None
    if options.rows:
        lines = options.rows.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    with Client(options.address, timeout=options.timeout) as client:
        arrays = inputs_for(client, spec, options.signature, inputs=inputs, rows=rows, batch=options.batch)
    if address.rest:
        return rest_payload(address, spec, arrays, options.signature)
    return grpc_payload(spec, arrays, options.signature)


class _Progress:
    """A line a second on stderr: the rate and latency of that second, errors so far, the newest version."""

    def __init__(self) -> None:
        self._requests = self._latencies = 0
        self._seconds = 0.0
        self._live = sys.stderr.isatty()

    def __call__(self, seconds: float, result: Result) -> None:
        fresh = sorted(result.latencies[self._latencies :])
        rate = (result.requests - self._requests) / max(seconds - self._seconds, 1e-9)
        self._requests, self._latencies, self._seconds = result.requests, len(result.latencies), seconds
        p50, p99 = (fresh[int(share * len(fresh))] * 1e3 if fresh else 0.0 for share in (0.5, 0.99))
        newest = max(result.versions, key=lambda v: result.versions[v].last_s, default=0)
        version = f"  version {newest}" if newest else ""
        latency = f"p50 {p50:7.2f} ms  p99 {p99:7.2f} ms" if fresh else "no good answer            "
        line = f"{seconds:5.1f} s  {rate:8,.0f}/s  {latency}  errors {result.errors.total()}{version}"
        print(
            f"\r{line}\x1b[K" if self._live else line,
            end="" if self._live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        if self._live:
            print(file=sys.stderr)


def report(load: Load, result: Result) -> str:
    """The whole run for people."""
    kind = f"{load.rate:,.0f} requests/s asked for" if load.rate else "closed loop"
    lines = [
        f"{load.address.target}: {load.clients} clients, {kind}, {len(load.payload):,} bytes a request",
        f"  requests  {result.requests:,} in {result.seconds:.1f} s = {result.rate:,.0f}/s",
        f"  generator {result.cpu_us:.0f} us of a core for each of them",
        f"  latency   {_latency(result)}",
    ]
    if result.errors:
        for code, count in result.errors.most_common():
            lines.append(f"  errors    {count:,} x {code}: {result.texts.get(code, '')}")
    else:
        lines.append("  errors    none")
    known = sorted((seen.first_s, number, seen) for number, seen in result.versions.items() if number)
    for place, (first, number, seen) in enumerate(known):
        moment = "from the start" if place == 0 else f"from {first:.2f} s"
        lines.append(f"  version   {number} {moment} to {seen.last_s:.2f} s ({seen.count:,} answers)")
    return "\n".join(lines)


def _latency(result: Result) -> str:
    if not result.latencies:
        return "not known: " + (
            "every request failed" if result.errors else "no request was answered in the time"
        )
    p50, p90, p99, worst = (result.percentile(share) * 1e3 for share in (0.5, 0.9, 0.99, 1.0))
    return f"p50 {p50:.2f} ms, p90 {p90:.2f} ms, p99 {p99:.2f} ms, longest {worst:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
