"""What a peer may make a connection parse, keep and answer; and with which code it ends."""

import asyncio
import inspect

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Opcode

from app import metrics
from app.protocol.errors import CloseCode
from app.protocol.frames import Frame
from app.server import websocket
from app.server.inbound import CONTROL_FRAMES, CONTROL_SECONDS, FRAGMENTS, STEP_BYTES

from ..service import PATIENCE
from .peer import Peer
from .stranger import framed
from .test_websocket import REREAD

PINGED = b"\x8a\x00"
"""The answer to a ping that says nothing."""


@pytest.fixture
async def peer() -> Peer:
    """A connection that is open."""
    return await Peer.opened()


def counted(code: int) -> float:
    """How often connections were ended with a code."""
    return float(metrics.CLOSES.labels(code)._value.get())


def known(peer: Peer) -> int | None:
    """The code that the connection ended with."""
    code: int | None = peer.offered.code
    return code


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("data_received", ["self", "data"]),
        ("handle_cont", ["self", "event"]),
        ("handle_events", ["self"]),
        ("handle_ping", ["self"]),
        ("handle_pong", ["self", "event"]),
        ("send_500_response", ["self"]),
        ("start_keepalive", ["self"]),
    ],
)
def test_uvicorn_has_the_methods_it_had(name: str, arguments: list[str]) -> None:
    method = getattr(WebSocketsSansIOProtocol, name, None)
    assert method is not None, REREAD
    assert list(inspect.signature(method).parameters) == arguments, REREAD


def test_uvicorn_hands_events_out_as_it_did() -> None:
    assert inspect.getsource(WebSocketsSansIOProtocol.receive) == (
        "    async def receive(self) -> ASGIReceiveEvent:\n"
        "        message = await self.queue.get()\n"
        "        if self.read_paused and self.queue.empty():\n"
        "            self.read_paused = False\n"
        "            self.transport.resume_reading()\n"
        "        return message\n"
    ), REREAD


async def test_pings_are_answered_each(peer: Peer) -> None:
    for number in range(10):
        peer.client.send_ping(b"%d" % number)
    peer.tell()
    assert b"".join(peer.transport.writes) == b"".join(
        b"\x8a\x01%d" % number for number in range(10)
    )


async def test_a_peer_that_takes_nothing_is_answered_once_and_later(peer: Peer) -> None:
    peer.protocol.pause_writing()
    for number in range(100):
        peer.client.send_ping(b"%02d" % number)
        if number % 10 == 0:
            peer.tell()
    peer.tell()
    assert not peer.transport.writes
    peer.protocol.resume_writing()
    assert peer.transport.writes == [b"\x8a\x0299"]
    peer.protocol.resume_writing()
    assert len(peer.transport.writes) == 1


async def test_a_close_behind_pings_is_answered_though_the_peer_takes_nothing(peer: Peer) -> None:
    peer.protocol.pause_writing()
    peer.client.send_ping(b"")
    peer.client.send_close(1000)
    peer.tell()
    assert b"".join(peer.transport.writes) == PINGED + b"\x88\x02\x03\xe8"
    assert peer.transport.closed


async def test_after_the_close_pings_are_not_answered(peer: Peer) -> None:
    peer.offered.end(CloseCode.DRAIN)
    before = len(peer.transport.writes)
    for _ in range(10):
        peer.client.send_ping(b"")
    peer.tell()
    assert len(peer.transport.writes) == before


@pytest.mark.parametrize("kind", [Opcode.PING, Opcode.PONG])
async def test_so_many_control_frames_are_taken_in_a_while(peer: Peer, kind: Opcode) -> None:
    for _ in range(2):
        peer.protocol.data_received(framed(kind) * CONTROL_FRAMES)
        assert not peer.transport.closed
        peer.protocol._since -= 2 * CONTROL_SECONDS
    peer.protocol.data_received(framed(kind) * (CONTROL_FRAMES + 1))
    peer.heard()
    assert peer.closed == (4200, "rate limited")
    assert peer.transport.over


async def test_after_the_close_a_flood_is_cut(peer: Peer) -> None:
    peer.offered.end(CloseCode.DRAIN)
    peer.protocol.data_received(framed(Opcode.PING) * CONTROL_FRAMES)
    assert not peer.transport.aborted
    peer.protocol.data_received(framed(Opcode.PING))
    assert peer.transport.aborted


async def test_a_flood_is_parsed_no_further_than_it_takes_to_notice(peer: Peer) -> None:
    flood = framed(Opcode.PING) * 40_000
    peer.protocol.data_received(flood)
    assert peer.closed is None
    answers = b"".join(peer.transport.writes).count(PINGED)
    assert answers <= CONTROL_FRAMES + STEP_BYTES // len(framed(Opcode.PING))
    assert peer.protocol.queue.qsize() == 1, "the application is told once"


async def test_of_many_messages_in_one_read_few_are_parsed_before_they_are_received(
    peer: Peer,
) -> None:
    texts = [f"{number}" for number in range(10_000)]
    for text in texts:
        peer.client.send_text(text.encode())
    peer.client.send_ping(b"last")
    peer.tell()
    for text in texts:
        assert peer.protocol.queue.qsize() <= STEP_BYTES // len(framed(Opcode.TEXT))
        assert not peer.transport.reading
        assert (await peer.protocol.receive())["text"] == text
    assert peer.transport.reading
    assert b"".join(peer.transport.writes).endswith(b"last"), "the ping was answered"
    assert peer.unread == 0


async def test_who_waits_for_a_message_gets_the_first_of_many_in_one_read(peer: Peer) -> None:
    waiting = asyncio.create_task(peer.protocol.receive())
    await peer.turn()
    for number in range(10_000):
        peer.client.send_text(b"%d" % number)
    peer.tell()
    assert (await waiting)["text"] == "0"
    for number in range(1, 10_000):
        async with asyncio.timeout(1):
            assert (await peer.protocol.receive())["text"] == f"{number}"


async def test_messages_of_every_size_and_in_pieces_of_every_size_arrive(peer: Peer) -> None:
    texts = ["x" * size for size in (0, 1, 125, 4089, 4090, 4096, 5000, 65_536)]
    for piece in (1, 100, STEP_BYTES, STEP_BYTES + 1, 1_000_000):
        for text in texts:
            peer.client.send_text(text.encode())
        said = b"".join(peer.client.data_to_send())
        for start in range(0, len(said), piece):
            peer.protocol.data_received(said[start : start + piece])
        for text in texts:
            assert (await peer.protocol.receive())["text"] == text


async def test_a_large_message_may_have_a_fragment_for_every_64_bytes(peer: Peer) -> None:
    peer.protocol.conn.max_message_size = 1_000_000
    text = "x" * 1_000_000
    peer.client.send_text(text[:64].encode(), fin=False)
    for start in range(64, len(text), 64):
        end = start + 64
        peer.client.send_continuation(text[start:end].encode(), fin=end >= len(text))
    peer.tell()
    assert (await peer.protocol.receive())["text"] == text


async def test_too_many_fragments_end_it(peer: Peer) -> None:
    peer.protocol.conn.max_message_size = 65_536
    peer.client.send_text(b"", fin=False)
    for _ in range(FRAGMENTS):
        peer.client.send_continuation(b"", fin=False)
    peer.tell()
    peer.heard()
    assert peer.closed == (4502, "protocol error")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"\xff" * 10, 1002),
        (framed(Opcode.TEXT, b"\xff"), 1007),
        (framed(Opcode.TEXT, b"x" * 200_000), 1009),
        (framed(Opcode.PING) * (CONTROL_FRAMES + 1), 4200),
        (framed(Opcode.TEXT, final=False) + framed(Opcode.CONT, final=False) * FRAGMENTS, 4502),
    ],
)
async def test_a_close_that_the_engine_makes_is_counted_once_and_known(
    peer: Peer, said: bytes, code: int
) -> None:
    peer.protocol.conn.max_message_size = 65_536
    before = counted(code)
    assert known(peer) is None
    peer.protocol.data_received(said)
    peer.offered.end(CloseCode.DRAIN)
    peer.protocol.shutdown()
    peer.protocol.connection_lost(None)
    peer.heard()
    assert peer.closed is not None
    assert peer.closed[0] == code == known(peer)
    assert counted(code) == before + 1
    assert (await peer.protocol.receive())["code"] == code


async def test_the_close_of_a_shutdown_is_counted_once_and_known(peer: Peer) -> None:
    before = counted(1012)
    peer.protocol.shutdown()
    peer.protocol.data_received(b"\xff" * 10)
    assert known(peer) == 1012
    assert counted(1012) == before + 1


async def test_what_a_peer_closes_with_is_known_and_not_counted(peer: Peer) -> None:
    peer.client.send_close(4321)
    peer.tell()
    peer.protocol.shutdown()
    assert known(peer) == 4321
    assert counted(4321) == 0


async def test_a_peer_that_vanishes_leaves_1006(peer: Peer) -> None:
    peer.protocol.connection_lost(None)
    assert known(peer) == 1006


async def test_what_is_not_utf_8_before_a_close_ends_without_an_error(peer: Peer) -> None:
    before = counted(4000)
    peer.protocol.data_received(framed(Opcode.TEXT, b"\xff") + framed(Opcode.CLOSE, b"\x0f\xa0"))
    peer.heard()
    assert peer.closed == (4000, "")
    assert peer.transport.over
    assert (await peer.protocol.receive())["code"] == 4000
    assert counted(4000) == before, "it is the peer's"


async def test_what_is_written_after_a_flood_goes_nowhere(peer: Peer) -> None:
    peer.protocol.data_received(framed(Opcode.PING) * (CONTROL_FRAMES + 1))
    before = len(peer.transport.writes)
    peer.offered.write(Frame(b"late"))
    assert len(peer.transport.writes) == before


async def test_who_is_not_accepted_in_time_and_does_not_read_that_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
    peer = Peer()
    peer.protocol.connection_made(peer.transport)
    peer.client.send_request(peer.client.connect())
    peer.tell()
    peer.protocol._not_accepted()
    assert peer.transport.writes[0].startswith(b"HTTP/1.1 500 ")
    assert peer.transport.closed
    async with asyncio.timeout(PATIENCE):
        while not peer.transport.aborted:
            await peer.turn()


async def test_who_leaves_before_it_is_accepted_is_not_waited_for(peer: Peer) -> None:
    peer.protocol.expect_acceptance(1000)
    timer = peer.protocol._acceptance
    peer.protocol.connection_lost(None)
    assert timer is not None and timer.cancelled()
