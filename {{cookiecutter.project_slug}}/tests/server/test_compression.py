"""Compression: one frame for all who negotiated it, plain for the others, and no bombs."""

import asyncio
import inspect
import json
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame as Received
from websockets.frames import Opcode

from app.protocol.errors import CloseCode
from app.protocol.frames import WINDOW_BITS, Frame
from app.server.compression import SharedDeflate
from app.server.inbound import COMPRESSED_STEP_BYTES

from ..conftest import Connect
from ..service import PATIENCE, Service, running
from .peer import Peer
from .stranger import asking, request
from .test_websocket import REREAD

LIMIT = 65_536
"""Bytes that a client may say at once."""
OFFER = "permessage-deflate"
ANSWER = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=13"
)
PLAIN, DEFLATED = 0x81, 0xC1
"""How a text frame begins: final, and RSV1 where it is compressed."""


@pytest.fixture(scope="module")
def compressing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that compresses what has 300 bytes or more."""
    with running(
        tmp_path_factory.mktemp("compressing"),
        APP_COMPRESSION="true",
        APP_COMPRESSION_THRESHOLD="300",
    ) as service:
        yield service
        assert "Traceback" not in service.log


class Raw:
    """A connection of which every bit is seen."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answer: str | None = None
        """What the server negotiated."""
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, service: Service, *offers: str) -> AsyncIterator["Raw"]:
        """Shake hands, and be authenticated."""
        raw = cls(*await asyncio.open_connection("127.0.0.1", service.port))
        try:
            shown = await service.shown("raw")
            await raw._shake_hands(asking(service, shown), offers)
            if shown.message is not None:
                raw.say(**shown.message)
            await raw.hear_type("welcome")
            yield raw
        finally:
            raw._writer.close()

    async def _shake_hands(self, lines: tuple[str, ...], offers: tuple[str, ...]) -> None:
        offering = (f"Sec-WebSocket-Extensions: {offer}" for offer in offers)
        self._writer.write(request(*lines, *offering))
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        assert status.split()[1] == "101"
        for header in headers:
            name, _, value = header.partition(": ")
            if name.lower() == "sec-websocket-extensions":
                assert self.answer is None
                self.answer = value

    def say(self, **message: Any) -> None:
        """Send one message, plain: who negotiated compression need not use it."""
        frame = Received(Opcode.TEXT, json.dumps(message).encode())
        self._writer.write(frame.serialize(mask=True))

    async def hear(self) -> tuple[int, bytes]:
        """The next frame: its first byte, and its payload as it came."""
        async with asyncio.timeout(PATIENCE):
            first, length = await self._reader.readexactly(2)
            if length > 125:
                size = await self._reader.readexactly(2 if length == 126 else 8)
                length = int.from_bytes(size, "big")
            return first, await self._reader.readexactly(length)

    async def hear_type(self, wanted: str) -> tuple[int, bytes]:
        """The next frame whose message has a type; it is understood from nothing but itself."""
        while True:
            first, payload = await self.hear()
            if understood(first, payload)["type"] == wanted:
                return first, payload

    async def subscribe(self, channel: str) -> None:
        """Subscribe, and be subscribed."""
        self.say(type="subscribe", channel=channel)
        await self.hear_type("subscribed")


def understood(first: int, payload: bytes) -> Any:
    """The message in a text frame; one that is compressed ends with an empty block unsaid."""
    assert first in (PLAIN, DEFLATED)
    if first == DEFLATED:
        assert not payload.endswith(b"\x00\x00\xff\xff")
        payload = zlib.decompressobj(-13).decompress(payload + b"\x00\x00\xff\xff")
    return json.loads(payload)


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ([], None),
        ([OFFER], ANSWER),
        ([f"{OFFER}; client_max_window_bits"], f"{ANSWER}; client_max_window_bits=12"),
        ([f"{OFFER}; client_max_window_bits=15"], f"{ANSWER}; client_max_window_bits=12"),
        ([f"{OFFER}; client_max_window_bits=8"], f"{ANSWER}; client_max_window_bits=8"),
        ([f"{OFFER}; server_no_context_takeover; client_no_context_takeover"], ANSWER),
        ([f"{OFFER}; server_max_window_bits=15"], ANSWER),
        ([f"{OFFER}; server_max_window_bits=13"], ANSWER),
        ([f"{OFFER}; server_max_window_bits=12"], None),
        ([f"{OFFER}; server_max_window_bits=9"], None),
        ([f"{OFFER}; server_max_window_bits=8"], None),
        ([f"{OFFER}; server_max_window_bits"], None),
        ([f"{OFFER}; server_max_window_bits=16"], None),
        ([f"{OFFER}; client_max_window_bits=7"], None),
        ([f"{OFFER}; server_no_context_takeover=1"], None),
        ([f"{OFFER}; client_max_window_bits; client_max_window_bits"], None),
        ([f"{OFFER}; level=9"], None),
        ([f"{OFFER}; server_max_window_bits=10, {OFFER}"], ANSWER),
        ([f"{OFFER}; server_max_window_bits=10", OFFER, OFFER], ANSWER),
        (["x-webkit-deflate-frame, bbf-usp-protocol; level"], None),
        ([f"x-webkit-deflate-frame, {OFFER}"], ANSWER),
    ],
)
async def test_an_offer_is_accepted_without_context_and_with_the_whole_window_or_declined(
    compressing: Service, channel: str, offers: list[str], answer: str | None
) -> None:
    async with Raw.open(compressing, *offers) as raw:
        assert raw.answer == answer
        channel = channel.replace("chat:", "echo:")
        await raw.subscribe(channel)
        raw.say(type="publish", channel=channel, data="x" * 1000)
        first, payload = await raw.hear_type("message")
        assert first == (PLAIN if answer is None else DEFLATED)
        assert understood(first, payload)["data"] == "x" * 1000


async def test_all_who_negotiated_it_get_the_same_bytes_and_the_others_get_them_plain(
    compressing: Service,
) -> None:
    bits = f"{OFFER}; client_max_window_bits"
    async with (
        Raw.open(compressing, OFFER) as ann,
        Raw.open(compressing, bits) as bob,
        Raw.open(compressing) as joe,
    ):
        for raw in (ann, bob, joe):
            await raw.subscribe("echo:shared")
        for number in range(20):
            ann.say(type="publish", channel="echo:shared", data=f"{number} " * 500)
            first, payload = await ann.hear_type("message")
            assert (first, payload) == await bob.hear_type("message")
            plain, text = await joe.hear_type("message")
            assert (first, plain) == (DEFLATED, PLAIN)
            assert understood(first, payload) == json.loads(text)
            assert len(payload) < len(text) / 5


async def test_below_the_threshold_messages_go_plain(compressing: Service) -> None:
    async with Raw.open(compressing, OFFER) as raw:
        await raw.subscribe("echo:sizes")
        for size in (10, 400, 10, 50_000, 10):
            raw.say(type="publish", channel="echo:sizes", data="x" * size)
            first, payload = await raw.hear_type("message")
            assert first == (PLAIN if size == 10 else DEFLATED)
            assert understood(first, payload)["data"] == "x" * size


async def test_a_library_reads_and_says_everything_large_and_small_in_order(
    compressing: Service, connect: Connect, channel: str
) -> None:
    ann, bob = await connect("ann", to=compressing), await connect("bob", to=compressing)
    for wire in (ann, bob):
        assert [type(each) for each in wire.connection.protocol.extensions] == [PerMessageDeflate]
    chance = random.Random(1)
    texts = [chance.choice("abcü") * chance.randint(1, 2000) for _ in range(200)]
    await bob.ask(type="subscribe", channel=channel)
    for text in texts:
        await ann.say(type="publish", channel=channel, data={"text": text})
    assert [(await bob.hear_type("message"))["data"]["text"] for _ in texts] == texts
    page = await bob.ask(type="history", channel=channel)
    assert [each["data"]["text"] for each in page["messages"]] == texts[-100:]


async def test_it_is_off_unless_asked_for(service: Service, channel: str) -> None:
    async with Raw.open(service, OFFER) as raw:
        assert raw.answer is None
        await raw.subscribe(channel)
        raw.say(type="publish", channel=channel, data={"text": "x" * 4000})
        first, payload = await raw.hear_type("message")
        assert (first, json.loads(payload)["data"]["text"]) == (PLAIN, "x" * 4000)


async def test_a_bomb_is_refused_as_too_large_and_nobody_else_is_concerned(
    compressing: Service, connect: Connect
) -> None:
    ann, bob = await connect("ann", to=compressing), await connect("bob", to=compressing)
    await ann.connection.send(" " * 50_000_000)
    assert (await ann.closed())[0] == 1009
    assert (await bob.ask(type="ping"))["type"] == "pong"


@pytest.fixture
async def peer() -> Peer:
    """A connection that has negotiated compression."""
    peer = await Peer.opened(ClientPerMessageDeflateFactory())
    peer.protocol.conn.max_message_size = LIMIT
    return peer


def test_websockets_negotiates_as_it_did() -> None:
    method = ServerPerMessageDeflateFactory.process_request_params
    assert list(inspect.signature(method).parameters) == ["self", "params", "accepted_extensions"]
    _, extension = SharedDeflate().process_request_params([], [])
    assert extension.local_max_window_bits == WINDOW_BITS, REREAD


async def test_uvicorn_and_websockets_keep_extensions_where_they_did(peer: Peer) -> None:
    assert peer.protocol.config.ws_per_message_deflate is True, REREAD
    assert {"available_extensions", "extensions"} <= set(vars(peer.protocol.conn)), REREAD
    assert [type(each) for each in peer.protocol.conn.extensions] == [PerMessageDeflate], REREAD
    plain = await Peer.opened()
    assert plain.protocol.conn.extensions == [], REREAD


async def test_nothing_is_kept_between_messages(peer: Peer) -> None:
    peer.client.send_text(b"x" * 5000)
    peer.tell()
    assert (await peer.protocol.receive())["text"] == "x" * 5000
    await peer.protocol.send({"type": "websocket.send", "text": "x" * 5000})
    (extension,) = peer.protocol.conn.extensions
    assert not {"encoder", "decoder"} & set(vars(extension)), REREAD


async def test_pings_closes_and_what_others_send_go_beside_it(peer: Peer) -> None:
    peer.offered.write(Frame(b"1" * 5000))
    await peer.protocol.send({"type": "websocket.send", "text": "2" * 5000})
    peer.client.send_ping(b"!")
    peer.tell()
    peer.offered.write(Frame(b"3" * 5000))
    peer.offered.end(CloseCode.DRAIN)
    firsts = [data[0] for data in peer.transport.writes]
    assert firsts == [DEFLATED, DEFLATED, 0x8A, DEFLATED, 0x88]
    assert peer.heard() == [digit * 5000 for digit in "123"]
    assert peer.closed == (4000, "drain")
    assert not peer.transport.closed
    peer.tell()
    assert peer.transport.closed


async def test_of_a_bomb_no_more_is_inflated_than_a_message_may_have(peer: Peer) -> None:
    peer.client.send_text(b" " * 50_000_000)
    bomb = b"".join(peer.client.data_to_send())
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        peer.protocol.data_received(bomb * 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * LIMIT
    peer.heard()
    assert peer.closed is not None and peer.closed[0] == 1009
    assert peer.transport.over
    assert peer.protocol.queue.qsize() == 1, "the application is told once"


async def test_of_many_large_messages_in_one_read_few_are_inflated_before_they_are_received(
    peer: Peer,
) -> None:
    texts = [f"{number:0{LIMIT}}" for number in range(500)]
    for text in texts:
        peer.client.send_text(text.encode())
    peer.client.send_ping(b"last")
    peer.tell()
    most = 0
    for text in texts:
        assert (await peer.protocol.receive())["text"] == text
        most = max(most, peer.protocol.queue.qsize())
        assert peer.transport.reading or peer.protocol.queue.qsize()
    assert most * LIMIT <= 1032 * COMPRESSED_STEP_BYTES + LIMIT
    assert peer.transport.reading
    assert peer.transport.writes[-1].endswith(b"last"), "the ping was answered"


async def test_a_message_in_fragments_and_over_many_reads_is_one_message(peer: Peer) -> None:
    text = "".join(random.Random(1).choices("abcdefgh", k=40_000))
    peer.client.send_text(text[:10_000].encode(), fin=False)
    peer.client.send_continuation(text[10_000:].encode(), fin=True)
    for byte in b"".join(peer.client.data_to_send()):
        peer.protocol.data_received(bytes((byte,)))
    assert (await peer.protocol.receive())["text"] == text


async def test_a_close_behind_messages_that_nobody_will_receive_is_seen(peer: Peer) -> None:
    for number in range(200):
        peer.client.send_text(f"{number:0{LIMIT}}".encode())
    peer.client.send_close(1000)
    peer.tell()
    assert not peer.transport.closed
    peer.offered.end(CloseCode.DRAIN)
    before = peer.unread
    await peer.turn()
    assert before - peer.unread <= 2 * COMPRESSED_STEP_BYTES, "a step per turn: others wait, too"
    async with asyncio.timeout(PATIENCE):
        while not peer.transport.closed:
            await peer.turn()
