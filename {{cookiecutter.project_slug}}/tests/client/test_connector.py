"""How the client comes by a connection, and by another."""

import asyncio
from contextlib import suppress

import pytest

from client import (
    Closed,
    CommandRefused,
    Message,
    Position,
    Restated,
)
from client.connection import Connection
from client.errors import ConnectionLost

from .scene import Greeted, Scene, offsets
from .scripted import LOBBY, RECEIPT, both, message, soon, subscribed


class Proving(Greeted):
    """Sends a token, on the first connection unless told otherwise."""

    def __init__(self, *, first: bool = True) -> None:
        self._proves = first

    async def prove(self, connection: Connection) -> None:
        if self._proves:
            await connection.command("auth", token="t")
        else:
            self._proves = True
            await super().prove(connection)


class Dawdling(Greeted):
    """Has something to do after its first welcome, and is not done before the connection ends."""

    def __init__(self) -> None:
        self._again = False

    async def prove(self, connection: Connection) -> None:
        await connection.greeting
        if not self._again:
            self._again = True
            with suppress(ConnectionLost):
                await connection.departure


class Broken(Greeted):
    """Raises these when asked for a credential."""

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = list(errors)

    async def prepare(self, url: str) -> tuple[str, dict[str, str]]:
        if error := self._errors.pop(0):
            raise error
        return url, {}


class Refreshing(Greeted):
    """Refreshes by a command, unless there is an error for this time."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.asked = 0

    async def refresh(self, url: str, connection: Connection) -> None:
        self.asked += 1
        if self._errors:
            raise self._errors.pop(0)
        await connection.command("refresh", token="t")


class TestConnecting:
    async def test_entering_waits_for_the_welcome(self, scene: Scene) -> None:
        async with scene.connected() as (client, _):
            assert client.welcome.user.name == "Ann"
            assert client.state == "connected"
        assert scene.states == ["connected", "closed"]

    async def test_waits_between_attempts_grow(self, scene: Scene) -> None:
        scene.server.refusals += [(503, {})] * 3
        entering = asyncio.create_task(scene.client().__aenter__())
        for seconds in (0.5, 1.0, 2.0):
            await scene.clock.passes(seconds)
        await scene.server.welcomes()
        client = await soon(entering)
        await client.__aexit__(None, None, None)

    async def test_the_server_may_say_how_long_to_wait(self, scene: Scene) -> None:
        scene.server.refusals.append((503, {"Retry-After": "7"}))
        entering = asyncio.create_task(scene.client().__aenter__())
        await scene.clock.passes(7.5)
        await scene.server.welcomes()
        client = await soon(entering)
        await client.__aexit__(None, None, None)

    async def test_after_a_good_connection_waits_begin_anew(self, scene: Scene) -> None:
        async with scene.connected() as (_, peer):
            await peer.closes(4000, "drain")
            peer = await scene.reconnects(0.5)
            await peer.closes(4000, "drain")
            peer = await scene.reconnects(1.0)
            scene.clock.advance(10)
            await peer.closes(4000, "drain")
            await scene.reconnects(0.5)

    async def test_a_connection_that_ends_right_after_the_welcome_is_never_used(
        self, scene: Scene
    ) -> None:
        entering = asyncio.create_task(scene.client(auth=Dawdling()).__aenter__())
        peer = await scene.server.welcomes()
        await peer.closes(1012)
        await scene.reconnects()
        client = await soon(entering)
        assert scene.states == ["connected"]
        await client.__aexit__(None, None, None)

    async def test_a_refused_handshake_may_be_final(self, scene: Scene) -> None:
        scene.server.refusals.append((403, {}))
        with pytest.raises(Closed, match="403 Forbidden"):
            await soon(scene.client().__aenter__())

    async def test_silence_is_a_loss(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            scene.clock.advance(35)
            await peer.ends()
            await scene.reconnects()
            assert client.welcome.session == "s1"
            assert scene.states[:2] == ["connected", "connecting"]

    async def test_a_refused_proof_is_tried_again_if_it_may_pass(self, scene: Scene) -> None:
        client = scene.client(auth=Proving())
        entering = asyncio.create_task(client.__aenter__())
        peer = await scene.server.accepts()
        refused = {"retryable": True, "retry_after_ms": 3000}
        await peer.refuses(await peer.hears("auth"), "unavailable", **refused)
        await peer.ends()
        await scene.clock.passes(3.5)
        peer = await scene.server.accepts()
        await peer.refuses(await peer.hears("auth"), "forbidden")
        with pytest.raises(CommandRefused, match="forbidden"):
            await soon(entering)

    async def test_an_error_in_how_it_says_who_it_is_ends_the_client(self, scene: Scene) -> None:
        with pytest.raises(ZeroDivisionError):
            await soon(scene.client(auth=Broken(ZeroDivisionError())).__aenter__())

    async def test_what_cannot_be_reached_for_that_is_tried_again(self, scene: Scene) -> None:
        auth = Broken(ConnectionRefusedError(), None)
        entering = asyncio.create_task(scene.client(auth=auth).__aenter__())
        await scene.reconnects()
        client = await soon(entering)
        await client.__aexit__(None, None, None)


class TestMoving:
    """The server asks the client to open another connection before it ends this one."""

    async def test_the_old_connection_serves_until_the_new_one_is_there(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, old, room):
            await old.says("reconnect", reason="drain", after_ms=3000, deadline_ms=9000)
            await old.publishes(1)
            assert await offsets(room, 1) == [1]

            async def script() -> None:
                await old.answers(await old.hears("publish"), **RECEIPT)

            await both(client.publish(LOBBY, {}), script())
            await scene.clock.passes(3)
            new = await scene.server.welcomes()
            asked = {"since": {"epoch": "e1", "offset": 1}}
            await new.subscribes(asked=asked, recovered=True, offset=2, messages=[message(2)])
            assert await old.ends() == 1000
            await new.publishes(3)
            assert await offsets(room, 2) == [2, 3]
            assert scene.states == ["connected", "connected"]

    async def test_what_the_old_connection_still_says_is_not_heard_twice(
        self, scene: Scene
    ) -> None:
        async with scene.subscribed(epoch=None, offset=None) as (_, old, room):
            await old.says("reconnect", reason="drain", after_ms=10, deadline_ms=9000)
            await scene.clock.passes(0.01)
            with old.deaf():
                new = await scene.server.welcomes()
                command = await new.hears("subscribe")
                await old.publishes(None, message_id="old")
            place = subscribed(epoch=None, offset=None)
            await new.answers(command, "subscribed", **place)
            await new.publishes(None, message_id="new")
            assert await soon(anext(room)) == Restated(LOBBY, "no_history", None)
            event = await soon(anext(room))
            assert isinstance(event, Message)
            assert event.message_id == "new"
            assert await old.ends() == 1000

    async def test_what_is_left_to_do_on_the_old_connection_does_not_disturb_the_new(
        self, scene: Scene
    ) -> None:
        """Here it was about to subscribe again, since the iterator had fallen behind."""
        async with scene.subscribed(options={"buffer": 1}) as (client, old, room):
            await old.publishes(1)
            await old.publishes(2)
            assert await offsets(room, 1) == [1]
            await soon(anext(room))
            third = asyncio.ensure_future(anext(room))
            await old.hears("unsubscribe")
            asking = asyncio.create_task(client.presence(LOBBY))
            await old.hears("presence")
            await old.says("reconnect", reason="drain", after_ms=10, deadline_ms=9000)
            await scene.clock.passes(0.01)
            new = await scene.server.welcomes()
            asked = {"since": {"epoch": "e1", "offset": 1}}
            await new.subscribes(asked=asked, recovered=True, offset=1)
            command = await new.hears("presence")  # so the old one has ended for the client
            await new.answers(command, "presence", channel=LOBBY, users=[], count=0)
            await soon(asking)
            await new.publishes(2)
            event = await soon(third)
            assert isinstance(event, Message)
            assert event.offset == 2

    async def test_where_there_is_no_credential_for_another_all_ends_at_once(
        self, scene: Scene
    ) -> None:
        auth = Broken(None, ZeroDivisionError())
        async with scene.subscribed(options={"auth": auth}) as (client, old, room):
            before = client._connector.current
            assert before is not None
            await old.says("reconnect", reason="drain", after_ms=10, deadline_ms=9000)
            with old.deaf():
                await scene.clock.passes(0.01)
                assert await scene.tells(2) == "closed"
                assert before.lost is None
                for call in (anext(room), client.subscribe("echo:x")):
                    with pytest.raises(ZeroDivisionError):
                        await soon(call)
            assert await old.ends() == 1000

    async def test_no_refusal_of_a_new_one_is_final_while_the_old_one_serves(
        self, scene: Scene
    ) -> None:
        """As in a deploy, where the load balancer has nobody to ask for a moment."""
        async with scene.subscribed(options={"auth": Proving(first=False)}) as (_, old, room):
            await old.says("reconnect", reason="drain", after_ms=0, deadline_ms=9000)
            scene.server.refusals.append((404, {}))
            await soon(scene.server.refused.acquire())
            await scene.clock.passes(0.5)
            await (await scene.server.accepts()).closes(4508, "forbidden")
            await scene.clock.passes(1.0)
            await (await scene.server.accepts()).closes(4100, "credential expired")
            await scene.clock.passes(2.0)
            peer = await scene.server.accepts()
            await peer.refuses(await peer.hears("auth"), "forbidden")
            await old.publishes(1)
            assert await offsets(room, 1) == [1]
            await scene.clock.passes(4.0)
            peer = await scene.server.accepts()
            await peer.welcomes(await peer.hears("auth"))
            await peer.subscribes(recovered=True, offset=1)
            assert await old.ends() == 1000
            assert scene.states == ["connected", "connected"]

    async def test_with_the_old_one_gone_a_refusal_is_final(self, scene: Scene) -> None:
        async with scene.subscribed() as (_, old, room):
            await old.says("reconnect", reason="drain", after_ms=0, deadline_ms=9000)
            scene.server.refusals += [(404, {})] * 2
            await soon(scene.server.refused.acquire())
            await old.closes(4000, "drain")
            assert await scene.tells(2) == "connecting"
            await scene.clock.passes(0.5)
            with pytest.raises(Closed, match="404 Not Found"):
                await soon(anext(room))

    async def test_while_the_new_one_is_refused_the_old_one_serves(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, old, room):
            await old.says("reconnect", reason="drain", after_ms=3000, deadline_ms=9000)
            scene.server.refusals += [(503, {"Retry-After": "1"})] * 2
            for offset, seconds in enumerate((3.0, 1.5), start=1):
                await scene.clock.passes(seconds)
                await soon(scene.server.refused.acquire())
                await old.publishes(offset)
                assert await offsets(room, 1) == [offset]

                async def script() -> None:
                    await old.answers(await old.hears("publish"), **RECEIPT)

                await both(client.publish(LOBBY, {}), script())
            await scene.clock.passes(2.0)
            new = await scene.server.welcomes()
            asked = {"since": {"epoch": "e1", "offset": 2}}
            await new.subscribes(asked=asked, recovered=True, offset=2)
            assert await old.ends() == 1000
            assert scene.states == ["connected", "connected"]

    async def test_where_nobody_takes_it_before_the_deadline_it_comes_back_later(
        self, scene: Scene
    ) -> None:
        async with scene.subscribed() as (_, old, room):
            await old.says("reconnect", reason="drain", after_ms=0, deadline_ms=1000)
            scene.server.refusals += [(503, {"Retry-After": "1"})] * 2
            await soon(scene.server.refused.acquire())
            await old.publishes(1)
            await old.closes(4000, "drain")
            assert await scene.tells(2) == "connecting"
            await scene.clock.passes(1.5)
            await soon(scene.server.refused.acquire())
            await scene.clock.passes(2.0)
            new = await scene.server.welcomes()
            asked = {"since": {"epoch": "e1", "offset": 1}}
            await new.subscribes(asked=asked, recovered=True, offset=2, messages=[message(2)])
            assert await offsets(room, 2) == [1, 2]
            assert scene.states == ["connected", "connecting", "connected"]

    async def test_an_old_connection_that_ends_early_is_a_loss(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, old, _):
            await old.says("reconnect", reason="drain", after_ms=3000, deadline_ms=9000)
            await old.closes(4000, "drain")
            publishing = asyncio.create_task(client.publish(LOBBY, {}))
            assert await scene.tells(2) == "connecting"
            await scene.clock.passes(3)
            new = await scene.server.welcomes()
            await new.subscribes(recovered=True)
            await new.answers(await new.hears("publish"), **RECEIPT)
            assert (await soon(publishing)).position == Position("e1", 1)


class TestRefreshing:
    """The server says that what proved who is there ends soon."""

    async def test_it_is_done_on_the_connection_that_stays(self, scene: Scene) -> None:
        async with scene.subscribed(options={"auth": Refreshing()}) as (_, peer, room):
            for _ in range(2):
                await peer.says("expiring", in_ms=60000)
                await peer.answers(await peer.hears("refresh", token="t"), expires_at=None)
            await peer.publishes(1)
            assert await offsets(room, 1) == [1]
            assert scene.states == ["connected"]

    @pytest.mark.parametrize(
        "error",
        [
            CommandRefused("unavailable", "not now", retryable=True, retry_after=3.0),
            ConnectionLost(503, "Service Unavailable", retry_after=3.0),
        ],
    )
    async def test_what_may_pass_is_tried_again_when_the_server_says(
        self, scene: Scene, error: Exception
    ) -> None:
        async with scene.connected(auth=Refreshing(error)) as (_, peer):
            await peer.says("expiring", in_ms=60000)
            await scene.clock.passes(3.5)
            await peer.hears("refresh")

    async def test_where_the_source_cannot_be_reached_waits_grow(self, scene: Scene) -> None:
        async with scene.connected(auth=Refreshing(*[TimeoutError()] * 3)) as (_, peer):
            await peer.says("expiring", in_ms=60000)
            for seconds in (0.5, 1.0, 2.0):
                await scene.clock.passes(seconds)
            await peer.hears("refresh")

    @pytest.mark.parametrize(
        "error",
        [CommandRefused("unauthenticated", "no"), ConnectionLost(401, "Unauthorized")],
    )
    async def test_a_refusal_is_final_and_the_connection_serves_until_its_end(
        self, scene: Scene, error: Exception
    ) -> None:
        auth = Refreshing(error)
        async with scene.subscribed(options={"auth": auth}) as (client, peer, room):
            await peer.says("expiring", in_ms=60000)
            await peer.publishes(1)
            assert await offsets(room, 1) == [1]
            scene.clock.advance(20)
            asking = asyncio.create_task(client.presence(LOBBY))
            await peer.hears("presence")
            assert auth.asked == 1
            await peer.closes(4100, "credential expired")
            with pytest.raises(Closed, match="4100 credential expired"):
                await soon(asking)

    async def test_with_the_connection_lost_nothing_is_refreshed(self, scene: Scene) -> None:
        auth = Refreshing(TimeoutError())
        async with scene.connected(auth=auth) as (client, peer):
            await peer.says("expiring", in_ms=60000)
            await scene.clock.sleeps(0.5)
            peer.cuts()
            assert await scene.tells(2) == "connecting"
            peer = await scene.reconnects()
            asking = asyncio.create_task(client.presence(LOBBY))
            await peer.hears("presence")
            assert auth.asked == 1
            asking.cancel()

    async def test_an_error_of_the_source_ends_the_client(self, scene: Scene) -> None:
        async with scene.connected(auth=Refreshing(ZeroDivisionError())) as (client, peer):
            await peer.says("expiring", in_ms=60000)
            assert await scene.tells(2) == "closed"
            with pytest.raises(ZeroDivisionError):
                await client.presence(LOBBY)
