"""Makes a workspace: the marker, the locks of the installed platform, and the files that a repository wants.

A file that is there already is never touched, but for the two locks, which are the platform's: in a workspace `init`
renews them after an upgrade. Nothing is installed and nothing is fetched.
"""

from __future__ import annotations

import dataclasses
from importlib import metadata
from pathlib import Path

from pipelines.base import whole
from pipelines.base.errors import ProjectError
from pipelines.base.paths import CHECKOUT, MARKER, lock

TEMPLATE = Path(__file__).with_name("template")
SUFFIX = ".tmpl"
# Names of templates whose place in the workspace is another one: folders, and names with a dot that a wheel leaves out.
PLACES = {
    "gitignore": ".gitignore",
    "check.yml": ".github/workflows/check.yml",
    "pipelines.md": "pipelines/README.md",
    "conftest.py": "tests/conftest.py",
    "test_features.py": "tests/test_features.py",
    "test_model.py": "tests/test_model.py",
}
LOCKS = ("requirements.lock", "requirements-airflow.lock")
DISTRIBUTION = "tfx-viaduct"


@dataclasses.dataclass(frozen=True)
class Made:
    """What `make` did: paths below the folder."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    renewed: tuple[str, ...]


def version() -> str:
    """The platform's, as it is installed. Raises ProjectError for a checkout that was never installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise ProjectError(
            f"{DISTRIBUTION} is not installed (this is a checkout in {CHECKOUT}), so there is no version to pin. Do: "
            "pip install --no-deps -e . there."
        ) from None


def make(folder: Path) -> Made:
    """A workspace in `folder`, which is made if need be; in a workspace the locks are renewed and what was deleted is
    not made again. Raises ProjectError for a folder that cannot be one."""
    _check(folder)
    again = (folder / MARKER).is_file()
    texts = {} if again else _templates()
    written: list[str] = []
    kept: list[str] = []
    renewed: list[str] = []
    for name in LOCKS:
        if _write(folder / name, _locked(name)):
            (renewed if again else written).append(name)
    for name, text in texts.items():
        if (folder / name).exists():
            kept.append(name)
        else:
            _write(folder / name, text)
            written.append(name)
    # Last, so that what was interrupted is begun anew.
    if not again:
        _write(
            folder / MARKER,
            f"# The mark of a workspace of Viaduct: its pipelines/ are found.\nmade_with = {version()!r}\n",
        )
        written.append(MARKER)
    return Made(folder, tuple(sorted(written)), tuple(sorted(kept)), tuple(renewed))


def _check(folder: Path) -> None:
    if (folder / "pipelines" / "base").exists() or folder == CHECKOUT:
        raise ProjectError(
            f"{folder} is a checkout of Viaduct, which is a workspace itself; choose another folder."
        )
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file; expected a folder, or a name for a new one.")
    around = next((above for above in folder.parents if (above / MARKER).is_file()), None)
    if around is not None:
        raise ProjectError(f"{folder} lies in the workspace {around}; choose a folder outside of it.")
    if (folder / "pipelines" / "__init__.py").exists():
        raise ProjectError(
            f"{folder}/pipelines is a Python package (it has an __init__.py), which would hide the platform's; choose "
            "another folder, or remove that file."
        )


def _locked(name: str) -> str:
    """The platform's lock with the platform itself in front, so that installing it is the whole set-up."""
    head = f"# Of {DISTRIBUTION} {version()}; `viaduct init` renews it after an upgrade. Your own: requirements.txt.\n"
    return f"{head}{DISTRIBUTION}=={version()}\n{lock(name).read_text(encoding='utf-8')}"


def _templates() -> dict[str, str]:
    names = {file.name.removesuffix(SUFFIX): file for file in sorted(TEMPLATE.glob(f"*{SUFFIX}"))}
    return {PLACES.get(name, name): file.read_text(encoding="utf-8") for name, file in names.items()}


def _write(file: Path, text: str) -> bool:
    """Whether the file was another one before."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole.write(file, text)
    except OSError as error:
        raise ProjectError(f"{file} could not be written: {error}") from error
    return True
