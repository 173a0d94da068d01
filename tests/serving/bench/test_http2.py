"""The load generator's gRPC client beside grpcio: the same answers to the same requests, from real servers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from serving.bench import hpack
from serving.bench.http2 import CallFailed, Connection, Wire, frame, framed, outcome
from serving.bench.load import PREDICT
from tests.serving.fixtures_requests import predict_request
from tests.serving.processes import until


def by_grpcio(address, path, message, timeout):
    with grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)]) as channel:
        try:
            return channel.unary_unary(path)(message, timeout=timeout)
        except grpc.RpcError as error:
            return error.code().name, error.details()


def connection(address, path=PREDICT, timeout=10.0):
    host, _, port = address.rpartition(":")
    return Connection(host, int(port), path, timeout)


async def answers(made, messages):
    with contextlib.closing(made):
        got = await asyncio.gather(*[made.call(framed(m)) for m in messages], return_exceptions=True)
    for error in got:
        if isinstance(error, BaseException) and not isinstance(error, CallFailed):
            raise error
    return [(e.code, e.text) if isinstance(e, CallFailed) else e for e in got]


def request(*args, **kwargs):
    return predict_request(*args, **kwargs).SerializeToString()


X = np.ones((1, 2), np.float32)


@pytest.mark.parametrize(
    "message",
    [
        request("scaled", {"x": X}),
        request("scaled", {"x": np.ones((200_000, 2), np.float32)}),
        request("pair", {"name": np.array(["é" * 300_000])}, "text"),
        request("nöpe €", {"x": X}),
        request("scaled", {"x": X}, version=77),
        request("scaled", {"z": X}),
        b"\xff\xff no message",
        b"",
    ],
    ids=[
        "small",
        "larger-than-a-window",
        "text",
        "unknown-model",
        "unknown-version",
        "wrong-input",
        "junk",
        "empty",
    ],
)
def test_it_gets_what_grpcio_gets(model_server, message):
    ours = asyncio.run(answers(connection(model_server.grpc_address), [message] * 3))
    assert ours == [by_grpcio(model_server.grpc_address, PREDICT, message, 10)] * 3


def test_an_unknown_method_and_a_deadline_end_as_with_grpcio(model_server):
    address = model_server.grpc_address
    unknown = "/tensorflow.serving.PredictionService/Guess"
    ours = asyncio.run(answers(connection(address, unknown), [b""]))
    assert ours == [by_grpcio(address, unknown, b"", 10)]
    heavy = request("pair", {"x": np.ones((500, 64), np.float32)}, "heavy")
    ours = asyncio.run(answers(connection(address, timeout=0.05), [heavy] * 2))
    assert [code for code, _ in ours] == ["DEADLINE_EXCEEDED"] * 2


class Echo:
    """A gRPC server that answers with what it was sent, or as a test says."""

    def __init__(self, answer=lambda request, context: request, options=(), port=0):
        self.server = grpc.server(
            ThreadPoolExecutor(4), options=[*options, ("grpc.max_receive_message_length", -1)]
        )
        handler = grpc.unary_unary_rpc_method_handler(answer)
        service = PREDICT.split("/")[1]
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Predict": handler}),)
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port(f'127.0.0.1:{port}')}"
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(0).wait()


def test_many_calls_of_all_sizes_share_a_connection():
    sizes = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 3_000_000, 5, 70_000]
    messages = [bytes([n]) * size for n, size in enumerate(sizes)]
    with Echo() as server:
        assert asyncio.run(answers(connection(server.address), messages * 3)) == messages * 3


def test_a_server_that_retires_connections_loses_no_call():
    seen = set()

    def answer(request, context):
        seen.add(context.peer())
        return request

    async def load(made):
        with contextlib.closing(made):
            for number in range(400):
                assert await made.call(framed(b"%d" % number)) == b"%d" % number
                await asyncio.sleep(0.002)

    options = [("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 2000)]
    with Echo(answer, options) as server:
        asyncio.run(load(connection(server.address)))
    assert len(seen) > 1


def test_a_lost_connection_fails_what_it_held_as_unavailable_and_the_next_call_connects_anew():
    held = threading.Event()

    def wait(request, context):
        held.set()
        threading.Event().wait(20 if request == b"wait" else 0)
        return request

    async def load(server):
        made = connection(server.address)
        with contextlib.closing(made):
            call = asyncio.ensure_future(made.call(framed(b"wait")))
            await asyncio.to_thread(until, held.is_set)
            made._wire._transport.abort()
            with pytest.raises(CallFailed, match="UNAVAILABLE: the connection was lost"):
                await call
            assert await made.call(framed(b"again")) == b"again"

    with Echo(wait) as server:
        asyncio.run(load(server))
    nobody = asyncio.run(answers(connection("127.0.0.1:9"), [b""]))
    assert nobody[0][0] == "UNAVAILABLE"


class Script(asyncio.Protocol):
    """A server that says what a test wants: the first when it has been greeted, the rest when it has been asked."""

    def __init__(self, said):
        self.said = said
        self.heard = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if not self.heard:
            self.say(self.said[:1])
        self.heard += data
        if b"application/grpc" in self.heard:
            self.say(self.said[1:])
            self.said = []

    def say(self, parts):
        for part in parts:
            if part is None:
                self.transport.abort()
            else:
                self.transport.write(part)


SETTINGS = frame(4, 0, 0, b"")


def against(*scripts):
    """The answer of a call to a server that follows one script per connection."""

    async def run():
        left = list(scripts)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Script(left.pop(0)), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        got = await answers(connection(f"127.0.0.1:{port}", timeout=1.0), [b"x"])
        server.close()
        return got[0], len(left)

    return asyncio.run(run())


OK = frame(1, 5, 1, hpack.literal("grpc-status", "0"))
# Padded, with a priority, in two pieces, and a message in two frames: what no server of ours sends.
PIECES = (
    frame(1, 0x08 | 0x20, 1, b"\x02" + bytes(5) + b"\x88" + b"\0\0")
    + frame(9, 4, 1, hpack.literal(31, "application/grpc"))
    + frame(0, 8, 1, b"\x01" + framed(b"yes")[:6] + b"\0")
    + frame(0, 0, 1, framed(b"yes")[6:])
)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([SETTINGS, PIECES, OK], b"yes"),
        (
            [SETTINGS, frame(0, 0, 1, b"\1" + framed(b"zip")[1:]), OK],
            ("INTERNAL", "an answer that is no message"),
        ),
        ([SETTINGS, frame(0, 1, 1, framed(b"x"))], ("UNKNOWN", "an answer without trailers")),
        (
            [SETTINGS, frame(3, 0, 1, b"\0\0\0\x08")],
            ("CANCELLED", "the server ended the stream (HTTP/2 error 8)"),
        ),
        ([SETTINGS, frame(1, 5, 1, b"\x8d")], ("UNIMPLEMENTED", "an answer without grpc-status (HTTP 404)")),
        ([SETTINGS], ("DEADLINE_EXCEEDED", "no answer within 1 s")),
    ],
)
def test_whatever_a_server_says_becomes_an_answer_or_a_status(said, answer):
    assert against(said)[0] == answer


def test_what_no_server_has_seen_is_sent_again_and_the_rest_is_not():
    good = [SETTINGS, frame(0, 0, 1, framed(b"yes")), OK]
    refused = [SETTINGS, frame(3, 0, 1, b"\0\0\0\x07")]
    leaving = [SETTINGS, frame(7, 0, 0, bytes(8))]
    dropped = [None]
    assert against(leaving, good) == (b"yes", 0)
    assert against(dropped, good) == (b"yes", 0)
    assert against([SETTINGS, None], good) == (
        ("UNAVAILABLE", "the connection was lost: closed by the server"),
        1,
    )
    # A refused stream is tried again on the connection it was refused on, which this server leaves unanswered.
    assert against(refused)[0][0] == "DEADLINE_EXCEEDED"


def test_ping_is_answered_and_settings_are_acknowledged():
    sent = bytearray()

    class Transport:
        def write(self, data):
            sent.extend(data)

    async def run():
        wire = Wire(b"", 5.0, {})
        wire.connection_made(Transport())
        sent.clear()
        wire.data_received(SETTINGS + frame(6, 0, 0, b"12345678")[:11])
        wire.data_received(frame(6, 0, 0, b"12345678")[11:])
        wire.connection_lost(None)

    asyncio.run(run())
    assert bytes(sent) == frame(4, 1, 0, b"") + frame(6, 1, 0, b"12345678")


# Appendix C.4.1, C.6.1 and C.2.1 of RFC 7541, without the dynamic table.
def test_header_blocks_of_the_standards_examples_are_read():
    assert hpack.unhuffman(bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff")) == "www.example.com"
    assert hpack.unhuffman(bytes.fromhex("d07abe941054d444a8200595040b8166e082a62d1bff")) == (
        "Mon, 21 Oct 2013 20:13:21 GMT"
    )
    assert hpack.unhuffman(bytes.fromhex("9d29ad171863c78f0b97c8e9ae82ae43d3")) == "https://www.example.com"
    block = bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572")
    assert list(hpack.headers(block)) == [("custom-key", "custom-header")]
    assert list(hpack.headers(b"\x20\x88")) == [(hpack.STATUS, "200")]


def test_long_numbers_of_header_blocks_are_written_as_they_are_read():
    value = "v" * 1337
    assert list(hpack.headers(hpack.literal("n", value) + hpack.literal(58, "x"))) == [
        ("n", value),
        (58, "x"),
    ]
    assert hpack.literal("n", value)[3:5] == b"\x7f\xba"  # 1337 = 127 + 58 + 9 * 128


@pytest.mark.parametrize("block", [b"\xbe", b"\x7f\x80", b"\x00\x05ab", b"\x00", b"\x00\x01a\x81\xff\xff"])
def test_a_header_block_that_cannot_be_read_is_named(block):
    with pytest.raises(hpack.HpackError):
        list(hpack.headers(block))
    found = outcome(block)
    assert (found.code, found.text[:28]) == ("UNKNOWN", "the trailers cannot be read:")
