"""The folder that the artifacts of one metadata store lie in, so that two stores never write into one another's.

A store numbers its executions from 1, and TFX names an artifact's folder by the number. Under one HOME there can be
several: SQLite and the database of an Airflow, one that was deleted and made anew, another VIADUCT_METADATA. The
first to write takes HOME/pipelines/<project> and leaves its mark there; any other gets a folder of its own below it.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.paths import Paths

if TYPE_CHECKING:
    from ml_metadata import MetadataStore

MARK = ".store"
KIND, NAME, PROPERTY = "viaduct_store", "store", "identity"


def of(paths: Paths, store: MetadataStore) -> Path:
    """The folder for the project's artifacts of `store`: always the same, and made if it is not the common one."""
    common = paths.pipeline_root
    # Asked first: a store that has no folder yet gets one before anything of the project is recorded in it.
    recorded = store.get_context_by_type_and_name("pipeline", paths.project) is not None
    identity = _identity(store)
    own = common / f"store-{identity}"
    if own.is_dir():
        return own
    mark = common / MARK
    if not mark.exists() and (recorded or not _holds_artifacts(common)):
        common.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), mark.open("x") as file:
            file.write(identity)
    if mark.exists() and mark.read_text() == identity:
        return common
    own.mkdir(parents=True, exist_ok=True)
    return own


def find(paths: Paths, store: MetadataStore) -> Path | None:
    """What `of` has given to this store before; None if it has no folder yet. Makes and writes nothing."""
    context = store.get_context_by_type_and_name(KIND, NAME)
    if context is None:
        return None
    common, identity = paths.pipeline_root, str(context.properties[PROPERTY].string_value)
    own, mark = common / f"store-{identity}", common / MARK
    if own.is_dir():
        return own
    return common if mark.exists() and mark.read_text() == identity else None


def _holds_artifacts(folder: Path) -> bool:
    """Whether a node has written here; copies of the schema and folders of other stores are none of a node's."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else iter(())
    return any(name != "schemas" and not name.startswith((".", "store-")) for name in names)


def _identity(store: MetadataStore) -> str:
    """A few characters that tell this store from any other, also from one that is made anew at its address."""
    from ml_metadata import errors
    from ml_metadata.proto import metadata_store_pb2 as pb

    context = store.get_context_by_type_and_name(KIND, NAME)
    if context is None:
        kind = pb.ContextType(name=KIND)
        kind.properties[PROPERTY] = pb.STRING
        context = pb.Context(type_id=store.put_context_type(kind), name=NAME)
        context.properties[PROPERTY].string_value = secrets.token_hex(4)
        with contextlib.suppress(errors.AlreadyExistsError):
            store.put_contexts([context])
        context = store.get_context_by_type_and_name(KIND, NAME)
    return str(context.properties[PROPERTY].string_value)
