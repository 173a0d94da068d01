"""What one run was asked to do: all that a compiled pipeline depends on besides the code.

Standard library only. `Settings.of` makes them from a card and what a user typed; they travel as JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.project import Project, Scalar


@dataclass(frozen=True)
class Settings:
    """What one run was asked to do: all that a compiled pipeline depends on besides the code.

    `parameters` are the variant's, overridden by the profile's, overridden by `--set`. `data` is a file or
    folder with raw data, or '' for HOME/data/<project>. `span` picks one delivery of data (None: the latest). `csv` is
    the card's, but for what was said for this run. `spark` is the master of a cluster whose `workers` train together.
    `engine` is the Spark master that makes what a project can have made there, '' for none.
    `search` is what `viaduct tune` looks for, as JSON (see tuning/nodes.py), and '' for a run; `tuned` the folder of
    the tuned parameters that a run takes, '' for none.
    """

    variant: str
    profile: str
    parameters: Mapping[str, Scalar]
    data: str = ""
    span: int | None = None
    beam_args: tuple[str, ...] = ()
    csv: CsvReading = field(default_factory=CsvReading)
    spark: str = ""
    workers: int = 0
    engine: str = ""
    search: str = ""
    tuned: str = ""

    @classmethod
    def of(
        cls,
        project: Project,
        variant: str | None = None,
        profile: str = "quick",
        overrides: Mapping[str, str | Scalar] | None = None,
        csv: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> Settings:
        """Settings for `project`; texts in `overrides` are read as the type of the parameter they replace.

        `csv` are fields of CsvReading that go before the card's.
        """
        chosen = project.variant(variant)
        profile_card = project.profile(profile)
        parameters = {
            **chosen.parameters,
            **{k: v for k, v in profile_card.parameters.items() if k in chosen.parameters},
            **profile_card.variant_parameters.get(chosen.name, {}),
        }
        for key, text in (overrides or {}).items():
            if key not in parameters:
                raise ProjectError(f"{project.name}: " + close_match("Parameter", key, parameters))
            parameters[key] = _read_as(parameters[key], text, f"{project.name}: parameter {key!r}")
        reading = project.csv.replaced(csv or {})
        return cls(variant=chosen.name, profile=profile, parameters=parameters, csv=reading, **rest)

    def to_json(self) -> str:
        """One line of JSON with sorted keys, for records and hashes."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=dict)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The inverse of `to_json`."""
        values = json.loads(text)
        reading = CsvReading.of(values.get("csv", {}))
        return cls(**{**values, "beam_args": tuple(values.get("beam_args", ())), "csv": reading})


def _read_as(default: Scalar, given: str | Scalar, owner: str) -> Scalar:
    kind = type(default)
    if not isinstance(given, str):
        given = json.dumps(given) if isinstance(given, bool) else str(given)
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[given.lower()]
        if kind is int:
            return int(given.replace("_", ""))
        return kind(given)
    except (KeyError, ValueError) as error:
        raise ProjectError(f"{owner} is {given!r}; expected {kind.__name__} like {default!r}.") from error
