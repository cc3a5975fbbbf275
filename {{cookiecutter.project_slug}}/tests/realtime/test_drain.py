"""How a node takes its leave, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.auth.base import Principal
from app.realtime.drain import drain, until_gone
from app.realtime.node import Node

from .stage import connected, open_node, welcomed
from .virtual_time import run

WINDOW = 15.0
CROWD = 1000
DRAINED = (4000, "drain")

Story = Callable[[Node], Coroutine[Any, Any, None]]


def staged(story: Story) -> None:
    """Tell a story of a node."""

    async def whole() -> None:
        async with open_node() as node:
            await story(node)

    run(whole())


def now() -> float:
    """The time of the loop."""
    return asyncio.get_running_loop().time()


async def life(node: Node, user: str, moves: bool, begins: asyncio.Barrier) -> float:
    """When a client was gone, after the drain began; one that moves leaves when it is asked to."""
    async with welcomed(node, user) as peer:
        await begins.wait()
        begun = now()
        told = await peer.hear_type("reconnect")
        assert told["deadline_ms"] - told["after_ms"] == pytest.approx(WINDOW * 1000 / 3, abs=1)
        if moves:
            await asyncio.sleep(told["after_ms"] / 1000)
            peer.leave()
        else:
            assert await peer.ended == DRAINED
            assert now() - begun == pytest.approx(told["deadline_ms"] / 1000, abs=0.25)
        return now() - begun


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_no_second_sees_more_than_a_seventh_of_the_clients_go(share: float) -> None:
    """Whether all of them move, or some, or nobody; and where the seconds begin does not matter."""

    async def story(node: Node) -> None:
        begins = asyncio.Barrier(CROWD + 1)
        async with asyncio.TaskGroup() as tasks:
            lives = [
                tasks.create_task(life(node, f"user-{number}", number < share * CROWD, begins))
                for number in range(CROWD)
            ]
            await begins.wait()
            begun = now()
            await drain(node, WINDOW)
            assert now() - begun <= WINDOW + 0.1
        ends = [each.result() for each in lives]
        for offset in (0, 0.25, 0.5, 0.75):
            (_, most), *_ = Counter(int(end + offset) for end in ends).most_common(1)
            assert most <= CROWD / 7

    staged(story)


def test_moments_are_dealt_out_at_random() -> None:
    async def story(node: Node) -> None:
        async with AsyncExitStack() as stack:
            users = [f"user-{number}" for number in range(20)]
            peers = [await stack.enter_async_context(welcomed(node, user)) for user in users]
            await drain(node, WINDOW)
            delays = [(await peer.hear_type("reconnect"))["after_ms"] for peer in peers]
        assert sorted(delays) == [500 * place for place in range(20)]
        assert delays != sorted(delays)

    staged(story)


def test_it_is_over_when_nobody_is_left() -> None:
    async def story(node: Node) -> None:
        async with asyncio.TaskGroup() as tasks, welcomed(node) as peer:
            draining = tasks.create_task(drain(node, WINDOW))
            await peer.hear_type("reconnect")
            await asyncio.sleep(1)
            assert not draining.done()
            peer.leave()
            begun = now()
            await draining
            assert now() - begun < 0.2

    staged(story)


def test_nobody_is_asked_to_move_where_there_is_no_time_for_it() -> None:
    async def story(node: Node) -> None:
        async with welcomed(node) as peer:
            begun = now()
            await drain(node, 0)
            assert now() == begun
            assert await peer.ended == DRAINED
            assert peer.silent

    staged(story)


def test_who_was_still_proving_who_they_are_is_ended_at_the_end() -> None:
    async def story(node: Node) -> None:
        async with welcomed(node), connected(node) as late, asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(drain(node, WINDOW))
            await asyncio.sleep(1)
            await late.ask(type="auth", token="late")
            await draining
            assert await late.ended == DRAINED

    staged(story)


def test_the_gate_is_closed_at_once() -> None:
    async def story(node: Node) -> None:
        async with connected(node, Principal("ann")) as peer, asyncio.TaskGroup() as tasks:
            await peer.hear_type("welcome")
            assert not node.gate.closed
            draining = tasks.create_task(drain(node, WINDOW))
            await peer.hear_type("reconnect")
            assert node.gate.closed
            peer.leave()
            await draining

    staged(story)


def test_waiting_until_nobody_is_left_is_bounded() -> None:
    async def story() -> None:
        begun = now()
        await until_gone(["somebody"], 2)
        assert now() - begun == pytest.approx(2, abs=0.11)
        await until_gone([], 2)
        assert now() - begun < 2.2

    run(story())
