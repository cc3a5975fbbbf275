"""What a connection costs: to open, and to keep while it is idle."""

import asyncio
import time
from typing import TypedDict

from .crowd import Crowd
from .fanout import SETTLED, at_rest
from .job import Job
from .meter import cpu_seconds, family, memory_bytes

STEADY = 0.001
"""Memory that changed by less than this part of itself is at rest."""

LONGEST = 20
"""How many readings are waited for that."""

PAUSE = 0.25


class Memory(TypedDict):
    """The result of a job about memory, in bytes."""

    connections: int
    before: int
    after: int


class Handshakes(TypedDict):
    """Openings and what they cost, in seconds of CPU as read."""

    connections: int
    seconds: float
    cpu: float


class Opening(TypedDict):
    """The result of a job about handshakes."""

    idle: float
    one_by_one: Handshakes
    in_batches: Handshakes


async def measure_memory(job: Job, crowd: Crowd) -> Memory:
    """What the server holds more for connections with one subscription that say nothing."""
    await crowd.subscribers(job.warm_up)
    before = await _at_rest(job)
    await crowd.subscribers(job.connections)
    after = await _at_rest(job)
    crowd.tally.check()
    return {"connections": job.connections, "before": before, "after": after}


async def measure_handshakes(job: Job, crowd: Crowd) -> Opening:
    """What it costs to open connections, until each is ready; none subscribes, none is closed."""
    await crowd.connect(job.warm_up)
    idle = await at_rest(job)
    alone = await _opened(job, crowd, job.connections, 1)
    together = await _opened(job, crowd, job.batches * job.batch, job.batch)
    crowd.tally.check()
    return {"idle": idle, "one_by_one": alone, "in_batches": together}


async def _opened(job: Job, crowd: Crowd, count: int, at_once: int) -> Handshakes:
    pids = family(job.pid)
    begin, before = time.monotonic(), cpu_seconds(pids)
    await crowd.connect(count, at_once=at_once)
    await asyncio.sleep(SETTLED)  # what a server does after its answer belongs to it
    cpu, seconds = cpu_seconds(pids) - before, time.monotonic() - begin
    return {"connections": count, "seconds": seconds, "cpu": cpu}


async def _at_rest(job: Job) -> int:
    """The memory once it no longer changes, or after a bounded time."""
    size = 0
    for _ in range(LONGEST):
        await asyncio.sleep(PAUSE)
        last, size = size, memory_bytes(family(job.pid))
        if abs(size - last) < last * STEADY:
            break
    return size
