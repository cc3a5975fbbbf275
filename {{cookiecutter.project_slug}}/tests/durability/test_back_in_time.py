"""A database that went back in time, as after a failover or a restored backup, is said to be so."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, update

from app.database.models import Channel, Publication

from ..conftest import Connect
from ..databases import own_database
from ..nodes import history
from ..service import PROGRAM, Connected, Service, environment, running
from ..shapes import Frame
from .nodes import database

BEFORE, LOST = 10, 5


async def go_back(folder: Path, channel: str) -> None:
    """Have what the backup has: all but the newest."""

    def work(connection: Connection) -> None:
        newer = (Publication.channel == channel) & (Publication.offset > BEFORE)
        connection.execute(delete(Publication).where(newer))
        connection.execute(update(Channel).where(Channel.name == channel).values(top=BEFORE))

    async with database(folder) as own:
        await own.run(work, writes=True)


def rotate_epochs(folder: Path) -> None:
    """What the runbook says."""
    command, settings = [sys.executable, *PROGRAM, "rotate-epochs"], own_database(folder)
    subprocess.run(command, cwd=folder, env=environment(settings), check=True)


async def say(wire: Connected, channel: str, *numbers: int) -> None:
    """Publish some messages, one after another."""
    for number in numbers:
        answer = await wire.ask(type="publish", channel=channel, data={"text": str(number)})
        assert answer["type"] == "ok"


async def restated(wire: Connected, old: Frame) -> Frame:
    """What subscribers hear instead of anything more of the epoch that was."""
    told = await wire.hear()
    assert (told["type"], "id" in told) == ("subscribed", False), told
    assert (told["recovered"], told["reason"]) == (False, "epoch_changed")
    assert told["epoch"] != old["epoch"]
    return told


async def assert_gone(own: Service, connect: Connect, channel: str, *old: Frame) -> None:
    """Nobody recovers from these places, wherever the channel is by now."""
    for frame in old:
        wire = await connect("carl", to=own)
        since = {"epoch": frame["epoch"], "offset": frame["offset"]}
        answer = await wire.ask(type="subscribe", channel=channel, since=since)
        assert (answer["recovered"], answer["reason"]) == (False, "epoch_changed")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A node that looks often."""
    with running(tmp_path_factory.mktemp("back"), APP_SWEEP_SECONDS="0.5") as service:
        yield service


@pytest.fixture
async def ann(own: Service, connect: Connect) -> Connected:
    """Somebody who will say more."""
    return await connect("ann", to=own)


@pytest.fixture
async def bob(own: Service, connect: Connect, channel: str, ann: Connected) -> Connected:
    """A subscriber, who has heard of what is to be lost, too."""
    wire = await connect("bob", to=own)
    await wire.ask(type="subscribe", channel=channel)
    await say(ann, channel, *range(BEFORE + LOST))
    return wire


async def heard(wire: Connected, count: int) -> list[Frame]:
    """The next so many, which are messages."""
    return [await wire.hear_type("message") for _ in range(count)]


async def test_subscribers_are_told_that_a_database_went_back(
    own: Service, connect: Connect, channel: str, ann: Connected, bob: Connected
) -> None:
    old = await heard(bob, BEFORE + LOST)
    await go_back(own.folder, channel)
    told = await restated(bob, old[0])
    assert told["offset"] == BEFORE
    await say(ann, channel, *range(LOST + 1))
    new = [await bob.hear() for _ in range(LOST + 1)]
    places = [(told["epoch"], number) for number in range(BEFORE + 1, BEFORE + LOST + 2)]
    assert [(each["epoch"], each["offset"]) for each in new] == places
    await assert_gone(own, connect, channel, old[0], old[BEFORE], old[-1])
    assert (await history(own, channel))[BEFORE:] == new


async def test_what_is_published_at_once_does_not_hide_it(
    tmp_path: Path, connect: Connect, channel: str
) -> None:
    """More than was lost, before a sweep could see that anything is missing."""
    with running(tmp_path, APP_SWEEP_SECONDS="600") as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel=channel)
        await say(ann, channel, *range(BEFORE + LOST))
        old = await heard(bob, BEFORE + LOST)
        await go_back(own.folder, channel)
        for number in range(3 * LOST):
            await ann.say(type="publish", channel=channel, data={"text": str(number)})
        told = await restated(bob, old[0])
        await ann.heard()
        assert told["offset"] + len(await bob.heard()) == BEFORE + 3 * LOST
        await assert_gone(own, connect, channel, old[0], old[BEFORE], old[-1])


async def test_subscribers_are_told_of_a_rotation(
    own: Service, connect: Connect, channel: str, ann: Connected, bob: Connected
) -> None:
    """Also where nothing was lost, as far as anybody can see."""
    old = await heard(bob, BEFORE + LOST)
    await asyncio.to_thread(rotate_epochs, own.folder)
    told = await restated(bob, old[0])
    assert told["offset"] == BEFORE + LOST
    await say(ann, channel, 0)
    new = await bob.hear()
    assert (new["epoch"], new["offset"]) == (told["epoch"], BEFORE + LOST + 1)
    await assert_gone(own, connect, channel, old[0], old[-1])


async def test_a_rotation_says_what_no_node_could_notice(
    own: Service, connect: Connect, channel: str, ann: Connected, bob: Connected
) -> None:
    """No node runs while the database goes back; then more is published than was lost."""
    old = await heard(bob, BEFORE + LOST)
    own.kill()
    await go_back(own.folder, channel)
    await asyncio.to_thread(rotate_epochs, own.folder)
    await asyncio.to_thread(own.start)
    await say(await connect("ann", to=own), channel, *range(2 * LOST))
    await assert_gone(own, connect, channel, old[0], old[BEFORE], old[-1])
