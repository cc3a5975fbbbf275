"""Which channels exist, what may be published to them, and who may do what there."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from app.auth.base import Principal
from app.auth.policy import Policy, scope
from app.history.base import Room
from app.history.memory import MemoryHistory
from app.protocol.commands import Json
from app.protocol.errors import CommandError, Unavailable
from app.realtime import namespaces
from app.realtime.namespaces import Directory, Namespace

from ..nearby import Clock

ANN = Principal("ann")
WRITER = Principal("ann", scopes=frozenset({"write"}))


class Point(BaseModel):
    """A payload with a default."""

    x: int
    y: int = 0


OPEN = Namespace("open", payload=Json)
LISTED = Namespace("listed", payload=Json, listed=True)
READ_ONLY = Namespace("news", payload=Json, policy=Policy(publish=scope("write")))
SHY = Namespace("shy", payload=Json, policy=Policy(presence=scope("write")))
SECRET = Namespace("secret", payload=Json, listed=True, policy=Policy(subscribe=scope("write")))


KINDS = (OPEN, LISTED, READ_ONLY, SHY, SECRET)


def directory(*, creates: bool) -> Directory:
    """A directory of these namespaces, without a room."""
    return Directory(KINDS, MemoryHistory(length=10, seconds=10), creates=creates)


class Forgetful(MemoryHistory):
    """A store that can lose all rooms, and be away."""

    away = False

    def lose(self) -> None:
        """Have none any more."""
        self._rooms.clear()

    async def describe(self, channel: str) -> Room | None:
        """The room, unless the store is away."""
        if self.away:
            raise Unavailable
        return await super().describe(channel)


async def refusal(attempt: Any) -> tuple[str, str | None]:
    """Code and field of what an attempt was refused with."""
    with pytest.raises(CommandError) as refused:
        await attempt
    return refused.value.code, refused.value.field


def test_a_payload_is_checked_and_completed() -> None:
    points = Namespace("points", payload=Point)
    assert json.loads(points.encode(points.check({"x": 1}))) == {"x": 1, "y": 0}
    with pytest.raises(CommandError) as refused:
        points.check({"x": "far"})
    assert (refused.value.code, refused.value.field) == ("invalid_message", "data.x")
    assert "far" not in refused.value.message


def test_a_place_deep_inside_is_named_in_bounds() -> None:
    deep = Namespace("deep", payload=dict[str, int])
    with pytest.raises(CommandError) as refused:
        deep.check({"x" * 1000: "no number"})
    assert refused.value.field is not None
    assert len(refused.value.field) == 128


async def test_a_namespace_that_nobody_declared_is_unknown() -> None:
    rooms = directory(creates=True)
    for attempt in (rooms.readable, rooms.writable, rooms.enter):
        assert await refusal(attempt(ANN, "nowhere:x")) == ("unknown_channel", "channel")


async def test_channels_of_a_namespace_that_is_not_listed_just_are_there() -> None:
    rooms = directory(creates=False)
    for attempt in (rooms.readable, rooms.writable, rooms.enter):
        assert await attempt(ANN, "open:anything") is OPEN


async def test_a_listed_channel_exists_once_it_was_created() -> None:
    rooms = directory(creates=False)
    for attempt in (rooms.readable, rooms.writable, rooms.enter):
        assert await refusal(attempt(ANN, "listed:x")) == ("unknown_channel", "channel")
    room = await rooms.create("listed:x", "The room", "ann")
    assert room is not None and room.created_by == "ann"
    for attempt in (rooms.readable, rooms.writable, rooms.enter):
        assert await attempt(ANN, "listed:x") is LISTED
    assert await rooms.create("listed:x", "Another title", "bob") is None
    kept = await rooms.rooms.describe("listed:x")
    assert kept is not None and kept.title == "The room"


async def test_a_room_that_was_seen_is_not_asked_for_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(namespaces, "MOST_KNOWN", 2)
    history, clock = MemoryHistory(length=10, seconds=10), Clock()
    rooms = Directory(KINDS, history, creates=False, clock=clock)
    asked: list[str] = []
    describe = history.describe

    async def noted(channel: str) -> Room | None:
        asked.append(channel)
        return await describe(channel)

    monkeypatch.setattr(history, "describe", noted)
    for name in ("listed:x", "listed:y", "listed:z"):
        await rooms.create(name, "A room", "ann")
    for name in ("listed:x", "listed:x", "listed:y", "listed:x", "listed:z", "listed:z"):
        assert await rooms.writable(ANN, name) is LISTED
    assert asked == ["listed:x", "listed:y", "listed:z"]
    assert await refusal(rooms.writable(ANN, "listed:other")) == ("unknown_channel", "channel")
    clock.advance(namespaces.BELIEVED_SECONDS)
    asked.clear()
    await asyncio.gather(*(rooms.writable(ANN, "listed:z") for _ in range(5)))
    assert asked == ["listed:z"], "one asks for all"


async def test_the_rooms_from_the_start_are_there_on_each_node_whatever_the_store_lost() -> None:
    history = Forgetful(length=10, seconds=10)
    nodes = [
        Directory(KINDS, history, creates=False, lasting=["listed:lobby"], clock=Clock())
        for _ in range(2)
    ]
    for node in nodes:
        for _ in range(2):
            assert [room.title for room in await node.listed()] == ["Lobby"]
            assert await node.writable(ANN, "listed:lobby") is LISTED
            history.lose()
    stranger = Directory(KINDS, history, creates=False)
    await nodes[0].listed()
    assert await stranger.writable(ANN, "listed:lobby") is LISTED


async def test_a_room_in_use_that_the_store_lost_is_put_back() -> None:
    history, clock = Forgetful(length=10, seconds=10), Clock()
    rooms = Directory(KINDS, history, creates=False, clock=clock)
    room = await rooms.create("listed:x", "The room", "ann")
    await rooms.writable(ANN, "listed:x")
    history.lose()
    clock.advance(namespaces.BELIEVED_SECONDS)
    assert await rooms.writable(ANN, "listed:x") is LISTED
    assert await history.rooms() == [room]
    history.lose()
    assert await rooms.listed() == [room]


async def test_a_room_that_is_known_is_one_while_the_store_is_away() -> None:
    history, clock = Forgetful(length=10, seconds=10), Clock()
    rooms = Directory(KINDS, history, creates=False, clock=clock)
    await rooms.create("listed:x", "The room", "ann")
    await rooms.writable(ANN, "listed:x")
    history.away = True
    clock.advance(namespaces.BELIEVED_SECONDS)
    assert await rooms.writable(ANN, "listed:x") is LISTED
    with pytest.raises(Unavailable):
        await rooms.writable(ANN, "listed:y")


async def test_in_development_who_enters_creates_but_who_reads_does_not() -> None:
    rooms = directory(creates=True)
    for attempt in (rooms.readable, rooms.writable):
        assert await refusal(attempt(ANN, "listed:x")) == ("unknown_channel", "channel")
    assert await rooms.enter(ANN, "listed:x") is LISTED
    assert await rooms.readable(ANN, "listed:x") is LISTED
    assert await rooms.enter(ANN, "open:x") is OPEN
    assert [room.channel for room in await rooms.rooms.rooms()] == ["listed:x"]


async def test_who_is_there_is_seen_by_those_who_may_see_it_and_read() -> None:
    rooms = directory(creates=True)
    assert await rooms.readable(WRITER, "shy:x", True) is SHY
    assert await rooms.enter(ANN, "shy:x") is SHY
    for attempt in (rooms.readable(ANN, "shy:x", True), rooms.enter(ANN, "shy:x", True)):
        assert await refusal(attempt) == ("forbidden", "presence")
    assert await refusal(rooms.readable(ANN, "secret:x", True)) == ("forbidden", "channel")


async def test_the_policy_decides_before_anything_else_is_said() -> None:
    rooms = directory(creates=True)
    assert await rooms.readable(ANN, "news:x") is READ_ONLY
    assert await refusal(rooms.writable(ANN, "news:x")) == ("forbidden", "channel")
    assert await rooms.writable(WRITER, "news:x") is READ_ONLY
    for attempt in (rooms.readable, rooms.enter):
        assert await refusal(attempt(ANN, "secret:x")) == ("forbidden", "channel")
    assert await rooms.rooms.rooms() == []
    assert await rooms.enter(WRITER, "secret:x") is SECRET
