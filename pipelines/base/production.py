"""Under which name a run's model is served: the project's own name is production, and nothing else ever gets it.

Production is a model of real data, of the card's first variant and the full profile. What differs stands in the name;
each name has a folder, a name in the model server and a line of last blessed models of its own:

    card_fraud              production
    card_fraud.quick        real data, the quick profile (where it does less than the full one; else production as well)
    card_fraud.sample       a made-up sample (its usual profile is the quick one; else card_fraud.sample.full)
    digits.logistic         another variant, and likewise digits.logistic.quick, digits.logistic.sample, ...

Made up is what lies under HOME/samples, and what `viaduct data --sample` has marked, wherever it was copied to. Rows
that somebody generated otherwise cannot be told from real ones. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.base import run_record
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.paths import Paths
from pipelines.base.project import FULL, PROFILES, QUICK, SAMPLE, Project
from pipelines.base.settings import Settings

# In a span's folder: its rows are made up. ExampleGens pass hidden files over.
MARK = ".made-up"
TAKES = f"production takes real data, the card's first variant and --profile {FULL} only"


def served_name(card: Project, paths: Paths, settings: Settings) -> str:
    """The name that the model of a run with `settings` is served under; `data` names what it trains on."""
    return _name(card, settings.variant, settings.profile, made_up=is_made_up(paths, settings.data))


def push_folder(card: Project, paths: Paths, settings: Settings) -> Path:
    """The folder that gets the run's model: HOME/serving/<served name>."""
    return paths.served(served_name(card, paths, settings))


def is_made_up(paths: Paths, data: str) -> bool:
    """Whether `data`, or HOME/data/<project> for '', is or holds a sample that somebody's `sample()` made up."""
    given = (Path(data) if data else paths.data).resolve()
    samples = paths.samples.parent.resolve()
    if given.is_relative_to(samples):
        return True
    folder = given if given.is_dir() else given.parent
    return (folder / MARK).exists() or any(folder.glob(f"span-*/{MARK}"))


def names(card: Project) -> list[str]:
    """All names that models of the project may be served under, production first."""
    kinds = [(profile, made_up) for made_up in (False, True) for profile in reversed(PROFILES)]
    every = (
        _name(card, variant.name, profile, made_up=made_up)
        for variant in card.variants
        for profile, made_up in kinds
    )
    return list(dict.fromkeys(every))


def check_name(card: Project, paths: Paths, name: str) -> str:
    """`name`, if models may be served under it, or are (of a variant that is gone). Raises ProjectError for others."""
    known = dict.fromkeys([*names(card), *pushed_names(paths)])
    if name not in known:
        raise ProjectError(close_match("Model", name, known))
    return name


def project_of(name: str) -> str:
    """The project whose models are served under `name`."""
    return name.partition(".")[0]


def pushed_names(paths: Paths) -> list[str]:
    """The names of the project under which there is a version, production first."""
    folder = paths.serving.parent
    found = [folder / paths.project, *sorted(folder.glob(f"{paths.project}.*"))]
    return [path.name for path in found if any(_versions(path))]


def told_version(name: str, version: str) -> str:
    """A version for people: '17' in production, '17 (logistic.sample)' under another name."""
    kind = name.partition(".")[2]
    return f"{version} ({kind})" if kind else version


def describe(name: str) -> str:
    """What a name means, in a sentence for people."""
    project, *parts = name.split(".")
    if not parts:
        return f"Served as {project}: production."
    said = {SAMPLE: "a made-up sample", QUICK: "the quick profile", FULL: "the full profile"}
    what = ", ".join(said.get(part, f"variant {part}") for part in parts)
    return f"Served as {name} ({what}). What is served as {project} stays: {TAKES}."


def left_by_earlier_releases(card: Project, paths: Paths) -> str:
    """What to tell of a served version that would have another name today; '' where production is what it says.

    Earlier releases pushed first samples, quick profiles and all variants to the project's own name. Nothing is
    moved: who serves it may want it. A version that no record tells of counts as production.
    """
    newest = max(_versions(paths.serving), default=None)
    for record in run_record.read_all(paths) if newest is not None else ():
        if Path(record.pushed) == paths.serving / str(newest):
            name = name_of_settings(card, paths, record.settings)
            if name != card.name:
                return (
                    f"{record.pushed} is served as {card.name}, and is no production model: an earlier release pushed "
                    f"it there in run {record.run_id}. It is left alone; its place today is {paths.served(name)}."
                )
    return ""


def name_of_settings(card: Project, paths: Paths, settings: Mapping[str, Any]) -> str:
    """`served_name` for settings as a run's record keeps them; production's where they do not tell."""
    variant, profile = settings.get("variant"), settings.get("profile")
    if variant is None or profile not in PROFILES:
        return card.name
    return _name(card, str(variant), str(profile), made_up=is_made_up(paths, str(settings.get("data", ""))))


def _name(card: Project, variant: str, profile: str, *, made_up: bool) -> str:
    parts = [card.name]
    if variant != card.variants[0].name:
        parts.append(variant)
    if made_up:
        parts.append(SAMPLE)
    # Where the quick profile does on real data what the full one does, as in projects of `new --data`, both are it.
    alike = replace(card.quick, sample_rows=card.full.sample_rows) == card.full
    if profile != (QUICK if made_up else FULL) and (made_up or not alike):
        parts.append(profile)
    return ".".join(parts)


def _versions(folder: Path) -> Iterator[int]:
    if folder.is_dir():
        yield from (int(path.name) for path in folder.iterdir() if path.name.isdecimal())
