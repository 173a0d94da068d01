"""The search space of a variant, declared on its card: which parameters tuning may change, how far, judged by what.

Frozen dataclasses that check themselves, and how `viaduct tune --set` changes them. Standard library only; searching
is pipelines.base.tuning's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipelines.base.errors import ProjectError, close_match

Value = bool | int | float | str


@dataclass(frozen=True)
class Between:
    """Numbers from `low` to `high`, both included; whole ones where the default is one. `log`: by their size."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        numbers = all(_is_number(end) and math.isfinite(end) for end in (self.low, self.high))
        if not numbers or not self.low < self.high:
            raise ProjectError(
                f"Between({self.low!r}, {self.high!r}): expected two numbers, the first below the second."
            )
        if self.log and self.low <= 0:
            raise ProjectError(f"Between({self.low!r}, {self.high!r}, log=True): expected numbers above 0.")

    def holds(self, value: Value) -> bool:
        """Whether a trial may have `value`."""
        return _is_number(value) and self.low <= float(value) <= self.high

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + (" (log)" if self.log else "")


@dataclass(frozen=True)
class OneOf:
    """One of some values, in no order."""

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.choices) < 2 or len(set(self.choices)) != len(self.choices):
            raise ProjectError(f"OneOf({self.choices!r}): expected two or more different values.")

    def holds(self, value: Value) -> bool:
        """Whether a trial may have `value`."""
        return value in self.choices

    def __str__(self) -> str:
        return ", ".join(map(str, self.choices))


Dimension = Between | OneOf


@dataclass(frozen=True)
class Search:
    """What tuning may change of a variant, and what it is judged by.

    `metric` is one of the evaluation's, measured on the split that the Trainer looks at, never on the Evaluator's;
    `maximise` says which way is better. `watch` names a figure of Keras' epochs by which trials that fall behind are
    ended early ('val_auc'; less is better of what ends in 'loss'); '' ends none.
    """

    metric: str
    space: Mapping[str, Dimension]
    maximise: bool = True
    watch: str = ""

    def __post_init__(self) -> None:
        if not self.metric or not self.space:
            raise ProjectError(
                f"Search({self.metric!r}, {dict(self.space)!r}): expected a metric and a space to search."
            )

    def check(self, owner: str, parameters: Mapping[str, Value]) -> None:
        """Raises ProjectError where the space does not fit the defaults `parameters`."""
        for name, dimension in self.space.items():
            if name not in parameters:
                raise ProjectError(f"{owner}: " + close_match("Parameter of the search", name, parameters))
            _check(f"{owner}: the search over {name!r}", dimension, parameters[name])
            if not dimension.holds(parameters[name]):
                raise ProjectError(
                    f"{owner}: the default of {name!r} is {parameters[name]!r}, outside of its search {dimension}. "
                    "The default is always a trial: widen the search."
                )

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "space": {name: asdict(dimension) for name, dimension in self.space.items()}}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Search:
        """The inverse of `plain`."""
        space = {
            name: OneOf(tuple(one["choices"])) if "choices" in one else Between(**one)
            for name, one in plain["space"].items()
        }
        return cls(plain["metric"], space, plain["maximise"], plain["watch"])

    def changed(
        self, owner: str, parameters: Mapping[str, Value], said: Mapping[str, str]
    ) -> tuple[Search, dict[str, str]]:
        """This search after `--set`, and what is fixed by it.

        `LOW..HIGH` is another range, `A,B,C` are other choices, one value takes the parameter out of the search.
        Raises ProjectError for parameters that are not there, values of another type, and where nothing is left.
        """
        space, fixed = dict(self.space), {}
        for name, text in said.items():
            if name not in parameters:
                raise ProjectError(f"{owner}: " + close_match("Parameter", name, parameters))
            dimension = read(f"{owner}: --set {name}", text, parameters[name], space.get(name))
            if dimension is None:
                fixed[name] = text
                space.pop(name, None)
            else:
                space[name] = dimension
        if not space:
            raise ProjectError(
                f"{owner}: --set fixes every parameter of the search; leave one to be searched."
            )
        return replace(self, space=space), fixed


def read(owner: str, text: str, default: Value, before: Dimension | None) -> Dimension | None:
    """`LOW..HIGH` or `A,B,C` as a dimension of values like `default`; None for one value."""
    low, dots, high = text.partition("..")
    if dots:
        log = isinstance(before, Between) and before.log
        ends = (_number(owner, low, default), _number(owner, high, default))
        dimension: Dimension = Between(*ends, log=log)
    elif "," in text and not isinstance(default, str):
        dimension = OneOf(tuple(_value(owner, word.strip(), default) for word in text.split(",")))
    elif "," in text:
        dimension = OneOf(tuple(word.strip() for word in text.split(",")))
    else:
        return None
    _check(owner, dimension, default)
    return dimension


def _check(owner: str, dimension: Dimension, default: Value) -> None:
    """Raises ProjectError where `dimension` gives values of another kind than `default`."""
    if isinstance(dimension, Between):
        whole = isinstance(default, int) and not isinstance(default, bool)
        if not _is_number(default):
            raise ProjectError(f"{owner} is a range; {default!r} is no number. Give its choices.")
        if whole and not (float(dimension.low).is_integer() and float(dimension.high).is_integer()):
            raise ProjectError(
                f"{owner} is {dimension}; expected whole numbers, as the default {default!r} is one."
            )
        return
    numbers = _is_number(default) and not isinstance(default, int)
    wrong = [
        one
        for one in dimension.choices
        if type(one) is not type(default) and not (numbers and _is_number(one))
    ]
    if wrong:
        raise ProjectError(
            f"{owner} has the choice {wrong[0]!r}; expected {type(default).__name__} like {default!r}."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(owner: str, text: str, default: Value) -> float:
    value = _value(owner, text.strip(), default)
    if not _is_number(value):
        raise ProjectError(f"{owner} is a range; {default!r} is no number. Give its choices, as A,B.")
    return value  # type: ignore[return-value]


def _value(owner: str, text: str, default: Value) -> Value:
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        raise ProjectError(
            f"{owner}: {text!r} is no {kind.__name__}, as the default {default!r} is."
        ) from error
