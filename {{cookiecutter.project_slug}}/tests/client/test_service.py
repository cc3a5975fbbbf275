"""The client and the real service, together."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from client import Client, CommandRefused, Event, Joined, Message, Restated, Roster, Subscription
from client.auth import by_mode

from ..service import OUTLIVES, PATIENCE, Service, running
from .manual_clock import ManualClock


async def client_of(service: Service, user: str, **options: Any) -> Client:
    """A client of a user's, or of a guest's."""
    auth = by_mode()(await service.token(user) or "")
    return Client(service.ws, auth=auth, proxy=None, **options)


async def texts(room: Subscription, count: int) -> list[str]:
    """What the next so many messages say."""
    said: list[str] = []
    async with asyncio.timeout(PATIENCE):
        async for event in room:
            if isinstance(event, Message):
                said.append(event.data["text"])
            if len(said) == count:
                break
    return said


async def test_two_people_talk(service: Service, channel: str) -> None:
    async with await client_of(service, "ann") as ann, await client_of(service, "bob") as bob:
        room = await ann.subscribe(channel, presence=True)
        roster = await anext(room)
        assert isinstance(roster, Roster)
        assert roster.users == (ann.welcome.user,)
        await bob.subscribe(channel, presence=True)
        while (joined := await anext(room)) != Joined(channel, bob.welcome.user, 2):
            assert joined == Joined(channel, ann.welcome.user, 1)
        receipt = await bob.publish(channel, {"text": "hello"})
        heard = await anext(room)
        assert isinstance(heard, Message)
        assert (heard.data, heard.sender) == ({"text": "hello"}, bob.welcome.user)
        assert heard.position == receipt.position
        page = await bob.history(channel)
        assert page.messages == (heard,)
        assert (await ann.presence(channel)).count == 2


async def test_what_was_said_during_a_cut_comes_once_and_in_order(
    service: Service, channel: str, server_side: httpx2.AsyncClient
) -> None:
    """More than the service puts on one page, so that the rest follows as pushes."""

    async def say(number: int) -> None:
        body = {"data": {"text": str(number)}}
        response = await server_side.post(f"/api/channels/{channel}/messages", json=body)
        assert response.is_success

    clock = ManualClock()
    async with await client_of(service, "ann", clock=clock, random=lambda: 1.0) as ann:
        room = await ann.subscribe(channel)
        for number in range(300):
            if number in {10, 290}:
                (await ann._connector.connection()).abort()
            if number == 280:
                await clock.passes(0.5)
            await say(number)
        await clock.passes(1.0)
        await ann.publish(channel, {"text": "end"})
        assert await texts(room, 301) == [*map(str, range(300)), "end"]


async def test_who_reads_slowly_still_reads_everything(service: Service, channel: str) -> None:
    """The client keeps ten events; what does not fit it asks for again, until it has all."""
    async with await client_of(service, "ann", buffer=10) as ann:
        room = await ann.subscribe(channel)
        for number in range(150):
            await ann.publish(channel, {"text": str(number)})
        assert await texts(room, 150) == [str(number) for number in range(150)]


async def test_a_key_makes_a_second_publication_the_first(service: Service, channel: str) -> None:
    async with await client_of(service, "ann") as ann:
        await ann.subscribe(channel)
        first = await ann.publish(channel, {"text": "once"}, key="k")
        again = await ann.publish(channel, {"text": "once"}, key="k")
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.position == again.position
        with pytest.raises(CommandRefused, match="conflict"):
            await ann.publish(channel, {"text": "other"}, key="k")


async def test_what_the_service_refuses_is_raised(service: Service, channel: str) -> None:
    async with await client_of(service, "ann") as ann:
        with pytest.raises(CommandRefused, match="unknown_channel"):
            await ann.subscribe("nowhere:x")
        await ann.subscribe(channel)
        with pytest.raises(CommandRefused, match="invalid_message"):
            await ann.publish(channel, {"no": "text"})
        with pytest.raises(CommandRefused, match="too_large"):
            await ann.publish(channel, {"text": "x" * 70_000})
        assert (await ann.publish(channel, {"text": "still here"})).position is not None


@asynccontextmanager
async def proxied(*services: Service) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """The address of a proxy to the first of these services, and what makes it go to the next."""
    ports = [each.port for each in services]

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", ports[0])
        await asyncio.gather(copy(reader, downstream), copy(upstream, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws", lambda: ports.remove(ports[0])


async def test_a_deploy_moves_a_client_without_a_pause(tmp_path: Path) -> None:
    """To another process, whose history in memory is its own; who one is stays the same."""
    secret, folders = {"APP_JWT_SECRET": "the same secret on all the nodes"}, ("old", "new")
    states: list[str] = []
    async with AsyncExitStack() as stack:
        for folder in folders:
            (tmp_path / folder).mkdir()
        patient = {"APP_DRAIN_SECONDS": "15", "APP_GRACE_SECONDS": "25"}
        old = stack.enter_context(running(tmp_path / "old", **secret, **patient))
        new = stack.enter_context(running(tmp_path / "new", **secret))
        url, switch = await stack.enter_async_context(proxied(old, new))
        auth = by_mode()(await old.token("ann") or "")
        ann = Client(url, auth=auth, proxy=None, on_state=states.append)
        await stack.enter_async_context(ann)
        room, before = await ann.subscribe("chat:lobby"), ann.welcome
        old.send(signal.SIGTERM)
        said = 0
        async with asyncio.timeout(PATIENCE):
            # The draining node refuses at first, and serves whom it has.
            while ann.welcome.node == before.node:
                await ann.publish("chat:lobby", {"text": str(said)})
                said += 1
                if said == 20:
                    switch()
                await asyncio.sleep(0.02)
        assert states == ["connected", "connected"]
        assert ann.welcome.user == before.user
        assert await asyncio.to_thread(old.wait) in (0, -signal.SIGTERM)
        assert await texts(room, 20) == [str(number) for number in range(20)]
        await ann.publish("chat:lobby", {"text": "end"})
        async with asyncio.timeout(PATIENCE):
            rest = [event async for event in until_end(room)]
        assert [type(event) for event in rest].count(Restated) == 1


async def until_end(room: Subscription) -> AsyncIterator[Event]:
    """What comes up to a message that says so."""
    async for event in room:
        yield event
        if isinstance(event, Message) and event.data == {"text": "end"}:
            return


async def test_a_service_that_was_killed_is_found_again(tmp_path: Path) -> None:
    """Where what was kept is gone the client says so; the client itself is the same."""
    with running(tmp_path) as service:
        async with await client_of(service, "ann", random=lambda: 0.1) as ann:
            room = await ann.subscribe("chat:lobby")
            user = ann.welcome.user
            await ann.publish("chat:lobby", {"text": "before"})
            assert await texts(room, 1) == ["before"]
            service.kill()
            publishing = asyncio.create_task(ann.publish("chat:lobby", {"text": "after"}))
            await asyncio.to_thread(service.start)
            async with asyncio.timeout(3 * PATIENCE):
                assert (await publishing).duplicate is False
            if not OUTLIVES:
                restated = await anext(room)
                assert isinstance(restated, Restated)
                assert restated.reason == "epoch_changed"
            assert await texts(room, 1) == ["after"]
            assert ann.welcome.user == user
