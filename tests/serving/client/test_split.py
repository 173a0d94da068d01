"""Who a request is for, and who answered it: keys on the wire, versions in results, and a split before the original."""

import asyncio

import numpy as np
import pytest

from serving.client import AsyncClient, Client, Split
from serving.wire import protos
from tests.serving.fixtures_fakes import FakeGrpc, FakeRest

X = np.ones((1, 2), np.float32)


@pytest.fixture(params=["grpc", "rest"])
def address(request, model_server):
    return model_server.grpc_address if request.param == "grpc" else model_server.url


def test_a_result_says_which_version_gave_it(address):
    with Client(address) as client:
        assert client.predict("scaled", {"x": X}).version == 3
        assert client.predict("scaled", {"x": X}, version=1).version == 1
        rows = [{"x": [1.0, 2.0, 3.0], "k": "b"}]
        assert client.classify("examples", rows).version == 1
        assert client.predict("scaled", {"x": X}, key="ann")["y"].tolist() == [[4.0, 4.0]]


def test_the_asyncio_client_says_it_too(address):
    async def ask():
        async with AsyncClient(address) as client:
            return await client.predict("scaled", {"x": X}, key="ann")

    assert asyncio.run(ask()).version == 3


def test_a_key_is_sent_over_grpc_with_the_call_it_belongs_to_only():
    fake = FakeGrpc({"Predict": [protos.predict_pb2.PredictResponse()]})
    try:
        with Client(fake.address, headers={"authorization": "token"}) as client:
            assert client.predict("m", {"x": X}, key="ann").version is None
            client.predict("m", {"x": X})
        first, second = fake.script.headers
        assert (first["x-viaduct-key"], first["authorization"]) == ("ann", "token")
        assert "x-viaduct-key" not in second
        assert second["authorization"] == "token"
    finally:
        fake.close()


def test_a_key_is_sent_over_rest_and_a_server_that_says_no_version_gives_none():
    fake = FakeRest({"POST /v1/models/m:classify": [{"results": [[["yes", 1.0]]]}]})
    try:
        with Client(fake.address) as client:
            found = client.classify("m", [{"x": [1.0]}], key="ann")
        assert found == [[("yes", 1.0)]]
        assert found.version is None
        assert fake.script.headers[0]["x-viaduct-key"] == "ann"
    finally:
        fake.close()


def test_a_clients_split_sends_the_keys_that_a_servers_would():
    from serving.release.split import Split as Ours

    ours = Ours(1, 1, 2, 0.2, "1:2:")
    split = Split(0.2, "1:2:")
    keys = [f"key-{n}" for n in range(500)]
    assert [split.label(key) == "canary" for key in keys] == [ours.chosen(key) for key in keys]
    more = Split(0.4, "1:2:")
    assert all(more.label(key) == "canary" for key in keys if split.label(key) == "canary")
    assert {Split(0.0).label() for _ in range(50)} == {"stable"}
    assert {Split(1.0, candidate="new").label() for _ in range(50)} == {"new"}


def test_a_clients_split_works_with_labels_of_a_server_that_knows_no_releases(model_server):
    split = Split(0.5, baseline="stable", candidate="canary")
    with Client(model_server.grpc_address) as client:
        inside = next(key for key in map(str, range(99)) if split.label(key) == "stable")
        assert client.predict("scaled", {"x": X}, label=split.label(inside)).version == 1


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"share is 1\.5; expected"):
        Split(1.5)
