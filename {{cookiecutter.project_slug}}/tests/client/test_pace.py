"""How commands are spread, so that the server takes them all."""

import asyncio

from client.pace import MARGIN, Pace

from .manual_clock import ManualClock
from .scene import Scene
from .scripted import LOBBY, PATIENCE

LIMITS = {"message_bytes": 65536, "channels": 128, "commands_per_second": 20, "commands_burst": 5}


def test_before_the_server_has_told_nothing_waits() -> None:
    pace = Pace(ManualClock())
    assert [pace.next() for _ in range(1000)] == [0.0] * 1000


def test_so_many_at_once_and_then_one_after_another() -> None:
    clock = ManualClock()
    pace = Pace(clock, 20, 5)
    waits = [pace.next() for _ in range(8)]
    assert waits[:4] == [0.0] * 4
    interval = 1 / (20 * MARGIN)
    assert [round(each / interval, 6) for each in waits[4:]] == [1, 2, 3, 4]
    clock.advance(3600)
    assert [pace.next() for _ in range(4)] == [0.0] * 4


async def test_commands_beyond_the_burst_wait_and_subscriptions_do_not(scene: Scene) -> None:
    async with scene.connected() as (client, peer):
        await peer.welcomes(limits=LIMITS)
        await peer.says("ping")
        await peer.hears("pong")
        asking = [asyncio.create_task(client.history(LOBBY)) for _ in range(6)]
        for _ in range(4):
            await peer.hears("history")
        joining = asyncio.create_task(client.subscribe(LOBBY))
        await peer.hears("subscribe")
        interval = 1 / (LIMITS["commands_per_second"] * MARGIN)
        for _ in range(2):
            await scene.clock.passes(interval)
            await peer.hears("history")
        for task in (*asking, joining):
            task.cancel()
        await asyncio.wait((*asking, joining), timeout=PATIENCE)
