"""When deadlines are met."""

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from app.realtime.wheel import TICK, Deadline, Wheel

from .virtual_time import run

Story = Callable[[Wheel], Coroutine[Any, Any, None]]


def turning(story: Story) -> None:
    """Tell a story while a wheel turns."""

    async def both() -> None:
        wheel = Wheel()
        task = asyncio.create_task(wheel.run())
        await story(wheel)
        task.cancel()

    run(both())


def now() -> float:
    """The time of the wheel."""
    return asyncio.get_running_loop().time()


def test_nothing_is_kept_of_what_was_cancelled_and_the_others_are_met() -> None:
    async def story(wheel: Wheel) -> None:
        met: list[int] = []
        deadlines = [wheel.schedule(0.3, partial(met.append, number)) for number in range(10)]
        for number in (0, 9, 4, 4, 5):
            deadlines[number].cancel()
        assert sum(len(slot) for slot in wheel._slots.values()) == 6
        last = wheel.schedule(0.3, partial(met.append, 10))
        wheel.schedule(0.1, last.cancel)
        await asyncio.sleep(0.5)
        assert sorted(met) == [1, 2, 3, 6, 7, 8]
        deadlines[1].cancel()

    turning(story)


def test_who_is_cancelled_by_another_of_its_time_is_not_met() -> None:
    async def story(wheel: Wheel) -> None:
        met: list[str] = []
        second: list[Deadline] = []
        wheel.schedule(0.3, lambda: second[0].cancel())
        second.append(wheel.schedule(0.3, partial(met.append, "second")))
        wheel.schedule(0.3, partial(met.append, "third"))
        await asyncio.sleep(0.5)
        assert met == ["third"]

    turning(story)


def test_a_deadline_that_fails_spares_the_others_and_comes_again() -> None:
    async def story(wheel: Wheel) -> None:
        met: list[str] = []

        def fail() -> None:
            met.append("failed")
            raise ValueError

        wheel.schedule(0.05, fail, 0.2)
        wheel.schedule(0.05, lambda: met.append("another"))
        await asyncio.sleep(0.5)
        assert met == ["failed", "another", "failed"]

    turning(story)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.1, 0.25, 1.0, 3600.05])
def test_a_deadline_is_met_never_early_and_hardly_late(delay: float) -> None:
    async def story(wheel: Wheel) -> None:
        await asyncio.sleep(0.03)
        start, met = now(), asyncio.Event()
        wheel.schedule(delay, met.set)
        await met.wait()
        assert delay <= now() - start <= delay + 2 * TICK

    turning(story)


def test_a_deadline_that_was_cancelled_is_not_met() -> None:
    async def story(wheel: Wheel) -> None:
        met: list[str] = []
        wheel.schedule(1, lambda: met.append("cancelled")).cancel()
        wheel.schedule(1, lambda: met.append("kept"))
        await asyncio.sleep(2)
        assert met == ["kept"]

    turning(story)


def test_a_deadline_that_was_cancelled_lets_go_of_what_it_was_about() -> None:
    async def story(wheel: Wheel) -> None:
        somebody = asyncio.Event()
        gone = weakref.ref(somebody)
        deadline = wheel.schedule(3600, somebody.set)
        deadline.cancel()
        del somebody
        assert gone() is None

    turning(story)


def test_a_deadline_with_an_interval_is_met_again_and_again() -> None:
    async def story(wheel: Wheel) -> None:
        met: list[float] = []
        deadline = wheel.schedule(5, lambda: met.append(now()), 10)
        await asyncio.sleep(36)
        assert len(met) == 4
        assert all(10 <= later - earlier <= 10 + 2 * TICK for earlier, later in pairwise(met))
        deadline.cancel()
        await asyncio.sleep(100)
        assert len(met) == 4

    turning(story)


def test_a_wheel_that_stood_still_makes_up_for_it() -> None:
    async def story() -> None:
        wheel, met = Wheel(), []
        task = asyncio.create_task(wheel.run())
        await asyncio.sleep(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for delay in (3, 1, 2):
            wheel.schedule(delay, lambda delay=delay: met.append(delay))  # type: ignore[misc]
        await asyncio.sleep(10)
        assert met == []
        task = asyncio.create_task(wheel.run())
        await asyncio.sleep(2 * TICK)
        task.cancel()
        assert met == [1, 2, 3]

    run(story())
