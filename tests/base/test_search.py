"""A card's search space: what is none, and how `--set` changes it."""

from __future__ import annotations

import re

import pytest

from pipelines.base.errors import ProjectError
from pipelines.base.project import Variant
from pipelines.base.search import Between, OneOf, Search

DEFAULTS = {"rate": 0.01, "units": 16, "batch": 64, "kind": "relu", "bias": True}
SEARCH = Search(
    "auc", {"rate": Between(1e-4, 1e-1, log=True), "units": Between(4, 64), "batch": OneOf((32, 64, 128))}
)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Between(1, 1), "expected two numbers, the first below the second"),
        (lambda: Between(0, 1, log=True), "expected numbers above 0"),
        (lambda: Between(float("nan"), 1), "expected two numbers"),
        (lambda: OneOf((1,)), "expected two or more different values"),
        (lambda: OneOf((1, 1)), "expected two or more different values"),
        (lambda: Search("auc", {}), "expected a metric and a space"),
        (lambda: Search("", {"rate": Between(0, 1)}), "expected a metric and a space"),
        (lambda: _variant({"rat": Between(0, 1)}), "Did you mean 'rate'?"),
        (lambda: _variant({"kind": Between(0, 1)}), "'relu' is no number. Give its choices"),
        (lambda: _variant({"bias": Between(0, 1)}), "True is no number"),
        (lambda: _variant({"units": Between(4.5, 64)}), "expected whole numbers"),
        (lambda: _variant({"units": OneOf((16, 32.0))}), "has the choice 32.0; expected int"),
        (
            lambda: _variant({"rate": Between(0.1, 1.0)}),
            "the default of 'rate' is 0.01, outside of its search 0.1..1",
        ),
        (lambda: _variant({"batch": OneOf((32, 128))}), "the default of 'batch' is 64, outside"),
    ],
)
def test_what_is_no_search_is_told_with_what_was_expected(make, told):  # type: ignore[no-untyped-def]
    with pytest.raises(ProjectError, match=re.escape(told)):
        make()


def _variant(space):  # type: ignore[no-untyped-def]
    return Variant("v", "about", DEFAULTS, Search("auc", space))


def test_a_search_survives_json() -> None:
    assert Search.of(SEARCH.plain()) == SEARCH


def test_set_gives_other_ranges_other_choices_and_fixed_values() -> None:
    said = {"rate": "1e-3..1e-2", "batch": "16,64", "units": "32"}
    search, fixed = SEARCH.changed("p", DEFAULTS, said)
    assert search.space == {"rate": Between(1e-3, 1e-2, log=True), "batch": OneOf((16, 64))}
    assert fixed == {"units": "32"}


def test_set_can_search_what_the_card_does_not() -> None:
    search, _ = SEARCH.changed("p", DEFAULTS, {"kind": "relu,tanh", "bias": "true,false"})
    assert search.space["kind"] == OneOf(("relu", "tanh")) and search.space["bias"] == OneOf((True, False))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"rat": "1"}, "Did you mean 'rate'?"),
        ({"units": "a..b"}, "'a' is no int, as the default 16 is"),
        ({"units": "1.5..3"}, "'1.5' is no int"),
        ({"kind": "a..b"}, "Give its choices"),
        ({"rate": "1..0.1"}, "the first below the second"),
        ({"batch": "32,x"}, "'x' is no int"),
        ({"bias": "true,maybe"}, "'maybe' is no bool"),
        ({"rate": "1", "units": "4", "batch": "32"}, "fixes every parameter of the search"),
    ],
)
def test_a_set_that_does_not_fit_is_told(said: dict[str, str], told: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(told)):
        SEARCH.changed("p", DEFAULTS, said)
