"""How long the client waits before it tries again."""

import asyncio

from client.backoff import Backoff, Clock


def test_waits_double_from_half_a_second_to_twenty() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next() for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_a_wait_is_any_part_of_its_bound() -> None:
    parts = iter([0.0, 0.25, 1.0])
    backoff = Backoff(lambda: next(parts))
    assert [backoff.next() for _ in range(3)] == [0.0, 0.25, 2.0]


def test_after_a_reset_it_begins_anew() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next(), backoff.next()] == [0.5, 1.0]
    backoff.reset()
    assert backoff.next() == 0.5


async def test_the_clock_is_that_of_the_event_loop() -> None:
    clock = Clock()
    began = clock.now()
    await clock.sleep(0)
    assert began <= clock.now() <= asyncio.get_running_loop().time()
