"""The TensorFlow.js converter's isolated environment: packages from a lock, and the runtime for browsers.

The converter's packages clash with TFX's, so they live apart. `ensure` makes the environment where it is
missing and says what it installs; it is complete or absent. `python -m components.tfjs_exporter.environment`
makes it ahead of time. This is the only place that fetches anything: an export with an existing environment
needs no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.base import whole

VARIABLE = "VIADUCT_TFJS_VENV"
CHECKOUT = Path(__file__).resolve().parents[2]
# In a checkout's root, or where the wheel has it.
LOCK = next(
    (f for f in (CHECKOUT, CHECKOUT / "pipelines/base/locks") if (f / "requirements-tfjs.lock").exists()),
    CHECKOUT,
).joinpath("requirements-tfjs.lock")
RUNTIME_PACKAGE = "@tensorflow/tfjs@4.22.0"
RUNTIME_SHA256 = "300dfae273d20b4046f46a06d735688f03675a807561e9bcb5f664eb2f3d2831"
RUNTIME = "web/tf.min.js"
MARKER = "made-from.sha256"


class EnvironmentFailed(Exception):
    """The environment cannot be made; the text holds the command that failed and what it said."""


def location(default: Path) -> Path:
    """VIADUCT_TFJS_VENV, else the checkout's .tfjs-venv if it is there, else `default`."""
    if configured := os.environ.get(VARIABLE):
        return Path(configured).expanduser().absolute()
    in_checkout = CHECKOUT / ".tfjs-venv"
    return in_checkout if in_checkout.exists() else default


def is_complete(folder: Path) -> bool:
    """Whether `folder` holds the environment that the lock of today describes."""
    marker = folder / MARKER
    return marker.exists() and marker.read_text().strip() == _wanted()


def ensure(folder: Path, say: Callable[[str], None]) -> Path:
    """Makes the environment in `folder` unless it is complete; returns its folder.

    Raises EnvironmentFailed; what was half made is removed.
    """
    if is_complete(folder):
        return folder
    say(
        f"Installing the TensorFlow.js converter into {folder}: the {_count()} packages of {LOCK.name} (2.5 GB) and "
        f"the browser runtime {RUNTIME_PACKAGE} from npm (1.5 MB). Once; later exports need no network."
    )
    whole.sweep(folder.parent)
    with whole.folder(folder, replace=True) as aside:
        _install_packages(aside)
        _install_runtime(aside)
        (aside / MARKER).write_text(_wanted() + "\n")
    say(f"Installed {folder}.")
    return folder


def _wanted() -> str:
    return hashlib.sha256(LOCK.read_bytes() + RUNTIME_SHA256.encode()).hexdigest()


def _count() -> int:
    return sum(1 for line in LOCK.read_text().splitlines() if "==" in line)


def _install_packages(folder: Path) -> None:
    """A venv made by this Python; uv is used where it is at hand because it takes a fifth of the time."""
    uv = shutil.which("uv")
    python = str(folder / "bin" / "python")
    if uv:
        run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        run([uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "-r", str(LOCK)])
    else:
        run([sys.executable, "-m", "venv", str(folder)])
        run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(LOCK)])


def _install_runtime(folder: Path) -> None:
    """tf.min.js from the npm package, checked against its digest. Nothing of the package is executed."""
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentFailed(
            f"npm is not on PATH; it fetches {RUNTIME_PACKAGE}. Install Node.js, then try again."
        )
    with tempfile.TemporaryDirectory() as scratch:
        run([npm, "pack", "--silent", "--pack-destination", scratch, RUNTIME_PACKAGE], cwd=scratch)
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as files:
            member = files.extractfile("package/dist/tf.min.js")
            content = member.read() if member else b""
    digest = hashlib.sha256(content).hexdigest()
    if digest != RUNTIME_SHA256:
        raise EnvironmentFailed(
            f"{RUNTIME_PACKAGE}: tf.min.js has sha256 {digest}; expected {RUNTIME_SHA256}."
        )
    target = folder / RUNTIME
    target.parent.mkdir()
    target.write_bytes(content)


def run(command: Sequence[str], cwd: str | None = None, env: dict[str, str] | None = None) -> str:
    """The command's output. Raises EnvironmentFailed with its last lines if it cannot run or fails."""
    try:
        done = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    except OSError as error:
        raise EnvironmentFailed(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise EnvironmentFailed(f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{said}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m components.tfjs_exporter.environment [FOLDER]`: makes the environment, by default in the checkout."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    folder = Path(arguments[0]).absolute() if arguments else location(CHECKOUT / ".tfjs-venv")
    try:
        print(ensure(folder, lambda text: print(text, flush=True)))
    except EnvironmentFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
