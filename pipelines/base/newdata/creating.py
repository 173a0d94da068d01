"""`viaduct new NAME --data ...`, step by step: read, judge, measure, write the project, take its data in, compile."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from pipelines.base import data, home, registry, scaffold, whole
from pipelines.base.errors import ProjectError
from pipelines.base.newdata import findings, querying, reading, target, writing
from pipelines.base.newdata.findings import Findings
from pipelines.base.paths import Paths


def create(
    name: str,
    source: str,
    label: str | None = None,
    task: str | None = None,
    keep: Sequence[str] = (),
    *,
    query: str = "",
    split_by: str = "",
) -> Findings:
    """Makes `pipelines/<name>` about the file or folder `source`, and copies its rows to HOME as the project's data; or
    about the rows of the file `query` in the database `source`, which stay there.

    Raises ViaductError and leaves nothing; but where only the copy fails, the project stays, and `viaduct data NAME`
    copies again.
    """
    scaffold.check_free(name)
    paths = Paths.of(name)
    if paths.data.exists():
        raise ProjectError(
            f"{paths.data} holds data of an earlier project {name!r}. Remove it, or choose another name."
        )
    if query and not querying.is_address(source):
        raise ProjectError(f"--query needs --data postgresql://USER@HOST/DATABASE; got --data {source!r}.")
    read = querying.read(source, query) if querying.is_address(source) else reading.read(Path(source))
    found = findings.find(name, read, target.choose(read, label, task), keep, split_by)
    folder = paths.source
    try:
        with whole.folder(folder) as aside:
            writing.write(found, aside)
    except OSError as error:
        raise ProjectError(f"pipelines/{name} could not be written: {error}") from error
    importlib.invalidate_caches()
    home.make(paths.home)
    if not read.address:
        data.fetch(registry.get(name), paths)
    return found
