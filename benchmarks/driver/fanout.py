"""Fan-out: one publishes, all receive; one message at a time, and in bursts."""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import TypedDict

from .connection import Connection
from .crowd import Crowd
from .job import SERVER, Job
from .meter import cpu_seconds, family
from .tally import MeasurementError

SETTLED = 0.2
"""Seconds after which what came too much would have come."""


class Window(TypedDict):
    """What a server did and what it cost, between two readings of its clock."""

    deliveries: int
    seconds: float
    cpu: float
    """Seconds of CPU, as read."""
    driver: float
    """Seconds of CPU of the driver: near `seconds`, it is the driver that was measured."""
    beside: dict[str, float]
    """Seconds of CPU of each other process that takes part."""


class FanOut(TypedDict):
    """The result of a job."""

    idle: float
    """Seconds of CPU per second that the server takes at rest, with all connections."""
    beside: dict[str, float]
    """The same of each other process that takes part."""
    bytes: float
    """Bytes from the server per delivery, over all windows."""
    steady: Window
    bursts: Window


async def measure(job: Job, crowd: Crowd) -> FanOut:
    """Publish as the job says, and check that everybody got everything, once and in order."""
    await crowd.others()
    subscribers = await crowd.subscribers(job.recipients)
    publisher = subscribers[0]
    if job.publishing:
        (publisher,) = await crowd.connect(1, port=job.publishing)
    await crowd.until_heard(subscribers, publisher)
    first, already = crowd.published, [each.received for each in subscribers]
    for each in subscribers[:: max(1, len(subscribers) // job.readers)]:
        each.follow(first)
    bytes_before = sum(each.bytes for each in subscribers)
    beside = await all_at_rest(job)
    idle = beside.pop(SERVER)
    confirmed = publisher.confirmed  # by now also what everybody had heard before

    await _one_by_one(job, crowd, publisher, max(5, job.messages // 10))
    steady = await _watched(job, crowd, _one_by_one(job, crowd, publisher, job.messages))
    await _in_bursts(job, crowd, publisher, max(1, job.bursts // 10))
    bursts = await _watched(job, crowd, _in_bursts(job, crowd, publisher, job.bursts))

    await asyncio.sleep(SETTLED)
    crowd.tally.check()
    published = crowd.published - first
    for before, each in zip(already, subscribers, strict=True):
        if each.received - before != published:
            raise MeasurementError(
                f"{each.received - before} deliveries of {published} to one subscriber"
            )
    if crowd.dialect.confirms and publisher.confirmed - confirmed != published:
        raise MeasurementError(f"{publisher.confirmed - confirmed} of {published} were confirmed")
    received = sum(each.bytes for each in subscribers) - bytes_before
    per_delivery = received / (published * len(subscribers))
    return {
        "idle": idle,
        "beside": beside,
        "bytes": per_delivery,
        "steady": steady,
        "bursts": bursts,
    }


async def at_rest(job: Job) -> float:
    """Seconds of the server's CPU per second, while nobody asks for anything."""
    return (await all_at_rest(job))[SERVER]


async def all_at_rest(job: Job) -> dict[str, float]:
    """The same of all who take part."""
    await asyncio.sleep(SETTLED)
    pids = {name: family(pid) for name, pid in job.processes.items()}
    begin, before = time.monotonic(), _spent(pids)
    await asyncio.sleep(job.rest)
    seconds = time.monotonic() - begin
    return {name: (now - before[name]) / seconds for name, now in _spent(pids).items()}


def _spent(pids: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {name: cpu_seconds(each) for name, each in pids.items()}


async def _watched(job: Job, crowd: Crowd, load: Coroutine[None, None, None]) -> Window:
    deliveries = crowd.published
    pids = {name: family(pid) for name, pid in job.processes.items()}
    own, begin, before = time.process_time(), time.monotonic(), _spent(pids)
    await load
    after, seconds, own = _spent(pids), time.monotonic() - begin, time.process_time() - own
    beside = {name: now - before[name] for name, now in after.items()}
    return {
        "deliveries": (crowd.published - deliveries) * job.recipients,
        "seconds": seconds,
        "cpu": beside.pop(SERVER),
        "driver": own,
        "beside": beside,
    }


async def _one_by_one(job: Job, crowd: Crowd, publisher: Connection, messages: int) -> None:
    """A message, and the next after the pace, but not before everybody has this one."""
    due = time.monotonic()
    for _ in range(messages):
        crowd.tally.expect(job.recipients)
        publisher.write(crowd.frames(1))
        await crowd.tally.all_arrived(job.patience)
        due = max(due + job.pace, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def _in_bursts(job: Job, crowd: Crowd, publisher: Connection, bursts: int) -> None:
    """Many messages in one write, and the next when everybody has all of them."""
    for _ in range(bursts):
        crowd.tally.expect(job.recipients * job.burst)
        publisher.write(crowd.frames(job.burst))
        await crowd.tally.all_arrived(job.patience)
