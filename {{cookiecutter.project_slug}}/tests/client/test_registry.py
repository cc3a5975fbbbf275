"""What becomes of subscriptions, over reconnections and at their end."""

import asyncio
from typing import Any

import pytest

from client import (
    CommandRefused,
    Joined,
    Lagged,
    Left,
    Member,
    Message,
    Position,
    Restated,
    Roster,
    Subscription,
    Unsubscribed,
)

from .scene import Scene, offsets
from .scripted import LOBBY, RECEIPT, Peer, both, message, soon, subscribed


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
            await scene.clock.passes(3.0)
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


class TestLag:
    """The server says that this connection was too slow: what is not kept is gone."""

    async def test_who_is_told_of_others_is_told_again_who_is_here(self, scene: Scene) -> None:
        ann, bob, eve = Member("ann"), Member("bob"), Member("eve")
        here = {"users": [{"id": "ann"}, {"id": "eve"}], "count": 2}
        async with scene.connected() as (client, peer):
            subscribing = client.subscribe(LOBBY, presence=True)
            room, _ = await both(subscribing, peer.subscribes(presence=here))
            await peer.says("lag", channel=LOBBY, behind=3)
            overloaded = await peer.hears("presence", channel=LOBBY)
            await peer.refuses(overloaded, "overloaded", retryable=True, retry_after_ms=2500)
            await scene.clock.passes(3.0)
            command = await peer.hears("presence", channel=LOBBY)
            await peer.says("leave", channel=LOBBY, user={"id": "eve"}, count=1)
            here = {"users": [{"id": "ann"}], "count": 1}
            await peer.answers(command, "presence", channel=LOBBY, **here)
            await peer.says("join", channel=LOBBY, user={"id": "bob"}, count=2)
            assert [await soon(anext(room)) for _ in range(5)] == [
                Roster(LOBBY, (ann, eve), 2),
                Lagged(LOBBY),
                Left(LOBBY, eve, 1),
                Roster(LOBBY, (ann,), 1),
                Joined(LOBBY, bob, 2),
            ]

    async def test_so_is_who_the_server_tells_unasked(self, scene: Scene) -> None:
        here = {"users": [{"id": "ann"}], "count": 1}
        async with scene.connected() as (client, peer):
            subscribing = client.subscribe(LOBBY, presence=True)
            room, _ = await both(subscribing, peer.subscribes(presence=here))
            await peer.says("presence", channel=LOBBY, users=[], count=0)
            await peer.says("join", channel=LOBBY, user={"id": "bob"}, count=1)
            assert [await soon(anext(room)) for _ in range(3)] == [
                Roster(LOBBY, (Member("ann"),), 1),
                Roster(LOBBY, (), 0),
                Joined(LOBBY, Member("bob"), 1),
            ]

    async def test_others_neither_ask_nor_are_told(self, scene: Scene) -> None:
        async with scene.subscribed() as (client, peer, room):
            await peer.says("lag", channel=LOBBY, behind=3)

            async def script() -> None:
                here = {"channel": LOBBY, "users": [], "count": 0}
                await peer.answers(await peer.hears("presence"), "presence", **here)
                await peer.publishes(1)

            assert await soon(anext(room)) == Lagged(LOBBY)
            await both(client.presence(LOBBY), script())
            assert await offsets(room, 1) == [1]
            await both(client.publish(LOBBY, {}), self._answer(peer))

    async def _answer(self, peer: Peer) -> None:
        await peer.answers(await peer.hears("publish"), **RECEIPT)

    async def test_a_new_connection_tells_it_anyway(self, scene: Scene) -> None:
        here = {"users": [{"id": "ann"}], "count": 1}
        async with scene.connected() as (client, peer):
            subscribing = client.subscribe(LOBBY, presence=True)
            room, _ = await both(subscribing, peer.subscribes(presence=here))
            await peer.says("lag", channel=LOBBY, behind=3)
            await peer.hears("presence")
            peer.cuts()
            peer = await scene.reconnects()
            await peer.subscribes(recovered=True, presence=here)
            await both(client.publish(LOBBY, {}), self._answer(peer))
            told = Roster(LOBBY, (Member("ann"),), 1)
            assert [await soon(anext(room)) for _ in range(3)] == [told, Lagged(LOBBY), told]


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

    async def test_leaving_is_tried_again_and_who_comes_back_waits_for_it(
        self, scene: Scene
    ) -> None:
        async with scene.subscribed() as (client, peer, room):
            leaving = asyncio.create_task(room.unsubscribe())
            limited = {"retryable": True, "retry_after_ms": 2500}
            await peer.refuses(await peer.hears("unsubscribe"), "rate_limited", **limited)
            coming_back = asyncio.create_task(client.subscribe(LOBBY))
            await scene.clock.passes(3.0)
            await peer.answers(await peer.hears("unsubscribe", channel=LOBBY))
            await soon(leaving)
            await both(coming_back, peer.subscribes())

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
            command = await peer.hears("subscribe")
            subscribing.cancel()
            await peer.answers(command, "subscribed", **subscribed())
            await peer.answers(await peer.hears("unsubscribe", channel=LOBBY))
            await both(client.subscribe(LOBBY), peer.subscribes())

    async def test_a_subscribe_cancelled_in_the_moment_of_the_end_is_just_cancelled(
        self, scene: Scene
    ) -> None:
        waiting: list[asyncio.Task[Subscription]] = []

        def cancel(state: str) -> None:
            if state == "closed":
                waiting[0].cancel()

        async with scene.connected(on_state=cancel) as (client, peer):
            waiting.append(asyncio.create_task(client.subscribe(LOBBY)))
            await peer.hears("subscribe")
            await peer.closes(4504, "revoked")
            await asyncio.wait(waiting)
        assert waiting[0].cancelled()

    async def test_a_subscribe_cancelled_between_two_tries_is_taken_back(
        self, scene: Scene
    ) -> None:
        async with scene.connected() as (client, peer):
            subscribing = asyncio.create_task(client.subscribe(LOBBY))
            await peer.refuses(await peer.hears("subscribe"), "overloaded", retryable=True)
            await asyncio.sleep(0)
            subscribing.cancel()
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
