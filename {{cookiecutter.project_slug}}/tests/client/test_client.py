"""What the client promises over reconnections, on schedules that the server is told to follow."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from client import (
    Client,
    Closed,
    CommandRefused,
    Message,
    Position,
    Receipt,
    Restated,
    Subscription,
    Unsubscribed,
)
from client.connection import Connection
from client.errors import ConnectionLost

from .scripted import LOBBY, Greeted, Peer, Scene, both, message, soon, subscribed

RECEIPT: dict[str, Any] = {"channel": LOBBY, "epoch": "e1", "offset": 1, "duplicate": False}


async def offsets(room: Subscription, count: int) -> list[int | None]:
    """The next so many messages."""
    events = [await soon(anext(room)) for _ in range(count)]
    assert all(isinstance(event, Message) for event in events), events
    return [event.offset for event in events if isinstance(event, Message)]


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
        await scene.clock.passes(7)
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
        await scene.clock.passes(3)
        peer = await scene.server.accepts()
        await peer.refuses(await peer.hears("auth"), "forbidden")
        with pytest.raises(CommandRefused, match="forbidden"):
            await soon(entering)

    async def test_an_error_of_the_credentials_source_ends_the_client(self, scene: Scene) -> None:
        with pytest.raises(ZeroDivisionError):
            await soon(scene.client(auth=Broken(ZeroDivisionError())).__aenter__())

    async def test_a_source_that_cannot_be_reached_is_tried_again(self, scene: Scene) -> None:
        auth = Broken(ConnectionRefusedError(), None)
        entering = asyncio.create_task(scene.client(auth=auth).__aenter__())
        await scene.reconnects()
        client = await soon(entering)
        await client.__aexit__(None, None, None)


class Proving(Greeted):
    """Sends a token."""

    async def prove(self, connection: Connection) -> None:
        await connection.command("auth", token="t")


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


class TestRecovery:
    async def test_it_goes_on_where_it_was(self, scene: Scene) -> None:
        async with scene.subscribed(offset=4) as (_, peer, room):
            await peer.publishes(5)
            assert await offsets(room, 1) == [5]
            await peer.closes(4001, "slow consumer")
            peer = await scene.reconnects()
            asked = {"since": {"epoch": "e1", "offset": 5}}
            await peer.subscribes(asked=asked, recovered=True, offset=6, messages=[message(6)])
            await peer.publishes(7)
            assert await offsets(room, 2) == [6, 7]

    async def test_a_cut_in_the_middle_of_a_recovery(self, scene: Scene) -> None:
        async with scene.subscribed() as (_, peer, room):
            peer.cuts()
            peer = await scene.reconnects()
            page = [message(offset) for offset in (1, 2, 3)]
            await peer.subscribes(recovered=True, offset=3, messages=page)
            await peer.publishes(4)
            assert await offsets(room, 4) == [1, 2, 3, 4]
            peer.cuts()
            peer = await scene.reconnects(1.0)
            asked = {"since": {"epoch": "e1", "offset": 4}}
            page = [message(offset) for offset in (5, 6)]
            await peer.subscribes(asked=asked, recovered=True, offset=6, messages=page)
            await peer.publishes(6)
            await peer.publishes(7)
            assert await offsets(room, 3) == [5, 6, 7]

    async def test_a_cut_before_the_answer(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            subscribing = asyncio.create_task(client.subscribe(LOBBY, last=3))
            await peer.hears("subscribe", last=3)
            peer.cuts()
            peer = await scene.reconnects()
            await peer.subscribes(asked={"last": 3, "since": None})
            await peer.publishes(1)
            assert await offsets(await soon(subscribing), 1) == [1]

    async def test_a_new_epoch_is_told(self, scene: Scene) -> None:
        async with scene.subscribed(offset=9) as (_, peer, room):
            peer.cuts()
            peer = await scene.reconnects()
            await peer.subscribes(recovered=False, reason="epoch_changed", epoch="e2", offset=1)
            await peer.publishes(2, epoch="e2")
            restated = Restated(LOBBY, "epoch_changed", Position("e2", 1))
            assert await soon(anext(room)) == restated
            assert await offsets(room, 1) == [2]

    async def test_a_live_subscription_is_restated(self, scene: Scene) -> None:
        async with scene.subscribed() as (_, peer, room):
            restated: dict[str, Any] = {"channel": LOBBY, "epoch": "e1", "offset": 7}
            restated |= {"recovered": False, "reason": "too_far", "messages": []}
            await peer.says("subscribed", **restated)
            await peer.publishes(7)
            await peer.publishes(8)
            assert await soon(anext(room)) == Restated(LOBBY, "too_far", Position("e1", 7))
            assert await offsets(room, 1) == [8]

    async def test_what_is_begun_without_a_connection_is_done_on_the_next(
        self, scene: Scene
    ) -> None:
        async with scene.subscribed(options={"on_state": None}) as (client, peer, room):
            await both(client.subscribe("echo:a"), peer.subscribes("echo:a"))
            peer.cuts()
            await scene.clock.passes(0.5)
            await soon(room.unsubscribe())
            subscribing = asyncio.create_task(client.subscribe("echo:b"))
            peer = await scene.server.welcomes()
            await peer.subscribes("echo:a", recovered=True)
            await peer.subscribes("echo:b")
            await soon(subscribing)

    async def test_a_subscribe_given_up_without_a_connection_is_never_made(
        self, scene: Scene
    ) -> None:
        async with scene.connected() as (client, peer):
            peer.cuts()
            assert await scene.tells(2) == "connecting"
            subscribing = asyncio.create_task(client.subscribe("echo:a"))
            await asyncio.sleep(0)
            subscribing.cancel()
            peer = await scene.reconnects()
            await both(client.subscribe("echo:b"), peer.subscribes("echo:b"))

    async def test_who_fell_behind_is_caught_up_by_a_new_connection(self, scene: Scene) -> None:
        async with scene.subscribed(options={"buffer": 1}) as (_, peer, room):
            await peer.publishes(1)
            await peer.publishes(2)
            peer.cuts()
            assert await scene.tells(2) == "connecting"
            assert await offsets(room, 1) == [1]
            await soon(anext(room))
            second = asyncio.ensure_future(anext(room))
            peer = await scene.reconnects()
            asked = {"since": {"epoch": "e1", "offset": 1}}
            await peer.subscribes(asked=asked, recovered=True, messages=[message(2)])
            event = await soon(second)
            assert isinstance(event, Message)
            assert event.offset == 2

    async def test_every_subscription_is_renewed(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, peer, _):
            await both(client.subscribe("echo:x"), peer.subscribes("echo:x"))
            peer.cuts()
            peer = await scene.reconnects()
            await peer.subscribes(LOBBY, recovered=True)
            await peer.subscribes("echo:x", recovered=True)

    async def test_a_renewal_that_is_refused_ends_the_iterator(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, peer, room):
            peer.cuts()
            peer = await scene.reconnects()
            await peer.refuses(await peer.hears("subscribe"), "forbidden")
            with pytest.raises(CommandRefused, match="forbidden"):
                await soon(anext(room))
            await both(client.subscribe(LOBBY), peer.subscribes(asked={"since": None}))

    async def test_a_renewal_is_tried_again_if_it_may_pass(self, scene: Scene) -> None:
        async with scene.subscribed() as (_, peer, room):
            peer.cuts()
            peer = await scene.reconnects()
            command = await peer.hears("subscribe")
            await peer.refuses(command, "overloaded", retryable=True, retry_after_ms=2500)
            await scene.clock.passes(2.5)
            await peer.subscribes(recovered=True, offset=1, messages=[message(1)])
            assert await offsets(room, 1) == [1]

    async def test_who_fell_behind_reads_again_from_where_it_stands(self, scene: Scene) -> None:
        options = {"buffer": 2}
        async with scene.subscribed(options=options) as (client, peer, room):
            for offset in range(1, 50):
                await peer.publishes(offset)
            command = asyncio.create_task(client.publish(LOBBY, {}))
            await peer.answers(await peer.hears("publish"), **RECEIPT)
            await soon(command)
            assert await offsets(room, 2) == [1, 2]
            assert type(await soon(anext(room))).__name__ == "Lagged"

            async def script() -> None:
                await peer.answers(await peer.hears("unsubscribe", channel=LOBBY))
                asked = {"since": {"epoch": "e1", "offset": 2}}
                await peer.subscribes(asked=asked, recovered=True, messages=[message(3)])

            third, _ = await both(anext(room), script())
            assert isinstance(third, Message)
            assert third.offset == 3


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

    async def test_where_the_new_connection_is_refused_for_good_all_ends_at_once(
        self, scene: Scene
    ) -> None:
        async with scene.subscribed() as (client, old, room):
            before = client._connector.current
            assert before is not None
            await old.says("reconnect", reason="drain", after_ms=10, deadline_ms=9000)
            await scene.clock.passes(0.01)
            new = await scene.server.accepts()
            with old.deaf():
                await new.closes(4504, "revoked")
                assert await scene.tells(2) == "closed"
                assert before.lost is None
                for call in (anext(room), client.subscribe("echo:x")):
                    with pytest.raises(Closed, match="4504 revoked"):
                        await soon(call)
            assert await old.ends() == 1000

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
            await scene.clock.passes(1.25)
            again = await peer.hears("publish", key=first["key"])
            await peer.refuses(again, "unavailable", retryable=True)
            await scene.clock.passes(0.5)
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


class TestLeaving:
    async def test_unsubscribing_ends_the_iterator_and_tells_the_server(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, peer, room):
            await peer.publishes(1)
            await offsets(room, 1)

            async def script() -> None:
                await peer.answers(await peer.hears("unsubscribe", channel=LOBBY))

            await both(room.unsubscribe(), script())
            assert [event async for event in room] == []
            await room.unsubscribe()
            again = client.subscribe(LOBBY, since=room.position)
            await both(again, peer.subscribes(recovered=True))

    async def test_a_channel_is_subscribed_once(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, _, _room):
            with pytest.raises(CommandRefused, match="already_subscribed"):
                await client.subscribe(LOBBY)

    async def test_a_refused_subscribe_leaves_nothing_behind(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            for _ in range(2):
                subscribing = asyncio.create_task(client.subscribe(LOBBY))
                await peer.refuses(await peer.hears("subscribe"), "unknown_channel")
                with pytest.raises(CommandRefused, match="unknown_channel"):
                    await soon(subscribing)

    async def test_a_cancelled_subscribe_is_taken_back(self, scene: Scene) -> None:
        async with scene.connected() as (client, peer):
            subscribing = asyncio.create_task(client.subscribe(LOBBY))
            await peer.hears("subscribe")
            subscribing.cancel()
            await peer.hears("unsubscribe", channel=LOBBY)
            await both(client.subscribe(LOBBY), peer.subscribes())

    async def test_a_subscribe_cancelled_between_two_tries_is_taken_back(
        self, scene: Scene
    ) -> None:
        async with scene.connected() as (client, peer):
            subscribing = asyncio.create_task(client.subscribe(LOBBY))
            await peer.refuses(await peer.hears("subscribe"), "overloaded", retryable=True)
            await asyncio.sleep(0)
            subscribing.cancel()
            await peer.refuses(await peer.hears("unsubscribe"), "not_subscribed")
            await scene.clock.passes(0.5)
            await peer.subscribes()
            await peer.hears("unsubscribe", channel=LOBBY)

    async def test_the_server_may_end_a_subscription(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, peer, room):
            await peer.publishes(1)
            await peer.says("unsubscribed", channel=LOBBY, reason="policy changed")
            assert await offsets(room, 1) == [1]
            with pytest.raises(Unsubscribed, match="policy changed"):
                await soon(anext(room))
            await both(client.subscribe(LOBBY), peer.subscribes())

    async def test_a_cancelled_iteration_may_go_on(self, scene: Scene) -> None:
        async with scene.subscribed() as (_, peer, room):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(room)
            await peer.publishes(1)
            assert await offsets(room, 1) == [1]


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
    """Whether the client started this task."""
    return "client/" in str(task.get_coro()) or "Connect" in str(task.get_coro())
