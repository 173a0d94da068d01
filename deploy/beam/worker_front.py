"""One address for several Beam worker pools: a worker that a runner asks for is started by the next pool that answers.

Beam's portable job service takes one address of an EXTERNAL environment and keeps one connection to it, so that several
pools behind a load balancer would be one. A runner with workers on many machines (Flink, Spark) has a pool beside each
of them and needs no front. It starts no pool and watches over no worker.

    python deploy/beam/worker_front.py --port 50000 localhost:50001 localhost:50002
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import threading
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

PATIENCE_S = 60.0


class Front(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Passes requests on to the pools at `addresses`, in turn. For all threads."""

    def __init__(self, addresses: list[str], patience_s: float = PATIENCE_S) -> None:
        self._pools = [
            beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(grpc.insecure_channel(address))
            for address in addresses
        ]
        self._addresses, self._patience_s = addresses, patience_s
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._started: dict[str, Any] = {}

    def StartWorker(self, request: Any, context: Any) -> Any:
        """The next pool's answer; where it does not answer, the one's after it. Tells why if none does."""
        with self._lock:
            turn = next(self._turns)
        errors = []
        for step in range(len(self._pools)):
            place = (turn + step) % len(self._pools)
            try:
                answer = self._pools[place].StartWorker(request, timeout=self._patience_s)
            except grpc.RpcError as error:
                errors.append(f"{self._addresses[place]}: {error.code().name}")
                continue
            self._started[request.worker_id] = self._pools[place]
            return answer
        told = f"No worker pool answers ({', '.join(errors)}). Start one: apache_beam.runners.worker.worker_pool_main."
        return beam_fn_api_pb2.StartWorkerResponse(error=told)

    def StopWorker(self, request: Any, context: Any) -> Any:
        pool = self._started.pop(request.worker_id, None)
        if pool is None:
            return beam_fn_api_pb2.StopWorkerResponse()
        return pool.StopWorker(request, timeout=self._patience_s)


def serve(addresses: list[str], port: int = 0) -> tuple[Any, int]:
    """(server, port): a front that listens on this machine alone."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(Front(addresses), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("pools", nargs="+", metavar="HOST:PORT")
    options = parser.parse_args()
    serve(options.pools, options.port)[0].wait_for_termination()
