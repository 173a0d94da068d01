"""Ports that several processes share."""

import socket

import pytest

from serving.rest.server import bind
from serving.workers import ports


def test_a_reserved_port_can_be_listened_on_by_several_and_gets_no_connection_itself():
    with ports.reserve("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]
        with bind("127.0.0.1", port, shared=True) as one, bind("127.0.0.1", port, shared=True) as two:
            for listener in (one, two):
                listener.listen(100)
            made = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(32)]
            accepted = [0, 0]
            for place, listener in enumerate((one, two)):
                for _ in made:
                    try:
                        listener.accept()[0].close()
                        accepted[place] += 1
                    except BlockingIOError:
                        break
            for connection in made:
                connection.close()
        assert sum(accepted) == 32
        assert min(accepted) > 0


def test_a_port_of_another_program_is_refused_even_where_that_one_would_share_it():
    with ports.reserve("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]
        text = rf"Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another --port."
        with pytest.raises(OSError, match=text):
            ports.reserve("127.0.0.1", port, "--port", patience_s=0.0)
