"""Fetches plotly's basic bundle, a quarter of the whole, into this environment: a part of setting up, never of a run.

No package of PyPI holds it; npm's does. `python -m dashboards.bundle` is called by the set-up where npm is at hand;
elsewhere pages and exports use the whole of plotly from its Python package. Nothing of the package is executed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from pipelines.base import whole

PACKAGE = "plotly.js-basic-dist-min@4.1.1"
MEMBER = "package/plotly-basic.min.js"
SHA256 = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"


def installed() -> Path:
    """Where the bundle lies in this environment, whether it is there or not."""
    return Path(sys.prefix) / "share" / "viaduct" / f"plotly-basic-{SHA256[:12]}.min.js"


def main() -> int:
    """Returns 0 if the bundle is there afterwards, 1 if it could not be had; says why."""
    target = installed()
    if target.is_file():
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not on PATH: the dashboards use the whole of plotly (exports are twice as large).")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", "--silent", "--pack-destination", scratch, PACKAGE]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not archives:
            print(
                f"{PACKAGE} could not be fetched; the dashboards use the whole of plotly: {done.stderr.strip()}"
            )
            return 1
        with tarfile.open(archives[0]) as files:
            member = files.extractfile(MEMBER)
            content = member.read() if member else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        print(f"{PACKAGE}: {MEMBER} is not what it was; the dashboards use the whole of plotly.")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    whole.write(target, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
