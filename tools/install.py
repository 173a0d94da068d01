"""Installs a lock into a virtual environment piece by piece, and says after each how far it is.

    python tools/install.py LOCK PYTHON [option of pip ...]

PYTHON is the environment's interpreter; this program runs under any Python and needs nothing installed. It uses uv
where VIADUCT_UV or PATH has it, else pip. Pieces that are there already cost a moment, so a set-up that was stopped
goes on where it was. It resolves nothing: a lock is complete.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PIECES = 16
MOST_PACKAGES = 25  # in a piece, so that the first word comes soon
# Megabytes on disk of the packages that take most of the time; the others have three on average.
HEAVY = {
    "tensorflow": 1680, "pyspark": 350, "playwright": 168, "pyarrow": 119, "scipy": 119, "google-cloud-aiplatform": 93,
    "kubernetes-validate": 72, "tfx-bsl": 68, "numpy": 65, "apache-beam": 64, "libclang": 64,
    "tensorflow-decision-forests": 60, "tensorflow-data-validation": 53, "mypy": 51, "jupyterlab": 42, "pandas": 41,
    "scikit-learn": 41, "plotly": 40, "tfx": 35, "ml-pipelines-sdk": 35, "scikit-image": 33, "ydf": 32, "babel": 31,
}  # fmt: skip
LIGHT = 3


def weight(line: str) -> int:
    """Megabytes that the package of a line of the lock will take, roughly."""
    return HEAVY.get(line.partition("==")[0].strip(), LIGHT)


def pieces(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines in their order, in parts of like weight, PIECES of them or a few more."""
    share = sum(map(weight, lines)) / PIECES
    part: list[str] = []
    for line in lines:
        if part and (len(part) == MOST_PACKAGES or sum(map(weight, part)) + weight(line) > share):
            yield part
            part = []
        part.append(line)
    if part:
        yield part


def command(python: str, file: str, options: Sequence[str]) -> list[str]:
    """What installs the lines of `file`. tfx says that it is for Python below 3.11, to which pip would hold; source is
    built as uv and later pips do.
    """
    if uv := os.environ.get("VIADUCT_UV") or shutil.which("uv"):
        return [uv, "pip", "install", "-q", "--python", python, "--no-deps", *options, "-r", file]
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    return [*pip, "--no-deps", "--use-pep517", "--ignore-requires-python", *options, "-r", file]


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def install(lock: Path, python: str, options: Sequence[str] = ()) -> int:
    """Installs all of `lock`; returns the exit code of what failed, else 0."""
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#-"]
    whole, done, count, begin = sum(map(weight, lines)), 0, 0, time.monotonic()
    for part in pieces(lines):
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write("\n".join(part))
            file.flush()
            code = subprocess.run(command(python, file.name, options), check=False).returncode
        if code:
            return code
        done, count, gone = done + sum(map(weight, part)), count + len(part), time.monotonic() - begin
        left = f"about {clock(gone / done * (whole - done))} left" if done < whole else "all of them"
        print(
            f"{100 * done // whole:4} %  {count} of {len(lines)} packages in {clock(gone)}, {left}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
