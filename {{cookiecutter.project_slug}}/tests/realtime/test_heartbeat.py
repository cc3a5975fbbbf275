"""Signs of life: the server gives them, and finds out who gives none."""

from contextlib import AsyncExitStack
from typing import Any

from app.protocol import frames

from .stage import GatedHistory, Peer, open_node, welcomed

FAST: dict[str, Any] = {"heartbeat_seconds": 0.2, "heartbeat_timeout_seconds": 0.2}


async def beat(peer: Peer) -> None:
    """Wait for the next beat."""
    while await peer.hear_any() != {"type": "ping"}:
        pass


async def test_who_gives_no_sign_of_life_after_a_beat_is_closed() -> None:
    async with open_node(**FAST) as node, welcomed(node) as ann, welcomed(node, "bob") as bob:
        ann.alive = False
        assert await ann.ended == (4002, "heartbeat timed out")
        assert (await bob.ask(type="ping"))["type"] == "pong"


async def test_who_gives_one_stays() -> None:
    async with open_node(**FAST) as node, welcomed(node) as ann:
        for _ in range(6):
            await beat(ann)
        assert not ann.ended.done()


async def test_a_session_inside_a_command_is_alive_and_judged_again_after_it() -> None:
    """Nothing is read from the peer meanwhile, so its silence says nothing."""
    history = GatedHistory()
    async with open_node(**FAST, history=history) as node, welcomed(node) as ann:
        history.open.clear()
        ann.say(type="history", channel="talk:x")
        await history.asked.wait()
        ann.alive = False
        for _ in range(4):
            await beat(ann)
        assert not ann.ended.done()
        history.open.set()
        assert await ann.ended == (4002, "heartbeat timed out")


async def test_the_first_beats_of_many_spread_over_the_interval() -> None:
    async with open_node(heartbeat_seconds=1000) as node, AsyncExitStack() as stack:
        for number in range(50):
            await stack.enter_async_context(welcomed(node, f"user-{number}"))
        assert len(node.wheel._slots) > 25


async def test_a_beat_is_a_message_and_a_ping_of_the_websocket_in_one_write() -> None:
    beat = frames.Beat(frames.Frame(b"x"))
    assert beat.wire == beat.deflated(1) == b"\x81\x01x\x89\x00"
    assert [each.payload for each in beat.frames] == [b"x"]


async def test_nothing_beats_for_a_session_that_ended() -> None:
    async with open_node(**FAST) as node:
        async with welcomed(node) as ann:
            await beat(ann)
        assert not any(node.wheel._slots.values())
