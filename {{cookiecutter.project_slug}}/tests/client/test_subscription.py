"""What a subscription makes of what a connection says, without any connection."""

import asyncio
from typing import Any

import pytest

from client import (
    Closed,
    Event,
    Joined,
    Lagged,
    Left,
    Member,
    Message,
    Position,
    Restated,
    Roster,
    Signal,
    Subscription,
)

from .scripted import LOBBY, message, subscribed


class Stage:
    """A subscription whose connection is a test."""

    def __init__(self, *, since: Position | None = None, buffer: int = 1000) -> None:
        self.renewed = 0
        self.room = Subscription(
            LOBBY,
            since=since,
            last=2,
            presence=False,
            buffer=buffer,
            renew=self._renew,
            leave=self._leave,
        )

    def connects(self) -> dict[str, Any]:
        """A new connection; what is asked of it."""
        return self.room.request(object())

    def stands(self, **fields: Any) -> None:
        self.room.take({"type": "subscribed"} | subscribed(**fields))

    def hears(self, *offsets: int, epoch: str = "e1") -> None:
        for offset in offsets:
            self.room.take(message(offset, epoch=epoch))

    async def events(self) -> list[Event]:
        """What has arrived, as one who asks for one more than there is."""
        seen: list[Event] = []
        asking = asyncio.ensure_future(self._collect(seen))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        return seen

    async def offsets(self) -> list[int | None]:
        return [event.offset for event in await self.events() if isinstance(event, Message)]

    async def _collect(self, seen: list[Event]) -> None:
        async for event in self.room:
            seen.append(event)  # noqa: PERF401  what came before the cancellation counts

    def _renew(self, room: Subscription) -> None:
        self.renewed += 1

    async def _leave(self, room: Subscription) -> None:
        room.end(StopAsyncIteration())


@pytest.fixture
def stage() -> Stage:
    """A subscription that stands at the beginning of epoch e1."""
    stage = Stage()
    assert stage.connects() == {"channel": LOBBY, "last": 2, "presence": False}
    stage.stands()
    return stage


async def test_every_push_becomes_its_event(stage: Stage) -> None:
    bob = Member("bob", "Bob")
    user = {"id": "bob", "name": "Bob", "unheard_of": 1}
    stage.room.take(message(1, key="k", data=[1]) | {"from": user})
    stage.room.take({"type": "signal", "channel": LOBBY, "kind": "typing", "from": user})
    stage.room.take({"type": "join", "channel": LOBBY, "user": user, "count": 2})
    stage.room.take({"type": "leave", "channel": LOBBY, "user": user, "count": 1})
    stage.room.take({"type": "lag", "channel": LOBBY, "behind": 7})
    stage.room.take({"type": "unheard_of", "channel": LOBBY})
    first, *others = await stage.events()
    assert isinstance(first, Message)
    assert (first.position, first.message_id, first.key) == (Position("e1", 1), "m1", "k")
    assert (first.sender, first.data, first.sent_at.isoformat()) == (
        bob,
        [1],
        "2026-03-01T12:00:00+00:00",
    )
    assert others == [
        Signal(LOBBY, "typing", bob),
        Joined(LOBBY, bob, 2),
        Left(LOBBY, bob, 1),
        Lagged(LOBBY),
    ]


async def test_presence_comes_before_the_messages() -> None:
    stage = Stage()
    stage.connects()
    roster = {"users": [{"id": "ann"}], "count": 5}
    stage.stands(presence=roster, messages=[message(1)], offset=1)
    first, second = await stage.events()
    assert first == Roster(LOBBY, (Member("ann"),), 5)
    assert isinstance(second, Message)


async def test_a_message_that_comes_again_is_dropped(stage: Stage) -> None:
    stage.hears(1, 2, 2, 1, 3)
    assert await stage.offsets() == [1, 2, 3]


async def test_what_has_no_offset_is_never_dropped(stage: Stage) -> None:
    for _ in range(2):
        stage.room.take(message(None))
    assert await stage.offsets() == [None, None]


async def test_the_position_moves_once_a_message_was_processed(stage: Stage) -> None:
    assert stage.room.position == Position("e1", 0)
    stage.hears(1, 2)
    await anext(stage.room)
    assert stage.room.position == Position("e1", 0)
    await anext(stage.room)
    assert stage.room.position == Position("e1", 1)


async def test_after_a_loss_it_goes_on_from_the_last_message_it_holds(stage: Stage) -> None:
    stage.hears(1, 2)
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 2}
    stage.stands(recovered=True, offset=4, messages=[message(2), message(3), message(4)])
    stage.hears(4, 5)
    assert await stage.offsets() == [1, 2, 3, 4, 5]


async def test_recovery_does_not_jump_over_what_is_still_to_come(stage: Stage) -> None:
    """The first page may be followed by others, whatever offset the server names."""
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 0}
    stage.stands(recovered=True, offset=9, messages=[message(1)])
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 1}
    stage.stands(recovered=True, offset=9, messages=[message(2)])
    stage.hears(3)
    assert await stage.offsets() == [1, 2, 3]


async def test_a_recovery_from_before_anything_was_said_takes_the_epoch_as_it_comes() -> None:
    stage = Stage()
    stage.connects()
    stage.stands(epoch="", offset=0)
    assert stage.connects()["since"] == {"epoch": "", "offset": 0}
    stage.stands(recovered=True, epoch="e7", offset=1, messages=[message(1, epoch="e7")])
    assert await stage.offsets() == [1]
    assert stage.connects()["since"] == {"epoch": "e7", "offset": 1}


async def test_a_live_message_may_be_the_first_of_its_epoch() -> None:
    stage = Stage()
    stage.connects()
    stage.stands(epoch="", offset=0)
    stage.hears(1, epoch="e7")
    assert await stage.offsets() == [1]
    assert stage.connects()["since"] == {"epoch": "e7", "offset": 1}


async def test_a_position_of_the_programs_own_is_asked_for_and_kept() -> None:
    stage = Stage(since=Position("e1", 5))
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 5}
    stage.stands(recovered=True, offset=6, messages=[message(6)])
    assert stage.room.position == Position("e1", 5)
    assert await stage.offsets() == [6]


async def test_a_lost_continuity_is_told_between_old_and_new(stage: Stage) -> None:
    stage.hears(1, 2)
    stage.connects()
    last = [message(1, epoch="e2"), message(2, epoch="e2")]
    stage.stands(recovered=False, reason="epoch_changed", epoch="e2", offset=2, messages=last)
    stage.hears(3, epoch="e2")
    events = await stage.events()
    assert events[2] == Restated(LOBBY, "epoch_changed", Position("e2", 0))
    messages = [event for event in events if isinstance(event, Message)]
    assert [(each.epoch, each.offset) for each in messages] == [
        ("e1", 1),
        ("e1", 2),
        ("e2", 1),
        ("e2", 2),
        ("e2", 3),
    ]
    assert stage.connects()["since"] == {"epoch": "e2", "offset": 3}


async def test_a_live_subscription_is_restated_by_the_same_path(stage: Stage) -> None:
    stage.hears(1)
    stage.stands(recovered=False, reason="expired", offset=8)
    stage.hears(8, 9)
    assert isinstance(await anext(stage.room), Message)
    assert await anext(stage.room) == Restated(LOBBY, "expired", Position("e1", 8))
    assert stage.room.position == Position("e1", 1)
    assert await stage.offsets() == [9]


async def test_last_messages_that_were_seen_are_not_shown_again(stage: Stage) -> None:
    stage.hears(1, 2, 3)
    stage.connects()
    stage.stands(recovered=False, reason="ahead", offset=2, messages=[message(1), message(2)])
    stage.hears(3)
    events = await stage.events()
    assert [event.offset for event in events if isinstance(event, Message)] == [1, 2, 3, 3]
    assert events[3] == Restated(LOBBY, "ahead", Position("e1", 2))


async def test_where_nothing_is_kept_each_reconnection_is_a_loss() -> None:
    stage = Stage()
    stage.connects()
    stage.stands(epoch=None, offset=None)
    assert "since" not in stage.connects()
    stage.stands(epoch=None, offset=None)
    assert await stage.events() == [Restated(LOBBY, "no_history", None)]


async def test_an_end_comes_after_what_had_arrived(stage: Stage) -> None:
    stage.hears(1)
    stage.room.end(Closed(4504, "revoked"))
    assert await stage.offsets() == [1]
    for _ in range(2):
        with pytest.raises(Closed, match="4504 revoked"):
            await anext(stage.room)


async def test_who_left_is_told_nothing_more(stage: Stage) -> None:
    stage.hears(1)
    await stage.room.unsubscribe()
    assert [event async for event in stage.room] == []


async def test_what_nobody_asks_for_is_bounded_and_asked_for_again() -> None:
    stage = Stage(buffer=3)
    stage.connects()
    stage.stands()
    stage.hears(*range(1, 1000))
    assert await stage.offsets() == [1, 2, 3]
    assert stage.renewed == 1
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 3}
    stage.stands(recovered=True, offset=5, messages=[message(4), message(5)])
    assert await stage.offsets() == [4, 5]


async def test_where_it_fell_behind_is_said_once() -> None:
    stage = Stage(buffer=1)
    stage.connects()
    stage.stands()
    stage.hears(1, 2, 3)
    stage.room.take({"type": "join", "channel": LOBBY, "user": {"id": "bob"}, "count": 1})
    _, lagged = await stage.events()
    assert lagged == Lagged(LOBBY)
    assert await stage.events() == []
    assert stage.renewed == 1


async def test_a_page_that_is_too_long_is_kept_in_part() -> None:
    stage = Stage(buffer=2)
    stage.connects()
    stage.stands(offset=9, messages=[message(8), message(9)])
    stage.connects()
    stage.stands(recovered=True, offset=11, messages=[message(10), message(11)])
    assert await stage.offsets() == [8, 9]
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 9}


async def test_a_restatement_that_does_not_fit_is_asked_for_again() -> None:
    """The old position is asked for, so that the server says again that it is lost."""
    stage = Stage(buffer=1)
    stage.connects()
    stage.stands()
    stage.hears(1)
    stage.stands(recovered=False, reason="expired", offset=9)
    assert await stage.offsets() == [1]
    assert stage.connects()["since"] == {"epoch": "e1", "offset": 1}


async def test_a_restatement_whose_messages_do_not_fit_goes_on_behind_it() -> None:
    stage = Stage(buffer=1)
    stage.connects()
    stage.stands(offset=7)
    last = [message(1, epoch="e2"), message(2, epoch="e2")]
    stage.stands(recovered=False, reason="epoch_changed", epoch="e2", offset=2, messages=last)
    assert await stage.events() == [
        Restated(LOBBY, "epoch_changed", Position("e2", 0)),
        Lagged(LOBBY),
    ]
    assert stage.connects()["since"] == {"epoch": "e2", "offset": 0}
