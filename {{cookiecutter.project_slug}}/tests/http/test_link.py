"""The way out over plain ASGI: in order, bounded, and never for ever."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from app.http import link
from app.http.link import AsgiLink
from app.protocol.errors import CloseCode
from app.protocol.frames import Frame
from app.settings import Limits

from ..service import PATIENCE


class Server:
    """What is sent through ASGI, by a server that can be slow or gone."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.gone = False

    async def send(self, event: MutableMapping[str, Any]) -> None:
        """Take one event, once it flows."""
        await self.flowing.wait()
        if self.gone:
            raise OSError
        self.sent.append(event.get("text") or (event["code"], event["reason"]))


async def test_frames_go_out_in_order_and_the_close_comes_last() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=1000))
    running = asyncio.create_task(link.run())
    link.write(Frame(b"1"))
    link.write(Frame("ü".encode()))
    await asyncio.sleep(0)
    link.write(Frame(b"3"))
    link.end(CloseCode.SLOW_CONSUMER, "slow")
    link.write(Frame(b"too late"))
    link.end(CloseCode.UNAUTHENTICATED, "another")
    await running
    assert server.sent == ["1", "ü", "3", (4001, "slow")]


async def test_drained_is_when_everything_was_sent() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=1000))
    running = asyncio.create_task(link.run())
    await link.drained()
    server.flowing.clear()
    link.write(Frame(b"1"))
    link.write(Frame(b"2"))
    drained = asyncio.create_task(link.drained())
    await asyncio.sleep(0.01)
    assert not drained.done()
    server.flowing.set()
    await drained
    assert server.sent == ["1", "2"]
    link.end(CloseCode.DRAIN)
    await running


async def test_what_can_be_had_again_is_refused_while_too_much_waits() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=100))
    running = asyncio.create_task(link.run())
    server.flowing.clear()
    assert link.offer(Frame(b"x" * 90))
    assert link.offer(Frame(b"y" * 10)), "to the edge"
    assert not link.offer(Frame(b"z"))
    assert link.buffered == 100
    link.write(Frame(b"a reply"))
    assert link.buffered == 107
    server.flowing.set()
    await link.drained()
    assert link.offer(Frame(b"larger than the whole outbox" * 10))
    link.end(CloseCode.DRAIN)
    await running
    assert [each[:7] for each in server.sent[:-1]] == ["x" * 7, "y" * 7, "a reply", "larger "]


async def test_who_was_too_slow_and_is_gone_holds_up_nobody() -> None:
    """Whoever catches it up goes on once it is drained, and would find the queue full for ever."""
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=100))
    running = asyncio.create_task(link.run())
    server.flowing.clear()
    assert link.offer(Frame(b"x" * 90))
    assert not link.offer(Frame(b"y" * 90))
    drained = asyncio.create_task(link.drained())
    await asyncio.sleep(0)
    server.gone = True
    server.flowing.set()
    async with asyncio.timeout(PATIENCE):
        await drained
    await running
    assert link.offer(Frame(b"y" * 90))
    assert link.buffered == 0


async def test_a_peer_that_takes_nothing_for_too_long_is_closed() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_seconds=0.01))
    running = asyncio.create_task(link.run())
    server.flowing.clear()
    link.write(Frame(b"1"))
    link.write(Frame(b"2"))
    async with asyncio.timeout(PATIENCE):
        await link.drained()
    server.flowing.set()
    await running
    assert server.sent == [(4001, "slow consumer")]
    assert link.code == 4001


async def test_what_was_sent_does_not_count_any_more() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=100))
    running = asyncio.create_task(link.run())
    for number in range(10):
        link.write(Frame(str(number).encode() * 60))
        await link.drained()
    link.end(CloseCode.DRAIN, "bye")
    await running
    assert len(server.sent) == 11 and server.sent[-1] == (4000, "bye")


async def test_what_the_server_has_not_taken_yet_is_told() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=1000))
    running = asyncio.create_task(link.run())
    server.flowing.clear()
    for _ in range(3):
        link.write(Frame(b"x" * 60))
    assert link.buffered == 180
    server.flowing.set()
    await link.drained()
    assert link.buffered == 0
    link.end(CloseCode.DRAIN)
    await running


async def test_nobody_waits_for_a_peer_that_is_gone() -> None:
    server = Server()
    link = AsgiLink(server.send, Limits(outbox_bytes=1000))
    running = asyncio.create_task(link.run())
    server.gone = True
    link.write(Frame(b"1"))
    await link.drained()
    await running
    link.write(Frame(b"2"))
    await link.drained()


async def test_an_end_that_takes_too_long_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CLOSE_SECONDS", 0.01)
    server = Server()
    links: list[AsgiLink] = []

    async def own() -> None:
        links.append(AsgiLink(server.send, Limits(outbox_bytes=1000)))
        await asyncio.Event().wait()

    owner = asyncio.create_task(own())
    await asyncio.sleep(0)
    running = asyncio.create_task(links[0].run())
    server.flowing.clear()
    links[0].end(CloseCode.DRAIN)
    await asyncio.wait([owner])
    assert owner.cancelled() and links[0].overdue
    running.cancel()


async def test_an_end_in_time_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CLOSE_SECONDS", 0.01)
    server = Server()
    link_ = AsgiLink(server.send, Limits(outbox_bytes=1000))
    running = asyncio.create_task(link_.run())
    link_.end(CloseCode.DRAIN)
    link_.release()
    await running
    await asyncio.sleep(0.02)
    assert not link_.overdue
