"""Who is here is one answer over all nodes, and is right again soon after a node was not."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from ..nodes import nodes
from ..service import PATIENCE, Connected, Service, Wire
from ..shapes import Frame
from .nodes import PROGRAMS, cluster
from .store import Keeps

CHANNEL = "chat:presence"
MANY = 30
BRIEF = (str(PROGRAMS / "brief_lease.py"),)
GRACE = "0.5"
RETURN = "2"
"""A grace in which a user can connect again, on a machine that is busy."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two nodes."""
    with nodes(tmp_path_factory.mktemp("pair"), APP_PRESENCE_GRACE_SECONDS=RETURN) as services:
        yield services


@asynccontextmanager
async def subscribed(
    *connections: tuple[str, Service], channel: str = CHANNEL
) -> AsyncIterator[list[Connected]]:
    """Connections of these users that watch who comes and leaves."""
    async with AsyncExitStack() as stack:
        wires = []
        for user, service in connections:
            wires.append(await Connected.open(service, user))
            stack.push_async_callback(wires[-1].connection.close)
            answer = await wires[-1].ask(type="subscribe", channel=channel, presence=True)
            assert answer["type"] == "subscribed", answer
        yield wires


async def users(wire: Wire, channel: str = CHANNEL) -> list[str]:
    """Who is here, by id."""
    answer = await wire.ask(type="presence", channel=channel)
    assert len(answer["users"]) == answer["count"]
    return sorted(user["id"] for user in answer["users"])


def changes(frames: Sequence[Frame]) -> list[tuple[str, str]]:
    """Who came and who left."""
    return [(each["type"], each["user"]["id"]) for each in frames if "user" in each]


async def hear_join(wire: Wire, user: str) -> None:
    """Hear all up to the join of a user, which may be told late where another node tells it."""
    while ("join", user) not in changes([await wire.hear()]):
        pass


async def hear_changes(wire: Wire, many: int, kind: str) -> list[tuple[str, str]]:
    """All that is heard until so many came or left, and what follows at once."""
    heard: list[tuple[str, str]] = []
    while [each for each, _ in heard].count(kind) < many:
        heard += changes([await wire.hear()])
    return heard + changes(await wire.heard())


async def test_one_of_two_tabs_may_close_and_a_user_may_change_nodes_unseen(
    pair: list[Service],
) -> None:
    one, two = pair
    async with subscribed(("ann", two), ("bob", one), ("bob", two), ("cy", one)) as wires:
        ann, first, second, cy = wires
        assert first.user == second.user
        await hear_join(ann, cy.user)
        await first.connection.close()
        await cy.connection.close()
        # Cy leaves with the grace: by then so would Bob.
        assert await hear_changes(ann, 1, "leave") == [("leave", cy.user)]
        assert await users(ann) == sorted([ann.user, second.user])
        await second.connection.close()
        async with subscribed(("bob", one), ("di", one)) as (again, di):
            assert again.user == second.user
            await di.connection.close()
            assert await hear_changes(ann, 1, "leave") == [("join", di.user), ("leave", di.user)]


async def test_who_was_on_a_node_that_ends_well_leaves_with_the_grace(pair: list[Service]) -> None:
    """Nobody waits for a lease, which lasts for longer than this may."""
    one, two = pair
    crowd = [(f"user{number}", one) for number in range(MANY)]
    async with subscribed(("zoe", two), *crowd, channel="chat:ends") as (zoe, *others):
        await hear_join(zoe, others[-1].user)
        await asyncio.to_thread(one.stop)
        try:
            async with asyncio.timeout(8):
                heard = await hear_changes(zoe, MANY, "leave")
        finally:
            await asyncio.to_thread(one.start)
        assert sorted(heard) == sorted(("leave", wire.user) for wire in others)
        assert await users(zoe, "chat:ends") == [zoe.user]


async def test_who_was_on_a_node_that_froze_or_crashed_leaves_once_and_nobody_else(
    tmp_path: Path,
) -> None:
    with nodes(tmp_path, count=3, program=BRIEF, APP_PRESENCE_GRACE_SECONDS=GRACE) as services:
        one, two, three = services
        crowd = [(f"user{number}", one) for number in range(MANY)]
        async with subscribed(("ann", two), ("bob", three), ("user0", three), *crowd) as wires:
            watchers, stays = wires[:2], wires[2]
            everybody = sorted({wire.user for wire in wires})
            rest = sorted({*(wire.user for wire in watchers), stays.user})
            gone = [("leave", user) for user in everybody if user not in rest]
            back = [("join", user) for _, user in gone]
            for watcher in watchers:
                await hear_join(watcher, wires[-1].user)

            one.send(signal.SIGSTOP)
            try:
                for watcher in watchers:
                    assert sorted(await hear_changes(watcher, len(gone), "leave")) == gone
            finally:
                one.send(signal.SIGCONT)
            for watcher in watchers:
                assert sorted(await hear_changes(watcher, len(gone), "join")) == back
                assert await users(watcher) == everybody
            assert await users(wires[-1]) == everybody

            await asyncio.to_thread(one.kill)
            for watcher in watchers:
                assert sorted(await hear_changes(watcher, len(gone), "leave")) == gone
                assert await users(watcher) == rest


async def test_everybody_is_here_after_redis_was_not(tmp_path: Path) -> None:
    """It lost everything; then it was frozen for longer than a lease lasts."""
    how = partial(cluster, keeps=Keeps.NOTHING, program=BRIEF)
    with how(tmp_path, APP_PRESENCE_GRACE_SECONDS=GRACE) as service:
        one, two = service.nodes
        async with subscribed(("ann", two), ("bob", one), ("cy", one)) as wires:
            ann = wires[0]
            everybody = sorted(wire.user for wire in wires)
            await service.store.be_away(0.5)
            await _until(ann, everybody)
            await ann.heard()
            await service.store.be_frozen(3.5)
            await _until(ann, everybody)
            await wires[-1].connection.close()
            assert await hear_changes(ann, 1, "leave") == [("leave", wires[-1].user)]
            assert await users(ann) == sorted({*everybody} - {wires[-1].user})


async def test_who_watches_is_told_who_is_here_once_the_nodes_hear_again(tmp_path: Path) -> None:
    with cluster(tmp_path, APP_PRESENCE_GRACE_SECONDS=GRACE) as service:
        one, two = service.nodes
        async with subscribed(("ann", two), ("bob", one), ("cy", one)) as (ann, bob, cy):
            await hear_join(ann, cy.user)
            rest = sorted([ann.user, cy.user])
            with service.store.unheard():
                await bob.connection.close()
                await _until(ann, rest)
                assert changes(await ann.heard()) == []
            told = await ann.hear_type("presence")
            assert sorted(user["id"] for user in told["users"]) == rest


async def _until(wire: Wire, everybody: list[str]) -> None:
    """Ask who is here until all are, which nobody knows at first."""
    here: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while here != everybody:
            answer = await wire.ask(type="presence", channel=CHANNEL)
            here = sorted(user["id"] for user in answer.get("users", []))
