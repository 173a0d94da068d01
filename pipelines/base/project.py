"""A project's card for machines: its question, variants, bars, data source and schedule.

Frozen dataclasses that check themselves on construction, so that a wrong card fails at import with the
field's name. Standard library only: Airflow's DAG file, the dashboards and `viaduct list` read cards
without TensorFlow. The card holds facts; it does not build pipelines.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Scalar = bool | int | float | str
PROFILES = ("quick", "full")


class ProjectError(Exception):
    """A project, or what a user asked of it, is wrong; the text says what, what was expected and what to do."""


def close_match(kind: str, got: str, known: Iterable[str]) -> str:
    """`Variant 'cnm' does not exist. Did you mean 'cnn'? Known: ...` for a name that is not among `known`."""
    names = sorted(known)
    close = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{kind} {got!r} does not exist.{hint} Known: {', '.join(names) or 'none'}."


def _require(condition: bool, owner: str, field_name: str, got: object, expected: str) -> None:
    if not condition:
        raise ProjectError(f"{owner}: {field_name} is {got!r}; expected {expected}.")


@dataclass(frozen=True)
class DataSource:
    """Where the official data comes from and under which terms.

    `size` is human text ("144 MB, 284,807 rows"); `url` a page or file; `command` what fetches it where a
    plain download cannot; `sha256` maps file names to digests where they are known.
    """

    title: str
    url: str
    licence: str
    size: str
    command: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """A metric's value that a model must reach to be pushed. Exactly one of `at_least`, `at_most`.

    `max_loss` is how much worse than the last blessed model the metric may become (same unit, >= 0);
    None leaves the metric out of that comparison.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    max_loss: float | None = None

    def __post_init__(self) -> None:
        _require(
            (self.at_least is None) != (self.at_most is None),
            f"Bar({self.metric!r})",
            "at_least, at_most",
            (self.at_least, self.at_most),
            "exactly one of the two",
        )
        _require(
            self.max_loss is None or self.max_loss >= 0,
            f"Bar({self.metric!r})",
            "max_loss",
            self.max_loss,
            ">= 0",
        )

    @property
    def bound(self) -> float:
        """The number to reach."""
        return self.at_least if self.at_least is not None else self.at_most  # type: ignore[return-value]

    def met_by(self, value: float) -> bool:
        """Whether `value` passes; NaN never does."""
        return value >= self.bound if self.at_least is not None else value <= self.bound

    def __str__(self) -> str:
        return f"{self.metric} {'>=' if self.at_least is not None else '<='} {self.bound:g}"


@dataclass(frozen=True)
class Variant:
    """A named set of hyper-parameters. The first variant of a project is its default."""

    name: str
    about: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """How much work a run is: its bars, the parameters it overrides, the rows `sample()` makes for it."""

    bars: tuple[Bar, ...]
    sample_rows: int
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    variant_parameters: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    variant_bars: Mapping[str, tuple[Bar, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What the Evaluator measures.

    `metrics` are TFMA or Keras metric class names, optionally with a JSON config after a colon
    (`Recall:{"thresholds": 0.5}`); bars use the names they have in TFMA's results (`recall`).
    `slices` are tuples of feature names (the overall slice is always there); `preprocessing` names signatures
    of the model that compute features to slice by. Where the measure is no
    metric over rows, `function` is the import path of the project's own evaluation function.
    """

    task: Literal["binary", "multiclass", "regression", "own"]
    label_key: str = ""
    prediction_key: str = ""
    metrics: tuple[str, ...] = ()
    slices: tuple[tuple[str, ...], ...] = ()
    signature: str = "serve_examples"
    preprocessing: tuple[str, ...] = ()
    function: str = ""


@dataclass(frozen=True)
class Project:
    """The card. `name` is the folder, the pipeline, the DAG and the served model.

    `schedule` is cron text or "@data" (each new span starts a run); `start` the first date it holds for, as an
    ISO date. A scheduler tries a node again `retries` times and ends it after `node_hours`.
    """

    name: str
    title: str
    question: str
    model: str
    data: DataSource
    variants: tuple[Variant, ...]
    quick: Profile
    full: Profile
    evaluation: Evaluation
    to_beat: str = ""
    schedule: str | None = None
    spans: Literal["none", "counter", "date"] = "none"
    late_spans: Literal["wait", "skip"] = "wait"
    owner: str = "viaduct"
    tags: tuple[str, ...] = ()
    heavy: tuple[str, ...] = ("Transform", "Trainer", "Evaluator")
    start: str = "2026-01-01"
    retries: int = 2
    node_hours: float = 6.0

    def __post_init__(self) -> None:
        owner = f"Project({self.name!r})"
        _require(
            bool(re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.name)),
            owner,
            "name",
            self.name,
            "lower_snake_case",
        )
        _require(self.question.endswith("?"), owner, "question", self.question, "a question ending in '?'")
        _require(
            bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", self.start)), owner, "start", self.start, "YYYY-MM-DD"
        )
        _require(self.retries >= 0, owner, "retries", self.retries, "0 or more")
        _require(self.node_hours > 0, owner, "node_hours", self.node_hours, "a positive number of hours")
        names = [variant.name for variant in self.variants]
        _require(
            bool(names) and len(set(names)) == len(names),
            owner,
            "variants",
            names,
            "one or more, distinct names",
        )
        for profile_name in PROFILES:
            profile = self.profile(profile_name)
            _require(bool(profile.bars), owner, f"{profile_name}.bars", profile.bars, "at least one bar")
            _require(
                profile.sample_rows > 0,
                owner,
                f"{profile_name}.sample_rows",
                profile.sample_rows,
                "a positive number",
            )
            for key in (*profile.variant_parameters, *profile.variant_bars):
                _require(key in names, owner, f"{profile_name}: variant {key!r}", key, f"one of {names}")
            known = self._known_parameters()
            for parameters in (profile.parameters, *profile.variant_parameters.values()):
                for key in parameters:
                    _require(
                        key in known, owner, f"{profile_name}.parameters", key, f"one of {sorted(known)}"
                    )

    def _known_parameters(self) -> set[str]:
        return {key for variant in self.variants for key in variant.parameters}

    def profile(self, name: str) -> Profile:
        """The profile called `name` ('quick' or 'full'). Raises ProjectError for any other."""
        if name not in PROFILES:
            raise ProjectError(close_match("Profile", name, PROFILES))
        return self.quick if name == "quick" else self.full

    def variant(self, name: str | None) -> Variant:
        """The variant called `name`, or the default for None. Raises ProjectError with a close match."""
        if name is None:
            return self.variants[0]
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise ProjectError(
            f"{self.name}: " + close_match("Variant", name, [variant.name for variant in self.variants])
        )

    def bars(self, profile: str, variant: str | None = None) -> tuple[Bar, ...]:
        """The bars of a profile; a variant may have its own."""
        chosen = self.profile(profile)
        return tuple(chosen.variant_bars.get(self.variant(variant).name, chosen.bars))


@dataclass(frozen=True)
class Settings:
    """What one run was asked to do: all that a compiled pipeline depends on besides the code.

    `parameters` are the variant's, overridden by the profile's, overridden by `--set`. `data` is a file or
    folder with raw data, or '' for HOME/data/<project>. `span` picks one delivery of data (None: the latest).
    """

    variant: str
    profile: str
    parameters: Mapping[str, Scalar]
    data: str = ""
    span: int | None = None
    beam_args: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        project: Project,
        variant: str | None = None,
        profile: str = "quick",
        overrides: Mapping[str, str | Scalar] | None = None,
        **rest: Any,
    ) -> Settings:
        """Settings for `project`; texts in `overrides` are read as the type of the parameter they replace."""
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
        return cls(variant=chosen.name, profile=profile, parameters=parameters, **rest)

    def to_json(self) -> str:
        """One line of JSON with sorted keys, for records and hashes."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=dict)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "beam_args": tuple(values.get("beam_args", ()))})


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
