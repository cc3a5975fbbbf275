"""What moves the metrics, where a socket shows too little of it."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY

from app import metrics
from app.background import RESTART_SECONDS, open_background
from app.history.memory import MemoryHistory
from app.realtime.wheel import TICK, Wheel

from .realtime.stage import elsewhere, open_node, welcomed
from .realtime.virtual_time import VirtualLoop, run


def value(name: str) -> float:
    """What a metric without labels stands at; other tests move it too."""
    found = REGISTRY.get_sample_value(name)
    assert found is not None
    return found


@pytest.mark.parametrize("blocked", [0.0, 0.5, 5.0])
def test_the_lag_of_the_loop_is_how_long_it_was_blocked(blocked: float) -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        turning = asyncio.create_task(Wheel().run())
        await asyncio.sleep(TICK / 2)
        before = value("realtime_event_loop_lag_seconds_sum")
        loop.block(blocked)
        await asyncio.sleep(10)
        turning.cancel()
        return value("realtime_event_loop_lag_seconds_sum") - before

    assert run(story()) == pytest.approx(max(blocked - TICK / 2, 0), abs=1e-3)


def test_a_task_that_failed_is_seen_until_it_runs_again_or_is_not_wanted_any_more() -> None:
    async def fail() -> None:
        raise RuntimeError("planted")

    async def story() -> None:
        before = value("realtime_failing_tasks")
        for _ in range(2):
            async with open_background() as background:
                background.keep("one", fail)
                background.keep("two", fail)
                await asyncio.sleep(RESTART_SECONDS / 2)
                assert value("realtime_failing_tasks") == before + 2
            assert value("realtime_failing_tasks") == before

    run(story())


async def test_a_repair_is_counted_but_not_how_a_channel_learns_that_it_began() -> None:
    history = MemoryHistory(length=1000, seconds=3600)
    async with open_node(history=history, sweep_seconds=0.01) as node, welcomed(node) as ann:
        before = value("realtime_repairs_total")
        await ann.ask(type="subscribe", channel="talk:x")
        ann.say(type="publish", channel="talk:x", data={"text": "said here"})
        await ann.hear_type("message")
        assert value("realtime_repairs_total") == before
        await history.append(elsewhere("talk:x", 1))
        await ann.hear_type("message")
        assert value("realtime_repairs_total") == before + 1


async def test_a_publication_moves_a_counter_once_however_many_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[int] = []

    class Sent:
        def inc(self, amount: int) -> None:
            raised.append(amount)

    async with open_node() as node, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(welcomed(node, f"{n}")) for n in range(20)]
        for peer in peers:
            await peer.ask(type="subscribe", channel="talk:x")
            await peer.ask(type="subscribe", channel="wire:x")
        monkeypatch.setattr(metrics, "SENT", Sent())
        for channel, data in (("talk:x", {"text": "kept"}), ("wire:x", "not kept")):
            await peers[0].ask(type="publish", channel=channel, data=data)
            for peer in peers[1:]:
                await peer.hear_type("message")
        assert raised == [20, 20]
