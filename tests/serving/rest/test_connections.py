"""REST connections: one request in every dress HTTP knows, several in one packet, calls begun without a task."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.rest.connections import Started
from tests.serving.processes import ServerProcess

BODY = b'{"instances": [[1, 2]]}'
ANSWER = {"predictions": [[4.0, 7.0]]}
PLAIN = b"POST /v1/models/scaled:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\n" + BODY
HEAVY = json.dumps({"signature_name": "heavy", "instances": [[1.0] * 64]}).encode()


def request(head: bytes, body: bytes = BODY) -> bytes:
    return head + b"\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture
def connection(model_server):
    host, port = model_server.rest_address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def answers(connection, count=1):
    """`count` answers: (status, headers, body)."""
    found, data = [], b""
    while len(found) < count:
        head, blank, rest = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        if blank and len(rest) >= size:
            found.append((int(lines[0].split()[1]), headers, rest[:size]))
            data = rest[size:]
            continue
        part = connection.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    assert not data
    return found


UPGRADE = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB"
POST = b"POST /v1/models/scaled:predict HTTP/1.1"
DRESSES = {
    "plain": (PLAIN, False),
    "HTTP/1.0": (request(b"POST /v1/models/scaled:predict HTTP/1.0"), True),
    "to be closed": (request(POST + b"\r\nConnection: close"), True),
    "kept alive": (request(POST + b"\r\nConnection: keep-alive"), False),
    "from a proxy": (request(POST + b"\r\nX-Forwarded-For: 10.0.0.1"), False),
    "a query": (request(b"POST /v1/models/scaled:predict?x=1 HTTP/1.1"), False),
    "the whole URL": (request(b"POST http://x/v1/models/scaled:predict HTTP/1.1"), False),
    "in chunks": (
        POST + b"\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n" + BODY + b"\r\n0\r\n\r\n",
        False,
    ),
    "hoping for HTTP/2": (request(POST + UPGRADE), False),
    "hoping for HTTP/2, then closed": (request(POST + UPGRADE + b"\r\nConnection: close"), True),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("pieces", ["whole", "in two", "byte by byte"])
def test_a_request_gets_the_same_answer_in_every_dress(connection, dress, pieces):
    data, closes = DRESSES[dress]
    size = {"whole": len(data), "in two": len(data) - 5, "byte by byte": 1}[pieces]
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(data), size):
        connection.sendall(data[start : start + size])
    [(status, headers, body)] = answers(connection)
    assert (status, json.loads(body)) == (200, ANSWER)
    assert headers["content-type"] == "application/json"
    assert (headers.get("connection") == "close") == closes
    if closes:
        assert connection.recv(1) == b""
    else:
        connection.sendall(PLAIN)
        assert json.loads(answers(connection)[0][2]) == ANSWER


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(connection):
    head, _, body = request(POST + b"\r\nExpect: 100-continue").partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(body)
    assert json.loads(answers(connection)[0][2]) == ANSWER


@pytest.mark.parametrize(
    "asks", ["CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_what_is_no_call_at_all_is_refused_and_the_connection_closed(connection, asks):
    connection.sendall(asks.encode())
    [(status, headers, body)] = answers(connection)
    assert (status, headers["connection"]) == (400, "close")
    assert body == b"Invalid HTTP request received."
    assert connection.recv(1) == b""


def test_requests_in_one_packet_are_answered_in_their_order(connection):
    slow = request(b"POST /v1/models/pair:predict HTTP/1.1", HEAVY)
    bad = request(POST, b'{"instances": [[1], [2, 3]]}')
    status = b"GET /v1/models/pair HTTP/1.1\r\nHost: x\r\n\r\n"
    upgrade = request(POST + UPGRADE)
    connection.sendall(PLAIN + bad + slow + PLAIN + status + slow + slow + PLAIN + upgrade + upgrade + PLAIN)
    found = answers(connection, 11)
    assert [status for status, _, _ in found] == [200, 400, *[200] * 9]
    texts = [json.loads(body) for _, _, body in found]
    assert [texts[0], texts[3], *texts[7:]] == [ANSWER] * 6
    assert texts[2] == texts[5] == texts[6]
    assert "predictions" in texts[2]
    assert "model_version_status" in texts[4]


def test_a_short_body_over_the_limit_is_refused_and_the_connection_closed(models_root):
    flags = (
        f"--model_base_path={models_root / 'scaled'}",
        "--model_name=scaled",
        "--rest_api_max_body_bytes=20",
    )
    with ServerProcess(*flags) as server:
        host, port = server.rest_address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(PLAIN)
            [(status, headers, body)] = answers(connection)
            assert (status, headers["connection"]) == (413, "close")
            assert "larger than 20 bytes" in json.loads(body)["error"]
            assert connection.recv(1) == b""


def test_a_stopping_server_answers_what_kept_connections_still_ask(models_root):
    flags = (f"--model_base_path={models_root / 'scaled'}", "--model_name=scaled")

    def ask_until_the_last(connection):
        while True:
            connection.sendall(PLAIN)
            [(status, headers, body)] = answers(connection)
            assert (status, json.loads(body)) == (200, ANSWER)
            if headers.get("connection") == "close":
                return connection.recv(1)

    with ServerProcess(*flags) as server, contextlib.ExitStack() as stack:
        host, port = server.rest_address.split(":")
        connections = [socket.create_connection((host, int(port)), timeout=30) for _ in range(9)]
        *busy, idle = [stack.enter_context(connection) for connection in connections]
        with ThreadPoolExecutor(len(busy)) as pool:
            asking = [pool.submit(ask_until_the_last, connection) for connection in busy]
            time.sleep(0.3)
            assert server.terminate() == 0
            ends = [future.result(30) for future in asking]
        assert ends == [b""] * len(busy)
        assert idle.recv(1) == b""


def test_what_needs_no_waiting_is_done_at_once():
    async def quick():
        return 5

    started = Started(quick())
    assert (started.done, started.result) == (True, 5)

    async def again():
        return await started

    assert asyncio.run(again()) == 5


def test_what_waits_goes_on_where_it_is_awaited():
    async def slow(events):
        for event in events:
            try:
                await event
            except ZeroDivisionError:
                return "divided"
        return "done"

    async def run():
        loop = asyncio.get_running_loop()
        good, bad = loop.create_future(), loop.create_future()
        first, second = Started(slow([good])), Started(slow([good, asyncio.sleep(0.01), bad]))
        assert not first.done
        assert not second.done
        loop.call_soon(good.set_result, None)
        loop.call_later(0.02, bad.set_exception, ZeroDivisionError())
        return await first, await second

    assert asyncio.run(run()) == ("done", "divided")


def test_whoever_stops_waiting_stops_the_work():
    cleaned = []

    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    async def run():
        started = Started(slow())

        async def wait():
            await started

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait(), 0.01)

    asyncio.run(run())
    assert cleaned == [True]


def test_an_error_before_the_first_wait_is_raised_at_once():
    async def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Started(broken())
