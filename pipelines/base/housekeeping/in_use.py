"""Which pushed versions are in use: served, labelled, or part of a release. Reads files and processes; asks no server.

A version is served where it is the newest of its name, or where a server's configuration says so: those in
HOME/serving (`*.config`), those that running servers of this machine were given, and those named to `gc --config`.
Configurations are read loosely: what cannot be understood keeps more, never less.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines.base.errors import ViaductError

CONFIG_FLAG = "--model_config_file"
_CONFIG = re.compile(r"\bconfig\s*:?\s*\{")
_BASE = re.compile(r"base_path\s*:\s*(?:\"([^\"]*)\"|'([^']*)')")
_LABEL = re.compile(
    r"version_labels\s*:?\s*\{[^}]*?key\s*:\s*[\"']([^\"']*)[\"'][^}]*?value\s*:\s*(\d+)", re.DOTALL
)
_SPECIFIC = re.compile(r"\bversions\s*:\s*(\[[\d\s,]*\]|\d+)")
_LATEST = re.compile(r"\bnum_versions\s*:\s*(\d+)")
_ALL = re.compile(r"\ball\s*:?\s*\{")


def versions(folder: Path) -> list[int]:
    """The pushed versions in a served folder, oldest first."""
    try:
        return sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal() and p.is_dir())
    except OSError:
        return []


def reasons(folder: Path, configs: Iterable[str]) -> dict[int, str]:
    """{version: why it is in use} of the served folder; `configs` are the texts of servers' configurations."""
    there = versions(folder)
    found: dict[int, str] = {}
    if there:
        found[there[-1]] = "served: the newest"
    for version, why in _released(folder):
        found.setdefault(version, why)
    for text in configs:
        for version, why in _configured(text, folder, there):
            found.setdefault(version, why)
    return {version: why for version, why in found.items() if version in there}


def _released(folder: Path) -> Iterator[tuple[int, str]]:
    """Both sides of the last release, and what waits under a standing plan."""
    release = folder / ".release"
    plan = _json(release / "plan.json")
    files = sorted(
        {f.name: f for part in ("copy", "releases") for f in (release / part).glob("*.json")}.items()
    )
    last = 0
    if files:
        record = _json(files[-1][1])
        # A record that cannot be read names its candidate still.
        named = re.fullmatch(r"\d+-(\d+)\.json", files[-1][0])
        numbers = [record.get("baseline"), record.get("candidate"), int(named[1]) if named else None]
        for number in numbers:
            if isinstance(number, int):
                last = max(last, number)
                yield number, f"released: {record.get('state', 'a side of the last release')}"
    if plan:
        stable = plan.get("stable")
        if isinstance(stable, int):
            last = max(last, stable)
            yield stable, "released: stable"
        yield from ((v, "waits for its release") for v in versions(folder) if v > last)


def _configured(text: str, folder: Path, there: list[int]) -> Iterator[tuple[int, str]]:
    for block in _blocks(text):
        base = _BASE.search(block)
        if base is None or not _same(base[1] or base[2], folder):
            continue
        yield from ((int(number), f"labelled {label!r}") for label, number in _LABEL.findall(block))
        if _ALL.search(block):
            yield from ((v, "served: all versions are") for v in there)
        specific = [int(n) for found in _SPECIFIC.findall(block) for n in re.findall(r"\d+", found)]
        yield from ((v, "served: its server's configuration names it") for v in specific)
        latest = max((int(n) for n in _LATEST.findall(block)), default=1)
        yield from ((v, f"served: one of the newest {latest}") for v in there[-latest:])


def _blocks(text: str) -> Iterator[str]:
    """The `config { ... }` parts; what follows the last brace that fits belongs to the last one."""
    text = re.sub(r"#.*", "", text)
    starts = [match.start() for match in _CONFIG.finditer(text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end]


def _same(base: str, folder: Path) -> bool:
    path = Path(base.removeprefix("file://"))
    # A container may see HOME elsewhere: then the last two names of the path decide.
    return os.path.realpath(path) == os.path.realpath(folder) or path.parts[-2:] == folder.parts[-2:]


def configurations(home: Path, named: Iterable[Path] = ()) -> list[str]:
    """Texts of all configurations that can be found. Raises ViaductError for a named one that cannot be read."""
    texts = []
    for file in named:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ViaductError(f"--config {file} cannot be read: {error}.") from error
    found = [*(home / "serving").glob("*.config"), *_given_to_servers()]
    for path in dict.fromkeys(found):
        try:
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return texts


def _given_to_servers() -> Iterator[Path]:
    """Configuration files that processes of this machine were started with."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            folder = Path(os.readlink(process / "cwd"))
        except OSError:
            continue
        for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
            name, sign, value = argument.partition("=")
            if name == CONFIG_FLAG and (value if sign else following):
                yield folder / (value if sign else following)


def _json(file: Path) -> dict[str, object]:
    try:
        read = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
