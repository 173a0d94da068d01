"""One request on its way through an arm: who answers, what is counted, what the shadow compares."""

import asyncio
import threading

import numpy as np
import pytest

from serving.errors import InvalidArgument, NotFound
from serving.release import router as routers
from serving.release.router import Router
from serving.release.shadow import distance, label_changed
from serving.release.split import Split, place
from serving.release.tally import BASELINE, CANDIDATE, of_cells
from serving.telemetry.metrics import Counter
from serving.wire.model_spec import Spec
from tests.serving.processes import until

INPUTS = {"x": np.ones((1, 2), np.float32)}


def floats(*values):
    return {"y": np.array([values], np.float32)}


class Signature:
    name = "serving_default"

    def __init__(self, run):
        self.run = run


class Handle:
    """A version that runs a function; also what a handle's `servable` is."""

    def __init__(self, run):
        self.servable = self
        self.signatures = {"serving_default": Signature(run)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Arms:
    """A router whose versions a test speaks for; `ask` is one request as the handlers make it."""

    def __init__(self, share, shadow=0.0):
        self.runs = {1: lambda: floats(1), 2: lambda: floats(2)}
        self.counter = Counter("events", ["model_name", "version", "release", "share", "arm", "event"])
        self.router = Router(self.acquire, self.counter)
        self.share(share, shadow)

    def share(self, share, shadow=0.0, release=1):
        self.router.follow("m", Split(release, 1, 2, share, "salt", shadow, patience_s=3.0))

    def acquire(self, name, version):
        version = version or 1
        if version not in self.runs:
            raise NotFound(f"no {version}")
        run = self.runs[version]
        return Handle(lambda inputs, wanted: run())

    def ask(self, key="key"):
        async def call(visit):
            handle = visit.acquire(Spec("m"))
            signature = handle.signatures["serving_default"]
            try:
                outputs = signature.run(INPUTS, ())
            except Exception:
                visit.failed(signature, INPUTS, ())
                raise
            visit.saw(signature, INPUTS, (), outputs)
            return float(outputs["y"].flat[0])

        async def whole():
            visit = self.router.visit(Spec("m"), lambda: key)
            answer = await self.router.answer(visit, call)
            await asyncio.sleep(0)
            return answer

        return asyncio.run(whole())

    def counted(self, arm, what):
        return sum(n for (_, a, w), n in self.tally.items() if (a, w) == (arm, what))

    @property
    def tally(self):
        return of_cells(self.counter.cells(), "m", 1)


def fails(text="broken"):
    def run():
        raise InvalidArgument(text)

    return run


def test_requests_that_name_a_version_or_a_label_or_another_model_are_not_divided():
    router = Arms(0.5).router
    for spec in (Spec("m", 1), Spec("m", None, "stable"), Spec("other")):
        assert router.visit(spec, lambda: "key") is None
    assert router.visit(Spec("m"), lambda: "key") is not None
    router.follow("m", None)
    assert router.visit(Spec("m"), lambda: "key") is None
    assert router.splits == {}


def test_a_key_goes_where_its_place_says_and_without_a_key_a_share_of_the_requests_does():
    arms = Arms(0.3)
    for key in map(str, range(30)):
        assert arms.ask(key) == (2 if place("salt", key) < 0.3 else 1)
    drawn = [arms.router.visit(Spec("m"), lambda: None).apart for _ in range(2000)]
    assert 480 < sum(drawn) < 720


def test_where_the_candidate_fails_the_baseline_answers_and_it_is_counted():
    arms = Arms(0.999999)
    arms.runs[2] = fails()
    assert arms.ask() == 1
    assert arms.counted(CANDIDATE, "errors") == arms.counted(CANDIDATE, "rescued") == 1
    assert arms.counted(BASELINE, "asked") == 0


def test_a_request_that_fails_on_both_is_its_own_fault_but_counts_as_for_the_baseline():
    arms = Arms(0.999999)
    arms.runs = {1: fails("your fault"), 2: fails()}
    for _ in range(6):
        with pytest.raises(InvalidArgument, match="your fault"):
            arms.ask()
    assert arms.counted(CANDIDATE, "errors") == 6
    assert arms.counted(CANDIDATE, "five_alone") == 0


def test_five_failures_alone_in_a_row_are_told_once_and_a_success_between_begins_anew():
    arms = Arms(0.999999)
    for run in (fails(), fails(), lambda: floats(2), fails(), fails(), fails(), fails()):
        arms.runs[2] = run
        arms.ask()
    assert arms.counted(CANDIDATE, "five_alone") == 0
    arms.ask()
    assert arms.counted(CANDIDATE, "five_alone") == 1


def test_numbers_that_are_none_are_never_the_candidates_answer():
    arms = Arms(0.999999)
    arms.runs[2] = lambda: floats(np.nan)
    assert arms.ask() == 1
    assert (arms.counted(CANDIDATE, "nonfinite"), arms.counted(CANDIDATE, "errors")) == (1, 0)


def test_a_candidate_that_is_not_there_is_not_asked():
    arms = Arms(0.999999)
    del arms.runs[2]
    assert arms.ask() == 1
    assert (arms.counted(BASELINE, "asked"), arms.counted(CANDIDATE, "asked")) == (1, 0)


def test_slow_is_what_the_baseline_hardly_ever_is(monkeypatch):
    monkeypatch.setattr(routers, "PACE_ANSWERS", 100)
    arms = Arms(0.5)
    (one,) = arms.router.splits.values()
    for arm in (BASELINE, CANDIDATE):
        for _ in range(routers.FIRST_ANSWERS):
            one.answered(arm, 9.0)
    one.answered(CANDIDATE, 9.0)
    assert arms.counted(CANDIDATE, "timed") == 0
    for n in range(100):
        one.answered(BASELINE, 0.010 + n / 1e5)
    assert one.course.slow_s == pytest.approx(0.011 + routers.PACE_SLACK_S, abs=1e-4)
    one.answered(CANDIDATE, 0.012)
    one.answered(CANDIDATE, 0.014)
    assert (arms.counted(CANDIDATE, "timed"), arms.counted(CANDIDATE, "slow")) == (2, 1)
    # A larger share goes on with it, another release does not.
    arms.share(0.9)
    assert arms.router.splits["m"].course is one.course
    arms.share(0.1, release=2)
    assert arms.router.splits["m"].course.slow_s is None
    assert arms.tally == {}


def test_the_candidate_leaves_the_baseline_time_to_answer():
    visit = Arms(0.999999).router.visit(Spec("m"), lambda: "key")
    assert (visit.patience(None), visit.patience(1.0), visit.patience(60.0)) == (3.0, 0.5, 3.0)
    visit.apart = False
    assert (visit.patience(None), visit.patience(1.0)) == (None, 1.0)


def test_the_shadow_compares_and_counts_both_arms_of_what_it_repeats():
    arms = Arms(0.0, shadow=1.0)
    arms.runs[2] = lambda: floats(1.0005)
    assert arms.ask() == 1
    until(lambda: arms.counted(CANDIDATE, "apart_1e-3") == 1)
    assert arms.counted(BASELINE, "asked") == arms.counted(CANDIDATE, "asked") == 1
    arms.runs[1] = fails()
    with pytest.raises(InvalidArgument):
        arms.ask()
    until(lambda: arms.counted(CANDIDATE, "asked") == 2)
    assert arms.counted(BASELINE, "errors") == 1
    arms.router.stop()


def test_a_candidate_that_hangs_in_the_shadow_costs_no_answer_and_the_drops_are_counted():
    arms, go = Arms(0.0, shadow=1.0), threading.Event()
    arms.runs[2] = lambda: go.wait(60) and floats(2)
    assert {arms.ask() for _ in range(80)} == {1}
    assert arms.counted(CANDIDATE, "dropped") >= 80 - 66
    go.set()
    arms.router.stop()


@pytest.mark.parametrize(
    ("live", "other", "apart"),
    [
        (floats(1, 2), floats(1, 2), 0.0),
        (floats(1, 2), floats(1, 2.2), 0.2 / 2.2),
        (floats(np.nan), floats(np.nan), 0.0),
        (floats(np.nan), floats(1), np.inf),
        (floats(np.inf), floats(np.inf), 0.0),
        ({"y": np.array([b"a", b"b"], object)}, {"y": np.array([b"a", b"c"], object)}, 1.0),
        (floats(1, 2), floats(1), None),
        (floats(1), {"z": np.ones((1, 1))}, None),
    ],
)
def test_answers_are_apart_by_their_largest_relative_difference(live, other, apart):
    found = distance(live, other)
    assert found is None if apart is None else found == pytest.approx(apart)


def test_a_label_is_the_largest_score_or_what_is_no_score():
    scores = {"p": np.array([[0.2, 0.8], [0.6, 0.4]])}
    assert not label_changed(scores, {"p": np.array([[0.4, 0.6], [0.9, 0.1]])})
    assert label_changed(scores, {"p": np.array([[0.4, 0.6], [0.1, 0.9]])})
    assert label_changed({"k": np.array([1, 2])}, {"k": np.array([1, 3])})
    assert not label_changed(floats(1), floats(5))
