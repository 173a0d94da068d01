"""Environments in which an extra of ours is all that is installed: from a package index, or of links.

A linked environment is a virtual environment whose site-packages holds links to the distributions that an extra
requires, directly and through others, at the versions installed here. pip then installs the wheel of this checkout
into it without an index, and so agrees that nothing is lacking. It takes seconds where an installation of
TensorFlow or TFX takes minutes and gigabytes.
"""

from __future__ import annotations

import functools
import runpy
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[1]
NAME = "tfx-viaduct"
# A package of ours that Airflow finds by its folder.
PACKAGES = ("pipelines", "components", "bridges", "dags", "serving", "dashboards")


def wheel(folder: Path) -> Path:
    """The wheel of what git knows in this checkout, built in `folder`, so that the checkout stays as it is."""
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (CHECKOUT / name).is_file() and (name.split("/")[0] in PACKAGES or "/" not in name):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((CHECKOUT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-index"]
    command = [*pip, "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    [made] = folder.glob("*.whl")
    return made


@functools.cache
def asked() -> dict[str, Any]:
    """What setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(setuptools, "setup", given.update)
        patched.chdir(CHECKOUT)
        runpy.run_path(str(CHECKOUT / "setup.py"))
    return given


def requirements() -> dict[str, list[Requirement]]:
    """What is required of everyone under "", and by extra."""
    texts = {"": asked()["install_requires"], **asked()["extras_require"]}
    return {extra: [Requirement(text) for text in wanted] for extra, wanted in texts.items()}


def _wanted(requirement: Requirement, extra: str) -> bool:
    environment = {**default_environment(), "extra": extra}
    return requirement.marker is None or requirement.marker.evaluate(environment)


@functools.cache
def installed() -> Mapping[str, Distribution]:
    """The distributions of this environment by canonical name, without ours."""
    # Not all of sys.path: setuptools puts distributions of its own there.
    places = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    by_name = {canonicalize_name(d.metadata["Name"]): d for d in distributions(path=places)}
    by_name.pop(NAME, None)
    return by_name


def closure(wanted: Iterable[Requirement]) -> tuple[dict[str, Distribution], list[str]]:
    """(what the requirements bring along, by name; what is missing here or has another version)."""
    brought: dict[str, Distribution] = {}
    problems: list[str] = []
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, NAME) for requirement in wanted]
    while waiting:
        requirement, whose = waiting.pop()
        name = canonicalize_name(requirement.name)
        distribution = installed().get(name)
        if distribution is None:
            problems.append(f"{whose} requires {requirement}, which is not in the lock")
            continue
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            problems.append(f"{whose} requires {requirement}, but the lock has {distribution.version}")
        brought[name] = distribution
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                inner = (Requirement(text) for text in distribution.requires or ())
                waiting += [(r, name) for r in inner if _wanted(r, extra)]
    return brought, problems


def _paths(distribution: Distribution) -> set[tuple[str, ...]]:
    """What a distribution has in site-packages, as the parts of paths: files, or folders that are all its own."""
    place = Path(str(distribution.locate_file("")))
    if distribution.read_text("RECORD"):
        listed = {file.parts for file in distribution.files or ()}
        return {parts for parts in listed if parts[0] != ".." and "__pycache__" not in parts}
    # Installed from source: what lists the files tells those of the source. Its name may be spelled in two ways.
    spelled = distribution.metadata["Name"].replace("-", "[-_]")
    tops = (distribution.read_text("top_level.txt") or "").split()
    patterns = [f"{spelled}-*.egg-info", *(pattern for top in tops for pattern in (top, f"{top}.*"))]
    return {(path.name,) for pattern in patterns for path in place.glob(pattern)}


@functools.cache
def owners() -> Mapping[str, frozenset[str]]:
    """Names of the distributions that have files below a path of one or more parts ("google/protobuf", "numpy").

    Paths are as deep as it takes until a single distribution is left, four parts at most.
    """
    names_below: defaultdict[str, set[str]] = defaultdict(set)
    for name, distribution in installed().items():
        for parts in _paths(distribution):
            for depth in range(1, min(len(parts), 4) + 1):
                names_below["/".join(parts[:depth])].add(name)
    return {path: frozenset(names) for path, names in names_below.items()}


def providers(module: str) -> frozenset[str]:
    """The distributions that may provide a module: those of its longest name that only some of them have."""
    parts = module.split(".")
    for depth in range(len(parts), 0, -1):
        path = "/".join(parts[:depth])
        names = owners().get(path) or owners().get(f"{path}.py")
        if names:
            return names
        shared = [
            names for file, names in owners().items() if file.startswith(f"{path}.") and file.endswith(".so")
        ]
        if shared:
            return shared[0]
    return frozenset()


class Environment:
    """A virtual environment in a folder, empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=300)
        [self.packages] = folder.glob("lib/python*/site-packages")

    def install(self, built: Path, extra: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Installs the wheel with an extra, at the versions of the lock. With "--no-index" pip only settles whether
        what is linked is enough."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self.folder)]
        wanted = ["-q", "-c", str(CHECKOUT / "requirements.lock"), f"{built}[{extra}]"]
        command = [*pip, "install", *options, *wanted]
        return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)

    def link(self, brought: Iterable[Distribution]) -> None:
        """Links distributions of this environment."""
        for distribution in brought:
            self._link(distribution)

    def _link(self, distribution: Distribution) -> None:
        root = Path(str(distribution.locate_file("")))
        for parts in _paths(distribution):
            # The highest folder that no other distribution has files in.
            depths = range(1, min(len(parts), 4) + 1)
            whole = [depth for depth in depths if len(owners()["/".join(parts[:depth])]) == 1]
            part = Path(*parts[: whole[0]] if whole else parts)
            link = self.packages / part
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(root / part)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.folder / "bin" / arguments[0]), *arguments[1:]]
