"""A worker's side without a supervisor: what it answers when, and what becomes of its questions."""

import asyncio
import os
import socket
from multiprocessing.connection import Connection

import pytest

from serving.core.servable import ServableId, ServableState, State
from serving.errors import Unavailable
from serving.models import model_config
from serving.models.models import ModelsOptions
from serving.telemetry.metrics import Metrics
from serving.workers.epoch import Epoch
from serving.workers.member import Member, Told
from tests.serving.processes import until


class Thing:
    def close(self):
        pass


@pytest.fixture
def made():
    """A member, its models, the supervisor's end as a plain connection, and the stops it was asked for."""

    class Made:
        def __init__(self):
            ours, theirs = socket.socketpair()
            self.supervisor = Connection(ours.detach())
            self.epoch = Epoch()
            self.stops = []
            member_epoch = Epoch(os.dup(self.epoch.descriptor))
            self.member = Member(theirs, member_epoch, 7, lambda: self.stops.append(1), 3600.0)
            self.directions = []
            direct = lambda *direction: self.directions.append(direction)  # noqa: E731
            self.models = self.member.models(lambda id, path: Thing(), ModelsOptions(), direct)
            self.metrics = Metrics()
            self.member.begin(self.metrics)

        def hears(self):
            assert self.supervisor.poll(10)
            return self.supervisor.recv()

    one = Made()
    yield one
    one.models.stop(1.0)


def states(state):
    return {"m": {1: ServableState(ServableId("m", 1), state)}}


def config():
    made = model_config.ModelServerConfig()
    made.model_config_list.config.add(name="m", base_path="/m", model_platform="tensorflow")
    return made


def test_what_it_was_told_holds_from_the_epoch_on_that_the_supervisor_sets(made):
    made.supervisor.send(("config", config().SerializeToString()))
    made.supervisor.send(("told", 1, states(State.LOADING), {"m": "loading"}))
    made.supervisor.send(("told", 2, states(State.AVAILABLE), {"m": "available"}))
    made.supervisor.send(("sync", 5))
    assert made.hears() == ("synced", 5)
    assert made.models.states("m") == {}
    assert made.models.readiness() == {"m": "loading"}
    made.epoch.number = 1
    assert made.models.states("m")[1].state is State.LOADING
    made.epoch.number = 2
    assert made.models.states("m")[1].state is State.AVAILABLE
    assert made.models.readiness() == {"m": "available"}


def test_what_no_longer_holds_is_forgotten(made):
    for number in range(1, 50):
        made.models.hear(Told(number, {}, {}))
        made.epoch.number = number
    assert len(made.models._told) == 2


def test_a_version_is_kept_from_requests_until_it_is_admitted(made):
    made.supervisor.send(("aspire", "m", {1: "/m/1"}))
    heard = [made.hears() for _ in range(3)]
    assert [message[0] for message in heard] == ["state", "state", "loaded"]
    assert heard[2] == ("loaded", "m", 1, "/m/1")
    assert not made.models.manager.available("m")
    with pytest.raises(Unavailable, match="still loading"):
        made.models.acquire("m")
    made.supervisor.send(("admit", "m", 1, "/m/1"))
    kind, name, version, (state, error) = made.hears()
    assert (kind, name, version, state, error) == ("state", "m", 1, State.AVAILABLE, None)
    made.models.acquire("m").release()


def test_a_version_that_is_no_longer_wanted_is_unloaded_without_having_served(made):
    made.supervisor.send(("aspire", "m", {1: "/m/1"}))
    until(lambda: made.hears()[0] == "loaded")
    made.supervisor.send(("aspire", "m", {}))
    seen = [made.hears()[3][0] for _ in range(2)]
    assert seen == [State.UNLOADING, State.END]
    assert not made.models.manager.available("m")


def test_a_worker_without_its_supervisor_stops_and_answers_nobody_with_a_question(made):
    asked = made.member.ask("apply", b"", None)
    made.supervisor.close()
    with pytest.raises(Unavailable):
        asked.result(10)
    until(lambda: made.stops)
    with pytest.raises(Unavailable):
        made.member.ask("apply", b"", None).result(10)


def test_the_ports_open_when_the_supervisor_says_so_and_not_where_the_server_stops(made):
    async def waits(stop):
        stopping = asyncio.Event()
        if stop:
            stopping.set()
        else:
            made.supervisor.send(("open",))
        return await asyncio.wait_for(made.member.until_open(stopping), 10)

    assert not asyncio.run(waits(stop=True))
    assert asyncio.run(waits(stop=False))
