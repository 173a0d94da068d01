"""Servers whose answers a test decides: for what a real model server does only on a bad day.

A script is a list of answers, one per request in order (the last one repeats); an answer is a message, a
`Fail`, or a function of the request. What arrived is kept in `.seen`.
"""

import contextlib
import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from serving.wire import protos


@dataclass
class Fail:
    code: str
    text: str = "as the test wants it"


@dataclass
class Script:
    """The answers by RPC name (gRPC) or "METHOD /path" (HTTP)."""

    answers: dict[str, list[Any]]
    seen: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, name, request, headers):
        with self.lock:
            self.seen.append((name, request))
            self.headers.append(headers)
            answers = self.answers[name]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(request) if callable(answer) else answer


class FakeGrpc:
    """A gRPC server on a free port of loopback. `tls`: (key, certificate, roots that clients must be of)."""

    def __init__(self, answers, port=0, tls=None):
        self.script = Script(answers)
        self.server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        services = {}
        for name, (path, request, response) in protos.METHODS.items():
            service = path.split("/")[1]
            services.setdefault(service, {})[name] = grpc.unary_unary_rpc_method_handler(
                self._handler(name),
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            )
        for service, handlers in services.items():
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        address = f"127.0.0.1:{port}"
        if tls is None:
            self.port = self.server.add_insecure_port(address)
        else:
            key, certificate, roots = tls
            credentials = grpc.ssl_server_credentials(
                [(key, certificate)], roots, require_client_auth=bool(roots)
            )
            self.port = self.server.add_secure_port(address, credentials)
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def _handler(self, name):
        def handle(request, context):
            answer = self.script.next(name, request, dict(context.invocation_metadata()))
            if isinstance(answer, Fail):
                context.abort(getattr(grpc.StatusCode, answer.code), answer.text)
            return answer

        return handle

    def close(self):
        self.server.stop(0).wait()


class FakeRest:
    """An HTTP server on a free port of loopback. Answers are JSON values, `(status, JSON value)` or bytes."""

    def __init__(self, answers, port=0):
        script = self.script = Script(answers)
        connections = self.connections = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self):
                super().setup()
                connections.append(self.connection)

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                found = script.next(
                    f"{self.command} {self.path}", json.loads(body) if body else None, dict(self.headers)
                )
                status, value = found if isinstance(found, tuple) else (200, found)
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def slowly(seconds, answer):
    def respond(_request):
        time.sleep(seconds)
        return answer

    return respond
