"""What a server keeps: outcomes that are on the disk before it says so, and whose request went where."""

import asyncio

import pytest

from serving.ab.ledger import FOLDER, SEEN, Ledger, fresh_id, unit
from serving.ab.lines import Reader
from serving.ab.outcomes import Outcome
from serving.ab.units import Feedback
from serving.errors import InvalidArgument, NotFound, Unavailable
from serving.release.router import Router
from serving.release.split import Split, place
from serving.rest.routes import parse_route
from serving.telemetry.metrics import Counter
from serving.wire import feedback, protos
from serving.wire.model_spec import Spec


@pytest.fixture
def ledger(tmp_path):
    made = Ledger()
    made.configure({"m": str(tmp_path / "m")})
    yield made
    made.close()


def given(ledger, name="m", **values):
    return asyncio.run(ledger.give(name, [Outcome("r1", values)]))


def test_an_outcome_is_on_the_disk_when_its_sender_hears_so(ledger, tmp_path):
    assert given(ledger, bought=1.0) == 1
    found = Feedback(tmp_path / "m")
    found.read()
    assert found.outcomes["r1"]["bought"][1] == 1.0


def test_models_that_are_not_served_and_disks_that_fail_are_told(ledger, tmp_path):
    with pytest.raises(NotFound, match="other"):
        given(ledger, "other", bought=1.0)
    (tmp_path / "m").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be kept"):
        given(ledger, bought=1.0)


def seen(tmp_path):
    return list(Reader(tmp_path / "m" / FOLDER, SEEN).fresh())


def test_the_requests_of_a_test_are_kept_by_user_and_arm_without_the_users_names(ledger, tmp_path):
    router = Router(lambda name, version: None, Counter("events", ["m", "v", "r", "s", "a", "e"]))
    router.seen = ledger.seen
    keys = [f"user {n}" for n in range(50)]
    router.follow("m", Split(3, 1, 2, 0.4, "salt", record=True))
    for key in keys:
        router.visit(Spec("m"), lambda key=key: key, f"id of {key}")
    router.visit(Spec("m"), lambda: None, "nobody's")
    router.visit(Spec("m", 1), lambda: "user 1", "with a version")
    # A release that is no test keeps nothing.
    router.follow("m", Split(4, 1, 2, 0.4, "salt"))
    router.visit(Spec("m"), lambda: "user 1", "later")
    ledger.close()
    lines = seen(tmp_path)
    assert [line["id"] for line in lines] == [f"id of {key}" for key in keys]
    assert [line["b"] for line in lines] == [int(place("salt", key) < 0.4) for key in keys]
    assert [line["u"] for line in lines] == [unit(key) for key in keys]
    assert {line["r"] for line in lines} == {3}
    assert not any(key in text for key in keys for text in (str({**line, "id": ""}) for line in lines))


def test_ids_are_all_different():
    assert len({fresh_id() for _ in range(1000)}) == 1000


def test_feedback_is_for_a_model_and_no_version():
    assert parse_route("POST", "/v1/models/shop:feedback").action == "feedback"
    assert parse_route("POST", "/v1/models/shop:feedback").spec == Spec("shop")
    for method, path in (
        ("POST", "/v1/models/shop/versions/3:feedback"),
        ("GET", "/v1/models/shop:feedback"),
    ):
        with pytest.raises(InvalidArgument, match="Malformed request"):
            parse_route(method, path)


def test_the_grpc_message_says_what_the_json_does():
    outcomes = {"a": {"bought": True, "spent": 2.5}, "b": {"label": "cat"}}
    request = feedback.GiveRequest.FromString(feedback.request_of("shop", outcomes).SerializeToString())
    assert request.model == "shop"
    assert feedback.as_objects(request) == [
        {"request_id": "a", "bought": 1.0, "spent": 2.5},
        {"request_id": "b", "label": "cat"},
    ]
    request.outcomes[0].values.add(name="nothing")
    assert feedback.as_objects(request)[0]["nothing"] is None


def test_the_id_behind_a_log_is_read_by_us_and_passed_over_by_others():
    log = protos.prediction_log_pb2.PredictionLog()
    log.log_metadata.model_spec.name = "shop"
    text = log.SerializeToString() + feedback.LogId(request_id="r1").SerializeToString()
    assert feedback.LogId.FromString(text).request_id == "r1"
    assert protos.prediction_log_pb2.PredictionLog.FromString(text).log_metadata.model_spec.name == "shop"
    assert feedback.LogId.FromString(log.SerializeToString()).request_id == ""
