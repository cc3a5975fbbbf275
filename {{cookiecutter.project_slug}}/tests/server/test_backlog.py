"""What waits for a peer that takes nothing for a while: in order, and bounded."""

import asyncio
from time import monotonic

import pytest

from app.protocol.errors import CloseCode
from app.protocol.frames import Frame
from app.server import websocket
from app.settings import Limits

from ..service import PATIENCE
from .peer import Peer

SLOW = (4001, "slow consumer")


@pytest.fixture
async def stuck() -> Peer:
    """A peer that takes nothing, and for whom 1,000 bytes may wait."""
    peer = await Peer.opened()
    peer.offered.limits = Limits(outbox_bytes=1000)
    peer.protocol.pause_writing()
    return peer


def frame(number: int) -> Frame:
    """100 bytes on the wire."""
    return Frame(f"{number:098}".encode())


async def test_what_waits_goes_in_one_write_once_the_peer_takes_more(stuck: Peer) -> None:
    drained = asyncio.create_task(stuck.offered.drained())
    for number in range(9):
        stuck.offered.write(frame(number))
        await stuck.turn()
    assert not stuck.transport.writes
    assert not drained.done()
    stuck.protocol.resume_writing()
    assert len(stuck.transport.writes) == 1
    assert stuck.heard() == [frame(number).payload.decode() for number in range(9)]
    await drained


async def test_drained_is_when_the_peer_took_what_waited_too(
    stuck: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained = asyncio.create_task(stuck.offered.drained())
    stuck.offered.write(frame(0))
    await stuck.turn()
    with monkeypatch.context() as full:
        full.setattr(stuck.transport, "write", lambda data: stuck.protocol.pause_writing())
        stuck.protocol.resume_writing()
        for _ in range(3):
            await stuck.turn()
    assert not drained.done()
    stuck.protocol.resume_writing()
    await drained


async def test_what_waits_is_told_with_what_the_transport_holds(stuck: Peer) -> None:
    stuck.transport.buffered = 7
    for number in range(3):
        stuck.offered.write(frame(number))
        await stuck.turn()
    assert stuck.offered.buffered == 307
    stuck.protocol.resume_writing()
    assert stuck.offered.buffered == 7


async def test_what_was_taken_no_longer_counts(stuck: Peer) -> None:
    for _ in range(3):
        for number in range(10):
            stuck.offered.write(frame(number))
            await stuck.turn()
        stuck.protocol.resume_writing()
        assert len(stuck.heard()) == 10
        stuck.protocol.pause_writing()
    assert not stuck.protocol.close_sent


async def test_what_can_be_had_again_is_refused_while_too_much_waits(stuck: Peer) -> None:
    stuck.transport.buffered = 100
    assert all(stuck.offered.offer(frame(number)) for number in range(9)), "to the edge"
    assert stuck.offered.buffered == 1000
    assert not stuck.offered.offer(frame(9))
    stuck.offered.write(frame(10))
    assert stuck.offered.buffered == 1100
    assert not stuck.protocol.close_sent
    stuck.transport.buffered = 0
    stuck.protocol.resume_writing()
    assert stuck.offered.offer(frame(11))
    expected = [*range(9), 10, 11]
    assert stuck.heard() == [frame(number).payload.decode() for number in expected]


async def test_who_takes_nothing_for_too_long_is_closed_and_cut(
    stuck: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
    stuck.protocol.resume_writing()
    stuck.offered.limits = Limits(outbox_seconds=0.01)
    stuck.protocol.pause_writing()
    stuck.offered.write(frame(0))
    async with asyncio.timeout(PATIENCE):
        while not stuck.transport.aborted:
            await stuck.turn()
    stuck.heard()
    assert stuck.closed == SLOW
    assert stuck.offered.code == 4001


async def test_who_takes_a_little_now_and_then_stays(stuck: Peer) -> None:
    """It is alive, too: what it has yet to take may include the server's question whether it is."""
    heard = stuck.offered.heard
    stuck.transport.buffered = 99
    stuck.offered._look(100, monotonic() - 60)
    assert not stuck.protocol.close_sent
    assert stuck.offered.heard > heard
    stuck.offered._look(99, monotonic() - 60)
    assert stuck.protocol.close_sent


async def test_who_takes_everything_again_is_alive(stuck: Peer) -> None:
    heard = stuck.offered.heard
    stuck.protocol.resume_writing()
    assert stuck.offered.heard > heard


async def test_a_peer_that_takes_everything_again_is_not_looked_after(stuck: Peer) -> None:
    assert stuck.offered._patience is not None
    stuck.protocol.resume_writing()
    assert stuck.offered._patience is None


async def test_a_peer_that_stops_within_a_turn_loses_nothing() -> None:
    peer = await Peer.opened()
    peer.offered.write(frame(0))
    peer.protocol.pause_writing()
    for number in range(1, 4):
        peer.offered.write(frame(number))
    await peer.turn()
    assert len(peer.transport.writes) == 1
    peer.offered.write(frame(4))
    peer.protocol.resume_writing()
    peer.offered.write(frame(5))
    await peer.turn()
    assert peer.heard() == [frame(number).payload.decode() for number in range(6)]


async def test_a_close_comes_after_what_waits(stuck: Peer) -> None:
    """Who is slow for a moment is told everything, unless being slow is why it ends."""
    for number in range(3):
        stuck.offered.write(frame(number))
    stuck.offered.end(CloseCode.DRAIN)
    assert stuck.heard() == [frame(number).payload.decode() for number in range(3)]
    assert stuck.closed == (4000, "drain")


async def test_a_shutdown_comes_after_what_waits() -> None:
    peer = await Peer.opened()
    for number in range(3):
        peer.offered.write(frame(number))
    peer.protocol.shutdown()
    assert peer.heard() == [frame(number).payload.decode() for number in range(3)]
    assert peer.closed == (1012, "")


async def test_a_shutdown_lets_who_was_told_already_answer() -> None:
    peer = await Peer.opened()
    peer.offered.end(CloseCode.DRAIN)
    peer.protocol.shutdown()
    assert not peer.transport.closed
    peer.heard()
    peer.tell()
    assert peer.closed == (4000, "drain")
    assert peer.transport.closed


@pytest.mark.parametrize("stops", ["with a close", "with nonsense"])
async def test_who_leaves_without_reading_what_waits_is_cut(
    stuck: Peer, monkeypatch: pytest.MonkeyPatch, stops: str
) -> None:
    """A transport that is closed keeps the connection until all of its buffer was read."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
    stuck.offered.write(frame(0))
    if stops == "with a close":
        stuck.client.send_close(1000)
        stuck.tell()
    else:
        stuck.protocol.data_received(b"\xff" * 10)
    assert stuck.transport.over
    async with asyncio.timeout(PATIENCE):
        while not stuck.transport.aborted:
            await stuck.turn()
