"""Messages between two ends, and the end of one of them."""

import logging
import os
import socket
import threading

import pytest

from serving.workers.channel import Channel
from tests.serving.processes import until


@pytest.fixture
def ends():
    """Two channels of one pair; each keeps what it hears, and whether the other has gone."""

    class End:
        def __init__(self, sock):
            self.heard = []
            self.gone = threading.Event()
            handlers = {"say": lambda *what: self.heard.append(what), "fail": lambda: 1 / 0}
            self.channel = Channel(sock, handlers, self.gone.set)

    made = [End(sock) for sock in socket.socketpair()]
    for end in made:
        end.channel.start()
    yield made
    for end in made:
        end.channel._connection.close()


def test_messages_arrive_in_order_and_whole(ends):
    big = {"x": ("é" * 200_000, None, (1.5, b"\0"))}
    for number in range(500):
        ends[0].channel.send("say", number)
    ends[0].channel.send("say", big)
    ends[1].channel.send("say", "back")
    until(lambda: len(ends[1].heard) == 501 and ends[0].heard)
    assert ends[1].heard == [*((number,) for number in range(500)), (big,)]
    assert ends[0].heard == [("back",)]


def test_a_message_that_cannot_be_handled_is_logged_and_the_next_ones_are(ends, caplog):
    with caplog.at_level(logging.ERROR):
        ends[0].channel.send("fail")
        ends[0].channel.send("no such kind")
        ends[0].channel.send("say", 1)
        until(lambda: ends[1].heard)
    assert [record.args for record in caplog.records] == [("fail",), ("no such kind",)]


def test_what_was_sent_before_an_end_is_heard_before_the_end_is_noticed(ends):
    for number in range(100):
        ends[0].channel.send("say", number)
    ends[0].channel.flush(10)
    with socket.socket(fileno=os.dup(ends[0].channel._connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
    assert ends[1].gone.wait(10)
    assert len(ends[1].heard) == 100
    ends[1].channel.send("say", "to nobody")
