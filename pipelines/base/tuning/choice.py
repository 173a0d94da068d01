"""What was tuned, found in ML Metadata: the newest choice for a served name, for `viaduct run --tuned`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.base import metadata, production
from pipelines.base.errors import ProjectError
from pipelines.base.paths import Paths, metadata_url
from pipelines.base.project import Project, Scalar
from pipelines.base.settings import Settings
from pipelines.base.summary import custom_property, tuned_in_words

KIND, FILE, RESULTS_FILE = "HyperParameters", "best_hyperparameters.txt", "results.json"


@dataclass(frozen=True)
class Choice:
    """Parameters that a Tuner chose: the artifact's folder, and what it says of them."""

    uri: str
    served: str
    parameters: Mapping[str, Scalar]
    told: str


def newest(paths: Paths, served: str) -> Choice:
    """The newest choice made for models served as `served`. Raises ProjectError, naming what there is, if none was."""
    found = _live(paths)
    mine = [artifact for artifact in found if custom_property(artifact, "served") == served]
    if not mine:
        others = sorted({str(custom_property(artifact, "served")) for artifact in found})
        there = f" Tuned are: {', '.join(others)}." if others else ""
        raise ProjectError(
            f"{served} was never tuned: no such choice is recorded.{there} Do: viaduct tune {paths.project}, with the "
            "same variant, profile and data."
        )
    newest_one = max(mine, key=lambda artifact: artifact.id)
    try:
        parameters = json.loads(Path(newest_one.uri, FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"{served}: what was tuned cannot be read in {newest_one.uri}: {error}. Do: viaduct tune {paths.project}"
        ) from error
    return Choice(newest_one.uri, served, parameters, tuned_in_words(newest_one))


def _live(paths: Paths) -> list[Any]:
    store = metadata.store(metadata_url(paths.home))
    context = store.get_context_by_type_and_name("pipeline", paths.project)
    kinds = {kind.id: kind.name for kind in store.get_artifact_types()}
    artifacts = store.get_artifacts_by_context(context.id) if context is not None else []
    return [one for one in artifacts if kinds.get(one.type_id) == KIND and one.state == one.LIVE]


def applied(card: Project, paths: Paths, settings: Settings, said: Mapping[str, str]) -> tuple[Settings, str]:
    """`settings`, which name the data, with the parameters that were chosen for such models, and what to say of them.

    What `--set` said goes before. Raises ProjectError if they were never tuned.
    """
    choice = newest(paths, production.served_name(card, paths, settings))
    known = {name: value for name, value in choice.parameters.items() if name in settings.parameters}
    kept = {name: value for name, value in known.items() if name not in said}
    values = ", ".join(f"{n}={v:.4g}" if isinstance(v, float) else f"{n}={v}" for n, v in kept.items())
    changed = replace(settings, parameters={**settings.parameters, **kept}, tuned=choice.uri)
    return changed, f"Tuned: {values} ({choice.told})."
