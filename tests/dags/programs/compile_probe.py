"""Compiles the probe in the warm host: compile_probe.py HOME TARGET."""

import os
import sys
from pathlib import Path

from pipelines.base import registry
from pipelines.base.forkserver import client as forkserver
from pipelines.base.settings import Settings

home, target = sys.argv[1:]
settings = Settings.of(registry.get("probe"), data=home)
log = Path(home, "compile.log")
request = forkserver.Request(
    "pipelines.base.jobs:compile_to",
    {"project": "probe", "settings": settings.to_json(), "home": home, "target": target},
    log,
    log.with_suffix(".json"),
    dict(os.environ),
)
forkserver.Call(forkserver.socket_path(Path(home)), request).wait()
