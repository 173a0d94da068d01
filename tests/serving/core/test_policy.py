"""Pure policies: what is loaded or unloaded next, and which versions are wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.policy import (
    VersionPolicy,
    availability_preserving,
    resource_preserving,
    select_versions,
)
from serving.core.servable import Harness, Phase, ServableId


def harness(version, phase, aspired=True):
    return Harness(ServableId("m", version), f"/m/{version}", aspired=aspired, phase=phase)


def step(policy, *versions):
    action = policy(versions)
    return None if action is None else (action[0], action[1].id.version)


def test_the_old_version_stays_until_the_new_one_is_ready():
    old = harness(1, Phase.READY, aspired=False)
    assert step(availability_preserving, old, harness(2, Phase.NEW)) == ("load", 2)
    assert step(availability_preserving, old, harness(2, Phase.LOADING)) is None
    assert step(availability_preserving, old, harness(2, Phase.READY)) == ("unload", 1)


def test_a_version_that_cannot_load_never_replaces_one_that_works():
    assert (
        step(availability_preserving, harness(1, Phase.READY, aspired=False), harness(2, Phase.ERROR)) is None
    )


def test_a_model_that_is_not_wanted_any_more_is_unloaded():
    assert step(availability_preserving, harness(1, Phase.READY, aspired=False)) == ("unload", 1)


def test_of_several_old_versions_only_the_newest_waits():
    old = [harness(v, Phase.READY, aspired=False) for v in (1, 2)]
    assert step(availability_preserving, *old, harness(3, Phase.LOADING)) == ("unload", 1)


def test_the_newest_wanted_version_loads_first():
    for policy in (availability_preserving, resource_preserving):
        assert step(policy, harness(4, Phase.NEW), harness(5, Phase.NEW)) == ("load", 5)


def test_resource_preserving_unloads_before_it_loads():
    old, new = harness(1, Phase.READY, aspired=False), harness(2, Phase.NEW)
    assert step(resource_preserving, old, new) == ("unload", 1)
    assert step(resource_preserving, harness(1, Phase.UNLOADING, aspired=False), new) is None
    assert step(resource_preserving, new) == ("load", 2)


versions = st.lists(
    st.builds(harness, st.integers(1, 9), st.sampled_from(list(Phase)), st.booleans()),
    max_size=6,
    unique_by=lambda h: h.id.version,
)


@given(versions)
def test_availability_is_never_given_up_while_something_wanted_is_on_its_way(found):
    ready = [h for h in found if h.phase is Phase.READY]
    action = availability_preserving(found)
    if action is not None and action[0] == "unload" and any(h.aspired for h in found):
        assert len(ready) > 1
        assert not action[1].aspired


@given(versions)
def test_no_policy_ever_touches_a_version_in_the_wrong_phase(found):
    for policy in (availability_preserving, resource_preserving):
        action = policy(found)
        if action is not None:
            kind, chosen = action
            assert chosen.phase is (Phase.NEW if kind == "load" else Phase.READY)
            assert chosen.aspired is (kind == "load")


@pytest.mark.parametrize(
    ("policy", "broken", "wanted"),
    [
        (VersionPolicy(), (), {7}),
        (VersionPolicy("latest", 2), (), {5, 7}),
        (VersionPolicy("latest", 9), (), {1, 3, 5, 7}),
        (VersionPolicy("all"), (7,), {1, 3, 5, 7}),
        (VersionPolicy("specific", specific=frozenset({3, 4})), (), {3}),
        (VersionPolicy(), (7,), {5, 7}),
        (VersionPolicy(), (7, 5), {3, 5, 7}),
        (VersionPolicy("latest", 2), (5,), {3, 5, 7}),
    ],
)
def test_version_policies_choose_and_look_past_broken_versions(policy, broken, wanted):
    assert select_versions(policy, [1, 3, 5, 7], broken) == wanted
