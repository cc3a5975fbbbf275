"""What the protocol relies on in uvicorn, and what it makes of it, without a network."""

import asyncio
import inspect

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from app.protocol.errors import CloseCode
from app.protocol.frames import Frame, Run
from app.server import websocket

from .peer import Peer

REREAD = "relied on since uvicorn 0.54.0: reread app/server/websocket.py before you go on"


@pytest.fixture
async def peer() -> Peer:
    """A connection that is open."""
    return await Peer.opened()


def frame(text: str) -> Frame:
    """A message."""
    return Frame(text.encode())


def test_the_constructor_of_uvicorn_takes_what_it_took() -> None:
    parameters = list(inspect.signature(WebSocketsSansIOProtocol.__init__).parameters)
    assert parameters == ["self", "config", "server_state", "app_state", "_loop"], REREAD


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("data_received", ["self", "data"]),
        ("handle_close", ["self", "event"]),
        ("handle_connect", ["self", "event"]),
        ("handle_parser_exception", ["self"]),
        ("pause_writing", ["self"]),
        ("receive", ["self"]),
        ("resume_writing", ["self"]),
        ("run_asgi", ["self"]),
        ("shutdown", ["self"]),
        ("start_keepalive", ["self"]),
    ],
)
def test_uvicorn_has_the_methods_it_had(name: str, arguments: list[str]) -> None:
    method = getattr(WebSocketsSansIOProtocol, name, None)
    assert method is not None, REREAD
    assert list(inspect.signature(method).parameters) == arguments, REREAD


async def test_uvicorn_keeps_its_state_where_it_kept_it(peer: Peer) -> None:
    state = vars(peer.protocol)
    assert state["conn"].state is State.OPEN, REREAD
    assert state["transport"] is peer.transport, REREAD
    assert state["loop"] is asyncio.get_running_loop(), REREAD
    assert isinstance(state["queue"], asyncio.Queue), REREAD
    assert isinstance(state["writable"], asyncio.Event) and state["writable"].is_set(), REREAD
    assert not {"request", "response"} & set(state), "begin lets go of them"
    assert (state["close_sent"], state["disconnected"]) == (False, False), REREAD
    assert (state["read_paused"], state["close_timer"]) == (False, None), REREAD
    assert state["scope"] is peer.application.scope, REREAD
    assert set(state) >= {"ping_timer", "pong_timer", "pending_ping_payload"}, REREAD


async def test_uvicorn_minds_whether_the_transport_takes_more(peer: Peer) -> None:
    peer.protocol.pause_writing()
    assert not peer.protocol.writable.is_set(), REREAD
    peer.protocol.resume_writing()
    assert peer.protocol.writable.is_set(), REREAD


async def test_uvicorn_pauses_reading_until_a_message_is_taken(peer: Peer) -> None:
    peer.client.send_text(b"{}")
    peer.tell()
    assert peer.protocol.read_paused and not peer.transport.reading, REREAD


async def test_uvicorn_closes_when_the_application_returns_without_a_close(peer: Peer) -> None:
    peer.protocol.queue.put_nowait({"type": "websocket.disconnect", "code": 1000})
    peer.application.leave.set()
    await peer.application.left.wait()
    await peer.turn()
    assert peer.transport.closed, REREAD


async def test_uvicorn_leaves_the_close_to_the_timer_and_to_the_peers_answer(peer: Peer) -> None:
    peer.offered.end(CloseCode.SLOW_CONSUMER)
    timer = peer.protocol.close_timer
    assert timer is not None
    peer.application.leave.set()
    await peer.application.left.wait()
    await peer.turn()
    assert not peer.transport.closed, REREAD
    peer.heard()
    peer.tell()
    assert timer.cancelled() and peer.transport.closed and not peer.transport.aborted, REREAD


async def test_uvicorn_lets_everybody_go_when_the_connection_is_lost(peer: Peer) -> None:
    peer.protocol.pause_writing()
    drained = asyncio.create_task(peer.offered.drained())
    await peer.turn()
    assert not drained.done()
    peer.offered.end(CloseCode.SLOW_CONSUMER)
    timer = peer.protocol.close_timer
    peer.protocol.connection_lost(None)
    await drained
    assert peer.protocol.disconnected, REREAD
    assert timer is not None and timer.cancelled(), REREAD


async def test_a_refused_handshake_offers_nothing_and_runs_nothing() -> None:
    peer = Peer()
    peer.protocol.connection_made(peer.transport)
    peer.protocol.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await peer.turn()
    assert peer.transport.closed, REREAD
    assert peer.application.scope is None, REREAD


async def test_a_frame_and_a_run_of_frames_are_one_write_each_at_once(peer: Peer) -> None:
    texts = [f"{number}" for number in range(5)]
    peer.offered.write(frame(texts[0]))
    peer.offered.write(Run([frame(text) for text in texts[1:]]))
    assert peer.transport.writes == [
        frame(texts[0]).wire,
        b"".join(frame(text).wire for text in texts[1:]),
    ]
    assert peer.heard() == texts


async def test_a_close_comes_after_what_was_written_and_nothing_after_it(peer: Peer) -> None:
    for text in "abc":
        peer.offered.write(frame(text))
    peer.offered.end(CloseCode.DRAIN)
    peer.offered.write(frame("late"))
    peer.offered.end(CloseCode.UNAUTHENTICATED, "again")
    await peer.turn()
    peer.offered.write(frame("too late"))
    await peer.turn()
    assert peer.heard() == ["a", "b", "c"]
    assert peer.closed == (4000, "drain")
    peer.application.leave.set()
    await peer.application.left.wait()
    assert peer.application.events == [
        {"type": "websocket.disconnect", "code": 4000, "reason": "drain"}
    ]


async def test_nothing_is_written_to_a_peer_that_closes_or_is_gone(peer: Peer) -> None:
    other = await Peer.opened()
    peer.client.send_close(1000)
    other.offered.write(frame("first"))
    other.offered.write(frame("waits"))
    peer.tell()
    other.protocol.connection_lost(None)
    written = [len(each.transport.writes) for each in (peer, other)]
    for each in (peer, other):
        each.offered.write(frame("late"))
        each.offered.end(CloseCode.DRAIN)
    await peer.turn()
    assert [len(each.transport.writes) for each in (peer, other)] == written


async def test_a_message_half_read_does_not_keep_the_answer_to_the_close_out(peer: Peer) -> None:
    peer.client.send_text(b"{}")
    peer.tell()
    peer.offered.end(CloseCode.DRAIN)
    assert peer.transport.reading


async def test_a_peer_that_does_not_answer_the_close_is_cut(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.0)
    peer.offered.end(CloseCode.DRAIN)
    timer = peer.protocol.close_timer
    assert timer is not None
    assert not peer.transport.aborted
    while timer.when() > asyncio.get_running_loop().time() or not peer.transport.aborted:
        await peer.turn()
    assert peer.transport.aborted
