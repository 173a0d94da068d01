"""faces's pipeline: pictures of people through the project's reader, then the spine and a report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.base.digest import source_digest
from pipelines.base.paths import Paths
from pipelines.base.settings import Settings
from pipelines.base.spine import assemble, raw, report, spine
from pipelines.faces import weights
from pipelines.faces.project import PROJECT
from pipelines.faces.rows import SPLITS, SUFFIXES

if TYPE_CHECKING:
    from tfx import v1 as tfx


def create_pipeline(paths: Paths, settings: Settings) -> tfx.dsl.Pipeline:
    """The fit sees `train`, threshold and curves `tune`, the Evaluator `eval`: three sets of people."""
    from components.function_example_gen.component import FunctionExampleGen

    base = Path(settings.data or paths.data)
    example_gen = FunctionExampleGen(
        **raw(paths, settings, "*/*" if has_person_folders(base) else "*.zip"),
        function="pipelines.faces.rows.read_rows",
        code=source_digest("pipelines.faces.rows"),
        splits=SPLITS,
    )
    settings = with_weights(settings, paths)
    nodes = spine(PROJECT, paths, settings, example_gen, tune_split="tune")
    return assemble(PROJECT, paths, settings, [*nodes, report(PROJECT, settings, nodes)])


def has_person_folders(base: Path) -> bool:
    """Whether the raw data are folders of pictures (also in spans) and not archives."""
    zips = any(base.glob("*.zip")) or any(base.glob("span-*/*.zip"))
    return not zips and any(
        file.suffix.lower() in SUFFIXES for pattern in ("*/*", "span-*/*/*") for file in base.glob(pattern)
    )


def with_weights(settings: Settings, paths: Paths) -> Settings:
    """`settings` with the folder of pretrained weights as a whole path, their digest and licence, if there are any.

    The folder is what `--set weights` names, else one called `weights` in or beside the data; in the parameters its
    digest makes other weights another run, and lineage says which they were. Raises ProjectError for files that are
    missing in it or are others than the card's.
    """
    named = str(settings.parameters["weights"])
    folder = Path(named).expanduser().absolute() if named else _beside(Path(settings.data or paths.data))
    if folder is None:
        return settings
    digests = weights.digests(folder)
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    found = {"weights": str(folder), "weights_sha256": digest, "weights_licence": weights.LICENCE}
    return dataclasses.replace(settings, parameters={**settings.parameters, **found})


def _beside(data: Path) -> Path | None:
    """The folder `weights` in the newest span of the data, in them, or beside them."""
    spans = sorted(data.glob("span-*"), key=lambda span: span.stat().st_mtime, reverse=True)
    places = [span / "weights" for span in spans] + [data / "weights", data.parent / "weights"]
    return next((place for place in places if (place / "mtcnn").is_dir()), None)
