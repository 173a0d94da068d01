"""The nginx configuration of serving/MIGRATING.md, tried: REST, gRPC and TLS through one port."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.client import Client
from serving.client.results import Tls
from tests.conftest import missing
from tests.serving.processes import ROOT

PAGE = (ROOT / "serving" / "MIGRATING.md").read_text(encoding="utf-8")
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(server, port, folder):
    """The page's block with this test's ports and files, and what makes a configuration of it."""
    [block] = re.findall(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
    changes = {
        "127.0.0.1:8500": server.grpc_address,
        "127.0.0.1:8501": server.rest_address,
        "listen 443 ssl http2": f"listen 127.0.0.1:{port} ssl http2",
        "/etc/nginx/model-server.crt": f"{folder}/cert.pem",
        "/etc/nginx/model-server.key": f"{folder}/key.pem",
    }
    for text, instead in changes.items():
        assert text in block
        block = block.replace(text, instead)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    return (
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n{user}events {{}}\n"
        f"http {{\naccess_log off;\n{paths}{block}}}\n"
    )


@pytest.fixture(scope="module")
def front(model_server, certificates):
    """(port of nginx, the authority's certificate)."""
    if NGINX is None:
        missing("nginx (make system-packages)")
    port = free_port()
    file = certificates / "nginx.conf"
    file.write_text(configuration(model_server, port, certificates))
    process = subprocess.Popen([NGINX, "-p", str(certificates), "-c", str(file)])
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, (certificates / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield port, certificates / "ca.pem"
    process.terminate()
    process.wait(20)


X = np.array([[1, 2]], np.float32)


def test_rest_goes_through_nginx_with_tls(front):
    port, ca = front
    with httpx.Client(
        verify=ssl.create_default_context(cafile=ca), base_url=f"https://127.0.0.1:{port}"
    ) as http:
        for _ in range(3):
            answer = http.post("/v1/models/scaled:predict", json={"instances": [[1, 2]]})
            assert (answer.status_code, answer.json()) == (200, {"predictions": [[4.0, 7.0]]})
        assert http.get("/readyz").status_code == 200
        assert http.get("/v1/models/scaled").json()["model_version_status"][0]["state"] == "AVAILABLE"
        assert http.post("/v1/models/nope:predict", json={"instances": [1]}).status_code == 404
        rows = {"signature_name": "float32", "instances": [[0.5] * 100] * 5000}
        assert len(http.post("/v1/models/echo:predict", json=rows, timeout=60).json()["predictions"]) == 5000
        assert http.get("/monitoring/prometheus/metrics").status_code == 404


def test_grpc_goes_through_the_same_port(front):
    port, ca = front
    with Client(f"grpcs://127.0.0.1:{port}", tls=Tls(root=str(ca)), timeout=30) as client:
        assert client.predict("scaled", X)["y"].tolist() == [[4, 7]]
        assert [state.state for state in client.status("scaled")] == ["AVAILABLE"] * 3
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status == 1
