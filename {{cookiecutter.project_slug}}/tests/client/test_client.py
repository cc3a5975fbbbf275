"""What the calls of a client promise, and how it all ends."""

import asyncio
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import client
from client import (
    Client,
    Closed,
    CommandRefused,
    Position,
    Receipt,
    Subscription,
)

from .scene import Scene
from .scripted import LOBBY, RECEIPT, Peer, both, message, soon


class TestPublishing:
    async def test_the_receipt_says_where_it_stands(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):

            async def script() -> None:
                command = await peer.hears("publish", channel=LOBBY, data={"text": "hi"})
                assert 1 <= len(command["key"]) <= 64
                await peer.answers(command, **RECEIPT)

            receipt, _ = await both(client.publish(LOBBY, {"text": "hi"}), script())
            assert receipt == Receipt(LOBBY, Position("e1", 1), False)

    async def test_where_nothing_is_kept_there_is_no_position(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):

            async def script() -> None:
                await peer.answers(await peer.hears("publish", key="mine"), channel=LOBBY)

            receipt, _ = await both(client.publish(LOBBY, 1, key="mine"), script())
            assert receipt == Receipt(LOBBY, None, False)

    async def test_a_lost_reply_is_asked_for_with_the_same_key(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            publishing = asyncio.create_task(client.publish(LOBBY, {"text": "hi"}))
            first = await peer.hears("publish")
            peer.cuts()
            peer = await scene.reconnects()
            again = await peer.hears("publish", key=first["key"], data=first["data"])
            await peer.answers(again, **RECEIPT | {"duplicate": True})
            assert await soon(publishing) == Receipt(LOBBY, Position("e1", 1), True)

    async def test_each_publication_has_its_own_key(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            keys = set()
            for _ in range(2):
                publishing = asyncio.create_task(client.publish(LOBBY, {}))
                command = await peer.hears("publish")
                keys.add(command["key"])
                await peer.answers(command, **RECEIPT)
                await soon(publishing)
            assert len(keys) == 2

    async def test_a_refusal_that_may_pass_is_waited_out(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            publishing = asyncio.create_task(client.publish(LOBBY, {}))
            first = await peer.hears("publish")
            await peer.refuses(first, "rate_limited", retryable=True, retry_after_ms=1250)
            await scene.clock.passes(1.75)
            again = await peer.hears("publish", key=first["key"])
            await peer.refuses(again, "unavailable", retryable=True)
            await scene.clock.passes(1.0)
            await peer.answers(await peer.hears("publish", key=first["key"]), **RECEIPT)
            assert (await soon(publishing)).channel == LOBBY

    async def test_another_refusal_is_raised(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            publishing = asyncio.create_task(client.publish(LOBBY, {}))
            await peer.refuses(await peer.hears("publish"), "conflict")
            with pytest.raises(CommandRefused) as refused:
                await soon(publishing)
            assert (refused.value.code, refused.value.retryable) == ("conflict", False)

    async def test_a_deadline_ends_the_waiting(self, scene: Scene) -> None:
        async with scene.connected() as (client, _):
            with pytest.raises(TimeoutError):
                await client.publish(LOBBY, {}, deadline=0)

    async def test_in_the_moment_of_the_loss_it_waits_for_the_next_connection(
        self, scene: Scene
    ) -> None:
        """The socket is closed already, and the client has not been told yet."""
        async with scene.connected() as (client, _):
            assert client._connector.current is not None
            client._connector.current.abort()
            await asyncio.sleep(0)
            assert client.state == "connected"
            publishing = asyncio.ensure_future(client.publish(LOBBY, {}))
            peer = await scene.reconnects()
            await peer.answers(await peer.hears("publish"), **RECEIPT)
            await soon(publishing)

    async def test_without_a_connection_it_waits_for_one(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            peer.cuts()
            await scene.clock.passes(0.5)
            publishing = asyncio.create_task(client.publish(LOBBY, {}))
            peer = await scene.server.welcomes()
            await peer.answers(await peer.hears("publish"), **RECEIPT)
            assert not (await soon(publishing)).duplicate


class TestAsking:
    async def test_history_is_read_page_by_page(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):

            async def script() -> None:
                command = await peer.hears("history", channel=LOBBY, after=3, epoch="e1", limit=2)
                assert "before" not in command
                fields: dict[str, Any] = {"messages": [message(4), message(5)], "has_more": True}
                await peer.answers(command, "history", channel=LOBBY, epoch="e1", **fields)

            asking = client.history(LOBBY, after=3, epoch="e1", limit=2)
            page, _ = await both(asking, script())
            assert [each.offset for each in page.messages] == [4, 5]
            assert (page.epoch, page.has_more) == ("e1", True)

    async def test_presence_is_asked_again_after_a_loss(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            asking = asyncio.create_task(client.presence(LOBBY))
            await peer.hears("presence")
            peer.cuts()
            peer = await scene.reconnects()
            command = await peer.hears("presence", channel=LOBBY)
            users = [{"id": "bob"}]
            await peer.answers(command, "presence", channel=LOBBY, users=users, count=9)
            roster = await soon(asking)
            assert ([user.id for user in roster.users], roster.count) == (["bob"], 9)

    async def test_a_signal_is_sent_once_or_not_at_all(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            await soon(client.signal(LOBBY, "typing", {"on": True}))
            command = await peer.hears("signal", channel=LOBBY, kind="typing", data={"on": True})
            assert "id" not in command
            peer.cuts()
            assert await scene.tells(2) == "connecting"
            await soon(client.signal(LOBBY, "typing"))
            peer = await scene.reconnects()
            await soon(client.signal(LOBBY, "stopped"))
            await peer.hears("signal", kind="stopped", data=None)


class TestTheEnd:
    async def waiting(
        self, client: Client, peer: Peer, room: Subscription
    ) -> list[asyncio.Task[Any]]:
        """One of every call that may wait, each of them waiting."""
        calls: list[Any] = [
            anext(room),
            client.publish(LOBBY, {}, deadline=None),
            client.presence(LOBBY),
            client.history(LOBBY),
            client.subscribe("echo:x"),
        ]
        tasks = [asyncio.ensure_future(call) for call in calls]
        for type in ("publish", "presence", "history", "subscribe"):
            await peer.hears(type)
        return tasks

    @pytest.mark.parametrize(("code", "reason"), [(4504, "revoked"), (1009, "too big")])
    async def test_a_final_code_ends_every_call_and_iterator(
        self, scene: Scene, code: int, reason: str
    ) -> None:
        async with scene.subscribed() as (client, peer, room):
            tasks = await self.waiting(client, peer, room)
            await peer.closes(code, reason)
            for call in (*tasks, anext(room), client.publish(LOBBY, {}), client.signal(LOBBY, "x")):
                with pytest.raises(Closed, match=f"{code} {reason}"):
                    await soon(call)
            with pytest.raises(Closed):
                await client.subscribe("echo:y")
            assert scene.states[-1] == client.state == "closed"

    async def test_leaving_ends_every_call_and_iterator(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, peer, room):
            tasks = await self.waiting(client, peer, room)
        for task in tasks:
            with pytest.raises(Closed, match="1000"):
                await soon(task)
        assert await peer.ends() == 1000

    async def test_nothing_is_left_behind(self, scene: Scene) -> None:
        before = asyncio.all_tasks()
        async with scene.subscribed() as (client, peer, _):
            publishing = asyncio.create_task(client.publish(LOBBY, {}))
            command = await peer.hears("publish")
            await peer.refuses(command, "overloaded", retryable=True)
            publishing.cancel()
            await peer.says("reconnect", reason="drain", after_ms=10, deadline_ms=20)
            await scene.clock.passes(0.01)
            await scene.server.accepts()
        await asyncio.wait({publishing})
        assert {task for task in asyncio.all_tasks() - before if is_clients(task)} == set()

    async def test_an_error_of_the_program_is_not_wrapped(self, scene: Scene) -> None:
        with pytest.raises(ZeroDivisionError):
            async with scene.connected():
                raise ZeroDivisionError

    async def test_entering_may_be_cancelled(self, scene: Scene) -> None:
        before = asyncio.all_tasks()
        entering = asyncio.create_task(scene.client().__aenter__())
        peer = await scene.server.accepts()
        entering.cancel()
        await asyncio.wait({entering})
        assert entering.cancelled()
        await peer.ends()
        assert {task for task in asyncio.all_tasks() - before if is_clients(task)} == set()

    async def test_the_program_may_be_cancelled(self, scene: Scene) -> None:
        inside = asyncio.Event()

        async def program() -> None:
            async with scene.subscribed() as (_, _peer, room):
                inside.set()
                await anext(room)

        running = asyncio.create_task(program())
        await soon(inside.wait())
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()


def is_clients(task: asyncio.Task[Any]) -> bool:
    """Whether a task runs code of the client's."""
    code: CodeType = task.get_coro().cr_code  # type: ignore[union-attr]
    return Path(code.co_filename).is_relative_to(Path(client.__file__).parent)
