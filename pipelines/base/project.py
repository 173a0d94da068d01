"""A project's card for machines: its question, variants, bars, data source and schedule.

Frozen dataclasses that check themselves on construction, so that a wrong card fails at import with the
field's name. Standard library only: Airflow's DAG file, the dashboards and `viaduct list` read cards
without TensorFlow. The card holds facts; it does not build pipelines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.base.csv_reading import CsvReading
from pipelines.base.errors import ProjectError, close_match
from pipelines.base.rollout import Rehearsal, Release, Watch
from pipelines.base.rollout import require as _require
from pipelines.base.search import Search

__all__ = [
    "FULL", "ON_DATA", "PROFILES", "QUICK", "SAMPLE", "Bar", "DataSource", "Evaluation", "Profile", "Project",
    "Rehearsal", "Release", "Scalar", "Variant", "Watch",
]  # fmt: skip

Scalar = bool | int | float | str
QUICK, FULL = PROFILES = ("quick", "full")
SAMPLE = "sample"  # in the name of what was made of made-up data (see production.py)
ON_DATA = "@data"  # the schedule of a project that starts when a span arrives


@dataclass(frozen=True)
class DataSource:
    """Where the official data comes from and under which terms.

    `size` is human text ("144 MB, 284,807 rows"); `url` a page or file; `command` what fetches it where a
    plain download cannot; `sha256` maps file names to digests where they are known. `database`
    is postgresql://USER@HOST/DATABASE, without a password, where the rows are those of the query in the project's
    query.sql: a run without `--data` reads them as they are then.
    """

    title: str
    url: str
    licence: str
    size: str
    command: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    database: str = ""


@dataclass(frozen=True)
class Bar:
    """A metric's value that a model must reach to be pushed. Exactly one of `at_least`, `at_most`.

    `max_loss` is how much worse than the last blessed model the metric may become (same unit, >= 0) before it counts
    against the model, once it is shown; None leaves the metric out of that comparison. `sure` asks the bar of the
    worse end of the metric's 95 % interval, not of the measured value.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    max_loss: float | None = None
    sure: bool = False

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
        """Whether `value` passes; NaN and infinities never do."""
        if not math.isfinite(value):
            return False
        return value >= self.bound if self.at_least is not None else value <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.at_least is not None else "<="
        return f"{self.metric} {sign} {self.bound:g}{' for sure' if self.sure else ''}"


@dataclass(frozen=True)
class Variant:
    """A named set of hyper-parameters. The first variant of a project is its default, and production's.

    `search` says what `viaduct tune` may change of them; without one the variant is not tuned.
    """

    name: str
    about: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    search: Search | None = None

    def __post_init__(self) -> None:
        if self.search is not None:
            self.search.check(f"Variant({self.name!r})", self.parameters)


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
    of the model that compute features to slice by. Slices with `slice_rows` rows or more are judged: none may be
    shown to miss a bar or to lose more than its `max_loss`; smaller ones are reported, and with 0 all are. Where the
    measure is no metric over rows, `function` is the import path of the project's own evaluation function.
    `classes` are what people call the label's values 0, 1, ... in that order; () where the numbers are all there is.
    `raw_label_key` is the column of the raw data that holds the label, where it is not called `label_key`.
    """

    task: Literal["binary", "multiclass", "regression", "own"]
    label_key: str = ""
    prediction_key: str = ""
    metrics: tuple[str, ...] = ()
    slices: tuple[tuple[str, ...], ...] = ()
    signature: str = "serve_examples"
    preprocessing: tuple[str, ...] = ()
    function: str = ""
    slice_rows: int = 0
    classes: tuple[str, ...] = ()
    raw_label_key: str = ""

    def __post_init__(self) -> None:
        _require(self.slice_rows >= 0, "Evaluation", "slice_rows", self.slice_rows, "0 or more")
        _require(
            all(self.classes) and len(set(self.classes)) == len(self.classes) != 1,
            "Evaluation",
            "classes",
            self.classes,
            "two or more distinct names, or none",
        )
        _require(
            self.task != "binary" or len(self.classes) in (0, 2),
            "Evaluation",
            "classes",
            self.classes,
            "two names for a binary task, that of 0 first",
        )

    def class_name(self, value: str) -> str:
        """What people call the label's `value` ('3', '3.0'); the value itself where it has no name."""
        number = value.removesuffix(".0")
        known = number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(self.classes)
        return self.classes[int(number)] if known else value


@dataclass(frozen=True)
class Project:
    """The card. `name` is the folder, the pipeline, the DAG and the model that is served in production.

    `schedule` is cron text or "@data" (each new span starts a run); `start` the first date it holds for, as an
    ISO date. A scheduler tries a node again `retries` times and ends it after `node_hours`; with `approval` it asks a
    person before it pushes, and a run that has not ended `deadline_hours` after it was due is reported (None: never).
    `rivals` are metrics of the evaluation that a simpler way reaches on the same rows, with what that way is called.
    `csv` is how its CSV files are written, where that is not the usual way.
    Rows older than `retention_days` are taken away by `viaduct gc`, whatever else would keep them (None: never).
    With a `release` a pushed version takes no traffic until the server gives it some; None: all at once. With a
    `rehearsal` a blessed model is tried on a server of its own before it is pushed; None: it is not.
    `watch` is how `viaduct watch` looks after the served model; None: by its usual terms, and no DAG does.
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
    rivals: Mapping[str, str] = field(default_factory=dict)
    schedule: str | None = None
    spans: Literal["none", "counter", "date"] = "none"
    late_spans: Literal["wait", "skip"] = "wait"
    owner: str = "viaduct"
    tags: tuple[str, ...] = ()
    heavy: tuple[str, ...] = ("Transform", "Trainer", "Evaluator")
    start: str = "2026-01-01"
    retries: int = 2
    node_hours: float = 6.0
    approval: bool = False
    deadline_hours: float | None = None
    csv: CsvReading = field(default_factory=CsvReading)
    release: Release | None = None
    retention_days: int | None = None
    rehearsal: Rehearsal | None = None
    watch: Watch | None = None

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
        _require(
            self.deadline_hours is None or self.deadline_hours > 0,
            owner,
            "deadline_hours",
            self.deadline_hours,
            "None or a positive number of hours",
        )
        _require(
            self.retention_days is None or self.retention_days > 0,
            owner, "retention_days", self.retention_days, "None or a positive number of days",
        )  # fmt: skip
        _require(self.node_hours > 0, owner, "node_hours", self.node_hours, "a positive number of hours")
        names = [variant.name for variant in self.variants]
        _require(
            bool(names) and len(set(names)) == len(names),
            owner,
            "variants",
            names,
            "one or more, distinct names",
        )
        for name in names:
            good = re.fullmatch(r"[a-z][a-z0-9_]*", name) and name not in (*PROFILES, SAMPLE)
            _require(bool(good), owner, "variants", name, "lower_snake_case, and not quick, full or sample")
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
