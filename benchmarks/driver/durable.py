"""Durable publishes: many publish, each its next as soon as it hears that the last is stored."""

import json
import time
from collections.abc import Sequence
from itertools import count
from typing import TypedDict

from .connection import Connection
from .crowd import Crowd
from .dialects import CHANNEL
from .fanout import at_rest
from .frames import frame
from .job import Job
from .meter import cpu_by_process
from .tally import MeasurementError


class Publishes(TypedDict):
    """The result of a job."""

    idle: float
    """Seconds of CPU per second that the server takes at rest."""
    publishes: int
    seconds: float
    cpu: float
    """Seconds of CPU of the server, as read."""
    database: float
    """The same of the database's server, where that is another process."""
    driver: float


class Publisher:
    """Has one publication under way at a time, with a key of its own."""

    def __init__(self, connection: Connection, crowd: Crowd, channel: str) -> None:
        self.offsets: list[int] = []
        self.channel = channel
        self._connection, self._crowd = connection, crowd
        self._keys = count()
        self._left = 0
        connection.after_confirmed = self._confirmed

    def begin(self, messages: int) -> None:
        """Publish so many, one after another."""
        self._left = messages
        self._next()

    def _next(self) -> None:
        key = f"{id(self)}-{next(self._keys)}"
        number, self._crowd.published = self._crowd.published, self._crowd.published + 1
        text = self._crowd.dialect.publish(number, self.channel, key)
        self._connection.write(frame(text))

    def _confirmed(self, payload: bytes) -> None:
        said = json.loads(payload)
        if said["duplicate"]:
            raise MeasurementError(f"a new key is taken for a known one: {payload!r}")
        self.offsets.append(said["offset"])
        self._left -= 1
        if self._left:
            self._next()
        self._crowd.tally.arrived(1)


async def measure_durable(job: Job, crowd: Crowd) -> Publishes:
    """Publish as the job says, and check that every publication has a place of its own."""
    names = [f"r{number}" for number in range(job.channels)] or [CHANNEL]
    connections = await crowd.connect(job.recipients)
    publishers = [
        Publisher(each, crowd, names[place % len(names)]) for place, each in enumerate(connections)
    ]
    idle = await at_rest(job)
    await _publish(job, crowd, publishers, max(1, job.messages // 5))
    own, begin = time.process_time(), time.monotonic()
    server, beside = cpu_by_process(job.pid), cpu_by_process(job.database)
    await _publish(job, crowd, publishers, job.messages)
    cpu, database = _since(server, job.pid), _since(beside, job.database)
    seconds, own = time.monotonic() - begin, time.process_time() - own
    crowd.tally.check()
    for name in names:
        _check([offset for p in publishers if p.channel == name for offset in p.offsets])
    return {
        "idle": idle,
        "publishes": job.messages * len(publishers),
        "seconds": seconds,
        "cpu": cpu,
        "database": database,
        "driver": own,
    }


async def _publish(job: Job, crowd: Crowd, publishers: Sequence[Publisher], messages: int) -> None:
    crowd.tally.expect(messages * len(publishers))
    for each in publishers:
        each.begin(messages)
    await crowd.tally.all_arrived(job.patience)


def _since(before: dict[int, float], pid: int) -> float:
    """What a process and its descendants took; one that ended meanwhile does not count."""
    return sum(now - before.get(each, 0.0) for each, now in cpu_by_process(pid).items())


def _check(offsets: list[int]) -> None:
    if sorted(offsets) != list(range(1, len(offsets) + 1)):
        raise MeasurementError("the positions do not rise by one")
