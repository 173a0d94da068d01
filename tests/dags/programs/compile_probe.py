"""Compiles the probe in the warm host: compile_probe.py HOME TARGET."""

import os
import sys
from pathlib import Path

from pipelines.base import host_client, registry
from pipelines.base.project import Settings

home, target = sys.argv[1:]
settings = Settings.of(registry.get("probe"), data=home)
log = Path(home, "compile.log")
request = host_client.Request(
    "pipelines.base.node:compile_to",
    {"project": "probe", "settings": settings.to_json(), "home": home, "target": target},
    log,
    log.with_suffix(".json"),
    dict(os.environ),
)
host_client.Call(host_client.socket_path(Path(home)), request).wait()
