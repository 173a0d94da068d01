"""Plans: what they may say, and in which words."""

import pytest

from serving.release import plan as plans
from serving.release.plan import Plan, PlanError


def test_steps_are_words_and_percentages():
    assert plans.shares("shadow,1,5,25,50,100") == (0.0, 0.01, 0.05, 0.25, 0.5, 1.0)
    assert plans.shares(" 10% , 100") == (0.1, 1.0)
    assert Plan(shares=plans.shares("shadow,2.5,100")).name(1) == "2.5 %"


@pytest.mark.parametrize("steps", ["", "half,100", "5,,100"])
def test_a_step_that_is_no_share_is_named(steps):
    with pytest.raises(PlanError, match="step is"):
        plans.shares(steps)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shares", (0.5,)),
        ("shares", (0.5, 0.1, 1.0)),
        ("shares", (0.1, 0.5)),
        ("margin", 1.0),
        ("on_timeout", "wait"),
        ("step_s", 0.0),
        ("limit_s", 1.0),
        ("tolerable", 0.0),
        ("shadow_rate", 2.0),
        ("max_changed", 1.0),
        ("patience_s", 0.0),
    ],
)
def test_a_plan_that_cannot_be_says_which_field_and_what_it_got(field, value):
    with pytest.raises(PlanError, match=rf"{field}.*expected"):
        Plan(**{field: value})


def test_a_plan_survives_its_json():
    plan = Plan(margin=2.0, max_changed=0.1, approve=True)
    assert plans.from_json(plan.as_json()) == plan


def test_a_field_that_no_plan_has_is_named_with_the_known_ones():
    with pytest.raises(PlanError, match=r"'margins' does not exist; known: .*margin"):
        plans.from_json({"margins": 2})
