"""Fan-out: one publishes, all receive; one message at a time, and in bursts."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import TypedDict

from .connection import Connection
from .crowd import Crowd
from .job import Job
from .meter import cpu_seconds, family
from .tally import MeasurementError

SETTLED = 0.2
"""Seconds after which what came too much would have come."""

SAMPLED = 20
"""How many of the subscribers read what they get, evenly spread."""


class Window(TypedDict):
    """What a server did and what it cost, between two readings of its clock."""

    deliveries: int
    seconds: float
    cpu: float
    """Seconds of CPU, as read."""
    driver: float
    """Seconds of CPU of the driver: near `seconds`, it is the driver that was measured."""


class FanOut(TypedDict):
    """The result of a job."""

    idle: float
    """Seconds of CPU per second that the server takes at rest, with all connections."""
    bytes: float
    """Bytes from the server per delivery, over all windows."""
    steady: Window
    bursts: Window


async def measure(job: Job, crowd: Crowd) -> FanOut:
    """Publish as the job says, and check that everybody got everything, once and in order."""
    await crowd.others()
    subscribers = await crowd.subscribers(job.recipients)
    await crowd.until_heard(subscribers)
    first, already = crowd.published, [each.received for each in subscribers]
    confirmed = subscribers[0].confirmed
    for each in subscribers[:: max(1, len(subscribers) // SAMPLED)]:
        each.follow(first)
    bytes_before = sum(each.bytes for each in subscribers)
    idle = await at_rest(job)

    await _one_by_one(job, crowd, subscribers, max(5, job.messages // 10))
    steady = await _watched(job, crowd, _one_by_one(job, crowd, subscribers, job.messages))
    await _in_bursts(job, crowd, subscribers, max(1, job.bursts // 10))
    bursts = await _watched(job, crowd, _in_bursts(job, crowd, subscribers, job.bursts))

    await asyncio.sleep(SETTLED)
    crowd.tally.check()
    published = crowd.published - first
    for before, each in zip(already, subscribers, strict=True):
        if each.received - before != published:
            raise MeasurementError(
                f"{each.received - before} deliveries of {published} to one subscriber"
            )
    if crowd.dialect.confirms and subscribers[0].confirmed - confirmed != published:
        raise MeasurementError(
            f"{subscribers[0].confirmed - confirmed} of {published} were confirmed"
        )
    received = sum(each.bytes for each in subscribers) - bytes_before
    per_delivery = received / (published * len(subscribers))
    return {"idle": idle, "bytes": per_delivery, "steady": steady, "bursts": bursts}


async def at_rest(job: Job) -> float:
    """Seconds of CPU per second, while nobody asks for anything."""
    await asyncio.sleep(SETTLED)
    pids = family(job.pid)
    begin, before = time.monotonic(), cpu_seconds(pids)
    await asyncio.sleep(job.rest)
    return (cpu_seconds(pids) - before) / (time.monotonic() - begin)


async def _watched(job: Job, crowd: Crowd, load: Coroutine[None, None, None]) -> Window:
    deliveries = crowd.published
    pids = family(job.pid)
    own, begin, before = time.process_time(), time.monotonic(), cpu_seconds(pids)
    await load
    cpu, seconds, own = (
        cpu_seconds(pids) - before,
        time.monotonic() - begin,
        time.process_time() - own,
    )
    deliveries = (crowd.published - deliveries) * job.recipients
    return {"deliveries": deliveries, "seconds": seconds, "cpu": cpu, "driver": own}


async def _one_by_one(
    job: Job, crowd: Crowd, subscribers: Sequence[Connection], messages: int
) -> None:
    """A message, and the next after the pace, but not before everybody has this one."""
    due = time.monotonic()
    for _ in range(messages):
        crowd.tally.expect(len(subscribers))
        subscribers[0].write(crowd.frames(1))
        await crowd.tally.all_arrived(job.patience)
        due = max(due + job.pace, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def _in_bursts(
    job: Job, crowd: Crowd, subscribers: Sequence[Connection], bursts: int
) -> None:
    """Many messages in one write, and the next when everybody has all of them."""
    for _ in range(bursts):
        crowd.tally.expect(len(subscribers) * job.burst)
        subscribers[0].write(crowd.frames(job.burst))
        await crowd.tally.all_arrived(job.patience)
