"""Where Redis alone keeps history: what it lost is told on every node, and no more than that."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ..conftest import Connect
from ..service import API_KEY, Connected
from ..shapes import Frame
from .nodes import Cluster, cluster
from .store import Keeps

BEFORE, LOST = 10, 5
SAID = {"data": {"text": "hello"}}
KEY = {"X-API-Key": API_KEY}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes on a Redis that keeps what it is told to save, and nothing else."""
    folder = tmp_path_factory.mktemp("lost")
    with cluster(folder, keeps=Keeps.NOTHING, APP_SWEEP_SECONDS="0.5") as own:
        yield own


async def say(wire: Connected, channel: str, *numbers: int) -> dict[str, Any]:
    """Publish one after another; again, with its key, as long as a message cannot be stored.

    Where the last one stands.
    """
    for number in numbers:
        message = {"channel": channel, "data": {"text": str(number)}, "key": str(number)}
        while (answer := await wire.ask(type="publish", **message)).get("code") == "unavailable":
            await asyncio.sleep(0.02)
        assert answer["type"] == "ok", answer
    return {"epoch": answer["epoch"], "offset": answer["offset"]}


async def hear(wire: Connected, count: int) -> list[Frame]:
    """The next so many."""
    return [await wire.hear() for _ in range(count)]


async def sent(http: httpx2.AsyncClient, room: str) -> int:
    """The status of a message to a room, as soon as Redis is there."""
    path = f"/api/channels/chat:{room}/messages"
    while (answer := await http.post(path, json=SAID)).status_code == 503:
        await asyncio.sleep(0.02)
    return answer.status_code


async def test_rooms_that_it_lost_are_there_again(own: Cluster) -> None:
    """Those from the start on every node; others as soon as a node that knows them is asked."""
    one, other = own.nodes
    async with one.rest(KEY) as here, other.rest(KEY) as there:
        await here.post("/api/rooms", json={"name": "help"})
        assert [await sent(here, room) for room in ("lobby", "help")] == [201, 201]
        await own.store.be_away(0.0)
        assert await sent(there, "lobby") == 201, "which this node was never asked about"
        assert await sent(there, "help") == 404
        assert await sent(here, "help") == 201
        rooms = (await here.get("/api/rooms")).json()["rooms"]
        assert {room["name"] for room in rooms} == {"lobby", "help"}
        await own.crash(other)
    async with other.rest(KEY) as there:
        assert [await sent(there, room) for room in ("lobby", "help")] == [201, 201]


@pytest.mark.parametrize("saved", [0, BEFORE], ids=["empty", "older"])
async def test_everybody_is_told_that_it_came_back_with_less(
    own: Cluster, connect: Connect, channel: str, saved: int
) -> None:
    one, other = own.nodes
    ann, bob = await connect("ann", to=one), await connect("bob", to=one)
    carl, dora = await connect("carl", to=other), await connect("dora", to=other)
    for wire in (bob, carl):
        await wire.ask(type="subscribe", channel=channel)
    await say(ann, channel, *range(BEFORE))
    if saved:
        own.store.ask("SAVE")
    await say(ann, channel, *range(BEFORE, BEFORE + LOST))
    old = await hear(bob, BEFORE + LOST)
    assert await hear(carl, BEFORE + LOST) == old
    await own.store.be_away(0.0)
    for wire in (bob, carl):
        (told,) = await hear(wire, 1)
        assert (told["type"], "id" in told) == ("subscribed", False), told
        assert (told["recovered"], told["reason"]) == (False, "epoch_changed")
        assert (told["offset"], told["epoch"] == old[0]["epoch"]) == (saved, False)
    await say(ann, channel, *range(100, 103 + LOST))
    new = await hear(bob, 3 + LOST)
    assert await hear(carl, 3 + LOST) == new
    assert [each["offset"] for each in new] == [*range(saved + 1, saved + 4 + LOST)]
    assert {each["epoch"] for each in new}.isdisjoint({"", old[0]["epoch"]})
    for frame, reason in ((old[0], "epoch_changed"), (old[-1], "epoch_changed"), (told, None)):
        since = {"epoch": frame["epoch"], "offset": frame["offset"]}
        answer = await dora.ask(type="subscribe", channel=channel, since=since)
        assert (answer["recovered"], answer.get("reason")) == (reason is None, reason)
        await dora.ask(type="unsubscribe", channel=channel)
    assert answer["messages"] == new


async def test_who_was_away_is_told_when_he_comes_back(
    own: Cluster, connect: Connect, channel: str
) -> None:
    """Nobody followed the channel meanwhile, and more has been said by then than was lost."""
    ann, bob = [await connect(name, to=own.nodes[0]) for name in ("ann", "bob")]
    await ann.ask(type="subscribe", channel=channel)
    await ann.ask(type="unsubscribe", channel=channel)
    await say(ann, channel, *range(BEFORE))
    own.store.ask("SAVE")
    since = await say(ann, channel, *range(BEFORE, BEFORE + LOST))
    await own.store.be_away(0.0)
    place = await say(ann, channel, *range(100, 103 + LOST))
    assert place["offset"] == BEFORE + 3 + LOST
    asked = {"type": "subscribe", "channel": channel, "since": since}
    while (answer := await bob.ask(**asked)).get("code") == "unavailable":
        continue  # the node publishes again, and does not hear the others yet
    assert (answer["recovered"], answer["reason"]) == (False, "epoch_changed")


async def test_nobody_is_told_anything_where_it_keeps_everything(
    tmp_path: Path, connect: Connect, channel: str
) -> None:
    with cluster(tmp_path, keeps=Keeps.EVERYTHING, APP_SWEEP_SECONDS="0.5") as own:
        one, other = own.nodes
        ann, bob = await connect("ann", to=one), await connect("bob", to=other)
        await bob.ask(type="subscribe", channel=channel)
        await say(ann, channel, *range(BEFORE))
        await own.store.be_away(0.0)
        await say(ann, channel, *range(BEFORE, 2 * BEFORE))
        heard = await hear(bob, 2 * BEFORE)
        epoch = heard[0]["epoch"]
        assert [(each["type"], each["epoch"], each["offset"]) for each in heard] == [
            ("message", epoch, number) for number in range(1, 2 * BEFORE + 1)
        ]
        late = await connect("carl", to=other)
        since = {"epoch": epoch, "offset": BEFORE - 1}
        answer = await late.ask(type="subscribe", channel=channel, since=since)
        assert answer["recovered"] and answer["messages"] == heard[BEFORE - 1 :]
        assert not await bob.heard()
