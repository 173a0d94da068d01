"""`viaduct ab`: begins a test of two versions, tells how it stands, ends it; and the keeper that ends it by itself."""

import json

import numpy as np
import pytest

from serving.ab.command import seconds
from serving.ab.keeper import Keeper
from serving.ab.trial import Trial
from serving.release.decide import Health, decide
from serving.release.plan import PlanError
from serving.release.tally import Tally

BETWEEN = ("--between", "1,2", "--metric", "bought")


def people(shop, users, chance_a, chance_b, share=0.5, of_b=None, window_s=0.0):
    """So many users and what they did, and the test that they are in."""
    rng = np.random.default_rng(41)
    release = shop.running(Trial("bought", window_s=window_s), share)
    for n, b in enumerate(rng.random(users) < (share if of_b is None else of_b)):
        shop.saw(f"user {n}", f"r{n}", n, b=bool(b))
        if rng.random() < (chance_b if b else chance_a):
            shop.told(f"r{n}", n, bought=1.0)
    shop.write()
    return release


def test_a_test_is_a_release_that_stands_at_its_share_until_somebody_ends_it(shop, capsys):
    assert shop.ab(*BETWEEN, "--share", "30", "--window", "7d", "--why", "new prices") == 0
    assert "version 1 is tested against version 2 on 'bought'" in capsys.readouterr().out
    release = shop.folder.newest()
    assert (release.baseline, release.candidate, release.share, release.state) == (2, 1, 0.3, "canary")
    assert release.split().record and release.journal[0]["why"] == "new prices"
    assert release.plan.test["window_s"] == 7 * 86400
    # However good it looks to the judge of errors, and however long it takes.
    counted = Tally(
        {("0.3", arm, what): 1e5 for arm in ("baseline", "candidate") for what in ("asked", "timed")}
    )
    for elapsed in (0.0, 1e5, 1e8):
        shop.folder.take()
        waiting = release.__class__(**{**vars(release), "elapsed": elapsed})
        assert decide(waiting, counted, Health())[0] is None
    shop.folder.give_back()
    assert shop.ab(*BETWEEN) == 1
    assert "is being released" in capsys.readouterr().err
    assert shop.ab("--stop") == 0
    assert shop.folder.newest().state == "rolled_back"
    assert "no difference is shown yet" in shop.folder.newest().journal[-1]["why"]
    # As of a test whose files went long ago.
    capsys.readouterr()
    assert shop.ab() == 0
    assert "no user of it is kept" in capsys.readouterr().out


def test_a_difference_is_shown_with_its_interval_and_the_better_version_is_promoted(shop, capsys):
    people(shop, 3000, 0.1, 0.25)
    assert shop.ab() == 0
    told = capsys.readouterr().out
    assert "version 1 is better" in told
    assert shop.ab("--json") == 0
    test = json.loads(capsys.readouterr().out)["test"]
    assert 0 < test["low"] < 0.15 < test["high"] and test["state"] == "canary"
    assert [look[1] for look in test["looks"]] == sorted({look[1] for look in test["looks"]})
    assert shop.ab("--promote") == 0
    assert shop.folder.newest().state == "promoted"
    assert "version 1 is better; bought" in shop.folder.newest().journal[-1]["why"]
    assert shop.ab("--release", "1") == 0
    assert "promoted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--between", "1,9", "--metric", "x"), "Neither 1 nor 9 is the version that is served now (2)"),
        (("--between", "2,9", "--metric", "x"), "Version is 9"),
        (("--between", "2,2", "--metric", "x"), "expected two versions"),
        (("--between", "1,2"), "--metric is missing"),
        ((*BETWEEN, "--share", "100"), "share is 1.0"),
        ((*BETWEEN, "--window", "soon"), "window is 'soon'"),
        ((*BETWEEN, "--alpha", "0.7"), "alpha is 0.7"),
        (("--stop",), "There is no A/B test to end"),
    ],
)
def test_what_cannot_be_is_said(shop, capsys, words, told):
    assert shop.ab(*words) == 1
    assert told in capsys.readouterr().err
    assert shop.folder.newest() is None


def test_without_users_it_says_what_requests_need(shop, capsys):
    assert shop.ab() == 0 and "no A/B test yet" in capsys.readouterr().out
    shop.running(Trial("bought"))
    assert shop.ab() == 0
    told = capsys.readouterr().out
    assert "x-viaduct-key" in told and "nothing to compare yet" in told and "p = 1" in told


def test_a_plain_release_is_no_test(shop, capsys):
    from serving.release.command import main

    assert main([str(shop.base), "--to", "1", "--plan", "50,100"]) == 0
    assert shop.ab("--stop") == 1
    assert shop.folder.newest().in_flight and not shop.folder.newest().split().record


def test_users_who_are_not_split_as_asked_end_the_test(shop, capsys):
    people(shop, 3000, 0.1, 0.1, share=0.5, of_b=0.4)
    Keeper(lambda: [str(shop.base)]).look()
    release = shop.folder.newest()
    assert release.state == "rolled_back"
    assert release.journal[-1]["who"] == "sample ratio"
    assert "users are version 1's, where 50 % were asked for" in release.journal[-1]["why"]
    assert shop.ab() == 0
    assert "no answer: the users are not split as asked" in capsys.readouterr().out
    # It has ended; another look does nothing more.
    Keeper(lambda: [str(shop.base)]).look()
    assert len(shop.folder.newest().journal) == 2


def test_users_who_are_split_as_asked_and_plain_releases_are_left_alone(shop):
    keeper = Keeper(lambda: [str(shop.base), str(shop.base / "nowhere")])
    keeper.look()
    release = people(shop, 1000, 0.1, 0.1)
    keeper.look()
    assert shop.folder.newest() == release


def test_times_are_written_as_people_write_them():
    assert [seconds(text) for text in ("90", "90s", "1.5m", "12h", "7d")] == [90, 90, 90, 43200, 604800]
    with pytest.raises(PlanError, match="expected a number of seconds"):
        seconds("-1")
