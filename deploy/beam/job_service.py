"""Beam's portable job service with as many workers as are asked for, which fails a job whose worker is gone.

`apache_beam.runners.portability.local_job_service_main` (2.59) waits for ever for the answer of a worker that was
killed: the thread that reads its answers ends with the connection, and nobody tells those who wait. Here what is asked
of such a worker is answered with an error, and the job fails; so it does for a worker that does not come within
`--worker_start_s` seconds. Beam's also has one worker whatever `--direct_num_workers` says; here the option counts.

    python deploy/beam/job_service.py --port 8099
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from typing import Any

from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability import local_job_service_main
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    ControlConnection,
    ControlFuture,
    ExternalWorkerHandler,
)

START_S = 180.0
GONE = "a Beam worker is gone: its connection broke. Look for what ended it or its worker pool, and run again"
NOT_COME = (
    "a Beam worker did not come within {:.0f} s of being asked for. Look at its worker pool, and run again"
)


def install(start_s: float = START_S) -> None:
    """Makes connections to workers answer for them when they break, and the number of workers count."""
    start = ExternalWorkerHandler.start_worker
    run_pipeline = fn_runner.FnApiRunner.run_via_runner_api
    read, push = ControlConnection._read, ControlConnection.push

    def read_to_the_end(connection: Any) -> None:
        try:
            read(connection)
        except Exception:
            _answer_for(connection, GONE)

    def push_or_answer(connection: Any, request: Any) -> Any:
        future = push(connection, request)
        told = getattr(connection, "told", "")
        if future is not None and told:
            return ControlFuture(request.instruction_id, _error(request.instruction_id, told))
        return future

    def start_and_expect(handler: Any) -> None:
        start(handler)
        threading.Thread(target=_expect, args=(handler.control_conn, start_s), daemon=True).start()

    def run_with_workers(runner: Any, pipeline: Any, options: Any) -> Any:
        runner._num_workers = max(1, int(options.view_as(DirectOptions).direct_num_workers or 1))
        return run_pipeline(runner, pipeline, options)

    ControlConnection._read, ControlConnection.push = read_to_the_end, push_or_answer
    ExternalWorkerHandler.start_worker = start_and_expect
    fn_runner.FnApiRunner.run_via_runner_api = run_with_workers


def _expect(connection: Any, start_s: float) -> None:
    end = time.monotonic() + start_s
    while connection._state == BeamFnControlServicer.UNSTARTED_STATE:
        if time.monotonic() > end:
            _answer_for(connection, NOT_COME.format(start_s))
            return
        time.sleep(0.5)


def _answer_for(connection: Any, told: str) -> None:
    connection.told = told
    for instruction, future in list(connection._futures_by_id.items()):
        future.set(_error(instruction, told))


def _error(instruction: str, told: str) -> Any:
    return beam_fn_api_pb2.InstructionResponse(instruction_id=instruction, error=told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--worker_start_s", type=float, default=START_S)
    options, others = parser.parse_known_args()
    install(options.worker_start_s)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO)
    local_job_service_main.run([local_job_service_main.__file__, *others])
