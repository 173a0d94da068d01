"""REST load by wrk (the Debian package), which costs a tenth of what a client in Python does.

It sends prepared bytes like the client of our own (`serving.bench.load`) and its numbers come in the same `Result`.
It knows no rates and no TLS here, and does not tell errors apart: a request of our own says what they are.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import shutil
import subprocess
import tempfile
from array import array
from dataclasses import replace
from pathlib import Path

from serving.bench.load import Load, Result, Seen, run

MISSING = (
    "wrk is not installed (Debian: apt-get install wrk; here: make system-packages); the client in Python takes its "
    "place, which takes several times the processor time"
)
# Latencies in microseconds and how often each was seen, then what failed.
_SCRIPT = """
local file = io.open(os.getenv("VIADUCT_WRK_PAYLOAD"), "rb")
local payload = file:read("*a")
file:close()
request = function() return payload end
done = function(summary, latency, requests)
  local seen = {}
  for i = 1, #latency do
    local value, count = latency(i)
    seen[i] = string.format("[%d,%d]", value, count)
  end
  local e = summary.errors
  io.write(string.format('\\n{"us": %d, "requests": %d, "status": %d, "connect": %d, "lost": %d, "late": %d, ',
    summary.duration, summary.requests, e.status, e.connect, e.read + e.write, e.timeout))
  io.write('"latencies": [' .. table.concat(seen, ",") .. "]}\\n")
end
"""


def usable(load: Load) -> bool:
    """Whether wrk can make this load."""
    return load.address.target.startswith("http://") and not load.rate


def installed() -> str | None:
    return shutil.which("wrk")


def run_wrk(load: Load) -> Result:
    """Runs the load; the seconds are rounded up to whole ones, as wrk has them. Raises RuntimeError where wrk fails."""
    if load.warm_up > 0:
        asyncio.run(run(replace(load, seconds=load.warm_up, warm_up=0.0)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix="viaduct-wrk-") as folder:
        payload, script = Path(folder) / "payload", Path(folder) / "script.lua"
        payload.write_bytes(load.payload)
        script.write_text(_SCRIPT, encoding="ascii")
        command = ["wrk", "-t1", f"-c{load.clients}", f"-d{math.ceil(load.seconds)}s"]
        command += [f"-T{math.ceil(load.timeout)}s", "-s", str(script), load.address.target]
        environment = {**os.environ, "VIADUCT_WRK_PAYLOAD": str(payload)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if "unable to connect" in done.stderr + done.stdout:
        # It gives up at once; what that means in requests is counted by our own client.
        return asyncio.run(run(replace(load, seconds=min(load.seconds, 1.0), warm_up=0.0)))
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        why = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise RuntimeError(f"wrk ended with {done.returncode}: {why}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _result(load, json.loads(lines[-1]), used)


def _result(load: Load, found: dict[str, int | list[list[int]]], used: float) -> Result:
    numbers = {key: value for key, value in found.items() if isinstance(value, int)}
    result = Result(seconds=numbers["us"] / 1e6)
    good = numbers["requests"] - numbers["status"]
    failed = {
        "NO CONNECTION": numbers["connect"],
        "CONNECTION LOST": numbers["lost"],
        "TIMEOUT": numbers["late"],
    }
    result.errors.update({code: count for code, count in failed.items() if count})
    if numbers["status"]:
        code, text = _what_fails(load)
        result.errors[code] += numbers["status"]
        result.texts[code] = text
    result.requests = good + result.errors.total()
    latencies = found["latencies"]
    assert isinstance(latencies, list)
    # wrk also counts what a stall kept from being sent, so there may be more latencies than requests.
    if good:
        for value, count in latencies:
            result.latencies.extend(array("d", [value / 1e6]) * count)
        result.versions[0] = Seen(0.0, result.seconds, good)
    result.cpu_us = used / result.requests * 1e6 if result.requests else 0.0
    return result


def _what_fails(load: Load) -> tuple[str, str]:
    """Code and text of an error, from one request of our own."""
    asked = asyncio.run(run(replace(load, clients=1, seconds=0.01, warm_up=0.0)))
    for code, text in asked.texts.items():
        return code, text
    return "HTTP 4xx or 5xx", ""
